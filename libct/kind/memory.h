/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Address spaces: areas, their contents, and the objects that several map.
 *
 * In the manifest each process has "memory": the fields of struct prctl_mm_map (man 2 PR_SET_MM),
 * and "areas", ascending, neighbours that differ in nothing joined. Contents follow the manifest as
 * page members: "mem/<process>" for private pages, "shm/<descriptor>" for the bytes of files that have no
 * other home (memfd, shared anonymous memory, deleted files).
 */
#pragma once
#include <time.h>

#include "libct/kind.h"
#include "libct/kind/pagemap.h"

#ifndef PR_SET_MEMORY_MERGE /* Linux 6.4 */
#define PR_SET_MEMORY_MERGE 67
#define PR_GET_MEMORY_MERGE 68
#endif

#ifndef PR_THP_DISABLE_EXCEPT_ADVISED /* Linux 6.18 */
#define PR_THP_DISABLE_EXCEPT_ADVISED 2
#endif

struct archive_writer;
struct pages_chunk;

/* ---- dump ---- */

/*
 * To be called by the kind of a descriptor whose file lives only as long as it is open: its bytes
 * go into the image. *ret_first is the number of the first descriptor seen of the same file; where that is
 * v->id, this descriptor is the one that fd_restore() makes the file for.
 */
int shared_dump(struct dump *d, const struct fd_view *v, uint32_t *ret_first, struct ct_error *err);

/* The descriptor under which a file is known that is mapped again and again. */
bool shared_find_mapping(struct dump *d, const struct vma *v, bool writable, uint32_t *ret);
int shared_put_mapping(struct dump *d, const struct vma *v, bool writable, uint32_t id);
int shared_dump_pages(struct dump *d, struct archive_writer *w, struct ct_error *err);

/* Has pages of its own (neither shared nor the kernel's). */
bool memory_is_private(const struct vma *v);
/* Has pages of its own that are carried. What is droppable may be lost at any time, so it is. */
bool memory_is_saved(const struct vma *v);
/* Begins a walk over the pages of an area that go into the image; false: none do. */
bool memory_begin(struct pagemap_walk *walk, int pagemap, const struct vma *v);

/* Finds what a process shares with its parent since fork: p->inherited. */
int memory_find_inherited(struct dump *d, struct dump_process *p);
/* The first page of a run that is there in a process and in its parent, but not the same one; *ret 0: none. */
int memory_find_parted(const struct dump_process *p, const struct dump_process *parent,
		       const struct pagemap_run *run, uint64_t *ret);
/*
 * Cuts what is inherited out of a run: true, and *run is the first part of its own; *rest is what
 * to go on with (0 pages: nothing). False: all of it is inherited. `hint` begins at 0 and goes along.
 */
bool memory_next_own(const struct dump_process *p, size_t *hint, struct pagemap_run *run,
		     struct pagemap_run *rest);

/* Contents: private pages process by process, then the shared files. */
int memory_dump_pages(struct dump *d, struct archive_writer *w, struct ct_error *err);

/* ---- restore ---- */

void shared_restore_free(struct restore *r);

/* What is set when the bytes are there. */
struct shared_end {
	struct timespec modified;
	int seals; /* F_SEAL_* of a memfd */
};

/* A descriptor (ours) that "shm/<id>" is to be written into; sets its size. The descriptor stays the caller's and open. */
int shared_restore(struct restore *r, uint32_t id, int fd, uint64_t size, const struct shared_end *end,
		   struct ct_error *err);

/*
 * After the last chunk, and again when more files were made: nothing is written to any more. A file that
 * somebody has open for writing cannot become a program.
 */
int shared_restore_done(struct restore *r, struct ct_error *err);

int shared_restore_chunk(struct restore *r, uint32_t id, const struct pages_chunk *chunk,
			 struct ct_error *err);

/* Puts a chunk where it belongs. -EBADMSG for one that no process and no file of the manifest asks for. */
int memory_restore_chunk(struct restore *r, const struct pages_chunk *chunk, struct ct_error *err);

/* An address range of `size` bytes that is free in every address space of the manifest and in PID 1: for tapes. */
int memory_find_hole(struct restore *r, const struct vma_list *init, uint64_t size, uint64_t *ret,
		     struct ct_error *err);

/*
 * Turns the address space of a stopped process into the image's: unmaps what is there (tape and
 * vdso stay), moves the vdso, maps every area. Its private pages are filled by
 * memory_restore_chunk() from now until memory_seal().
 */
int memory_build(struct restore_process *p, struct ct_error *err);

/* The checksums of --verify. */
int sums_init(struct restore_process *p, struct ct_error *err);
int sums_add(struct page_sums *sums, uint64_t address, const void *data, uint64_t pages);
/* Into the order that looking them up wants. */
void sums_sort(struct page_sums *sums);
/* The checksums of pages that a child has from its parent, whose are sorted. */
int sums_inherit(struct page_sums *sums, const struct page_sums *parent, uint64_t address,
		 uint64_t pages);
int sums_verify_file(struct page_sums *sums, int fd, uint64_t size, const char *what,
		     struct ct_error *err);
int shared_verify(struct restore *r, struct ct_error *err);
/* Compares all memory with what was filled in; `d` is a dump of the restored pod. -EUCLEAN. */
int memory_verify(struct restore *r, struct dump *d, struct ct_error *err);

/* After the last chunk of a process and before it has heirs: a lock set later would part them from what they share. */
int memory_filled(struct restore_process *p, struct ct_error *err);

/* After the last chunk: advice, guard pages, prctl(PR_SET_MM_MAP). */
int memory_seal(struct restore_process *p, struct ct_error *err);
