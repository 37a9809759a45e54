/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The image file: a tar that any tar lists, written and read in one pass (docs/FORMAT.md).
 *
 * Members in order: manifest.json, rootfs/..., log/..., mem/..., shm/..., end.json. The data of a
 * mem/ or shm/ member begins at a multiple of 4096 in the file. end.json lists every member with
 * its size and XXH3 checksum and the digest of the whole; without it the image is incomplete.
 *
 * Nothing here knows what a pod is. Neither side needs a seekable file.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct archive;	      /* libarchive's */
struct archive_entry; /* likewise */
struct archive_writer;
struct archive_reader;
struct ct_error;
struct doc;

#define IMAGE_PAGE 4096
#define IMAGE_CHUNK_MAX (4u << 20) /* bytes of page data in one chunk at most */
#define IMAGE_MANIFEST_MAX (1u << 30)

enum image_compress { IMAGE_COMPRESS_NONE, IMAGE_COMPRESS_LZ4, IMAGE_COMPRESS_ZSTD };

/* ---- writing ---- */

/*
 * Errors are sticky: what went wrong first, in a worker thread perhaps, comes back from the next
 * call and from archive_finish(). The caller ignores SIGPIPE if `fd` can be a pipe.
 */

/* `fd` stays the caller's, who touches neither it nor its offset meanwhile. Writing to a file that
 * allows it bypasses the page cache for page data. */
int archive_writer_new(int fd, enum image_compress compress, int level, struct archive_writer **ret,
		       struct ct_error *err);
void archive_writer_free(struct archive_writer *w);

/* A whole small member. */
int archive_put(struct archive_writer *w, const char *name, const void *data, size_t len,
		struct ct_error *err);
/* manifest.json as doc_format() has it, in pieces: it can be as big as the rest of our memory. */
int archive_put_manifest(struct archive_writer *w, const struct doc *doc, struct ct_error *err);

/*
 * Ordinary files through libarchive: between begin and end the caller gives entries whose path
 * begins with "rootfs/" (or "log/"; pax; sparse, xattr, ACL as libarchive does) to
 * archive_files_entry(), never to archive_write_header(): names are kept byte by byte whatever the
 * locale. Data goes to archive_write_data() of *ret; of sparse files the holes too, as zeros, which
 * libarchive leaves out.
 */
int archive_files_begin(struct archive_writer *w, struct archive **ret, struct ct_error *err);
/* -EOPNOTSUPP: tar cannot hold it; nothing was written of it. */
int archive_files_entry(struct archive_writer *w, struct archive_entry *entry,
			struct ct_error *err);
int archive_files_end(struct archive_writer *w, struct ct_error *err);

/*
 * Files that are written before their place in the image is known, or before it is known whether
 * they belong there at all: each entry becomes a piece of tar in a file of its own.
 *
 *	archive_stage_new(fd, &stage, &a);
 *	archive_stage_entry(stage, entry); archive_write_data(a, ...); archive_stage_end(stage, &piece);
 *	...
 *	archive_files_gap(w, size of all wanted pieces)		mem/ and shm/ may follow at once
 *	...
 *	archive_files_fill(w, stage, pieces, n)			before archive_finish()
 *
 * Errors of a stage are sticky, and are those of writing its file: -ENOSPC.
 */
struct archive_stage;
struct archive_piece {
	uint64_t at, size;
};

/* `fd`, an empty file that can be read and written, becomes the stage's when this succeeds. */
int archive_stage_new(int fd, struct archive_stage **ret, struct archive **ret_archive,
		      struct ct_error *err);
void archive_stage_free(struct archive_stage *s);
int archive_stage_entry(struct archive_stage *s, struct archive_entry *entry, struct ct_error *err);
int archive_stage_end(struct archive_stage *s, struct archive_piece *ret, struct ct_error *err);
/* 0, or the error that it has met. */
int archive_stage_check(const struct archive_stage *s, struct ct_error *err);

/* Leaves room for the whole group of files. -EOPNOTSUPP: not into a pipe; nothing was done. */
int archive_files_gap(struct archive_writer *w, uint64_t size, struct ct_error *err);
int archive_files_fill(struct archive_writer *w, struct archive_stage *s,
		       const struct archive_piece *pieces, size_t n, struct ct_error *err);

/*
 * Pages of one space ("mem/3", "shm/7"). Runs must come in ascending, non-overlapping order.
 * The usual loop:
 *
 *	pages_begin(w, "mem/3");
 *	while (...) {
 *		pages_reserve(w, address, n, &buf, &got);	room for `got` <= n pages
 *		process_vm_readv(... buf ...);
 *		pages_commit(w, got);
 *	}
 *	pages_end(w);
 *
 * All-zero pages inside a run are left out of the file, unless pages_keep_zeros(); they read back as
 * absent. Compression, checksums and writing go on in worker threads; memory stays bounded (32 MB).
 */
int pages_begin(struct archive_writer *w, const char *space, struct ct_error *err);
int pages_reserve(struct archive_writer *w, uint64_t address, size_t pages, void **ret_buf,
		  size_t *ret_pages, struct ct_error *err);
int pages_commit(struct archive_writer *w, size_t pages, struct ct_error *err);
int pages_end(struct archive_writer *w, struct ct_error *err);

/* From here on to the end of the space pages of zeros are kept, or left out. */
void pages_keep_zeros(struct archive_writer *w, bool keep);

/*
 * Waits until everything given so far is out of the caller's hands (memory given to pages_commit()
 * is always ours already). archive_finish() writes end.json and the end of the tar; returns after
 * every byte was written (not synced).
 */
int archive_finish(struct archive_writer *w, struct ct_error *err);
/* After archive_finish(): what names this image, 32 hexadecimal digits. */
void archive_writer_digest(const struct archive_writer *w, char ret[33]);
uint64_t archive_bytes_written(const struct archive_writer *w);
uint64_t archive_pages_written(const struct archive_writer *w);

/* ---- reading: untrusted. Every length is bounded before it is believed. ---- */

int archive_reader_new(int fd, struct archive_reader **ret, struct ct_error *err);
void archive_reader_free(struct archive_reader *r);

enum image_member { IMAGE_MANIFEST, IMAGE_FILES, IMAGE_PAGES, IMAGE_END };

/*
 * Goes to the next member, or to the next group of them: IMAGE_FILES stands for all adjacent
 * rootfs/ and log/ members, read through archive_files_read(); IMAGE_PAGES for one chunk. What was
 * not consumed is skipped, but still checked. IMAGE_END is returned after end.json was read and the
 * list, all checksums and the digest agreed. -EBADMSG with a clear text for anything that is not as
 * docs/FORMAT.md says.
 */
int archive_next(struct archive_reader *r, enum image_member *ret, struct ct_error *err);

/* After IMAGE_END: the digest that the writer had. */
void archive_reader_digest(const struct archive_reader *r, char ret[33]);

/* IMAGE_MANIFEST: its text; the caller frees it. */
int archive_read_manifest(struct archive_reader *r, char **ret, size_t *ret_len,
			  struct ct_error *err);

/* IMAGE_FILES: the group as a libarchive reader; valid until the next archive_next(). Paths and
 * link targets are the image's word: nothing but the prefix was checked. */
int archive_files_read(struct archive_reader *r, struct archive **ret, struct ct_error *err);

/* IMAGE_PAGES */
struct page_run {
	uint64_t address; /* in bytes, multiple of the page size */
	uint64_t pages;
};

struct pages_chunk {
	char space[64];		     /* "mem/3" */
	const struct page_run *runs; /* ascending, not overlapping, validated */
	size_t n_runs;
	/* The pages of all runs one behind another, decompressed, aligned, checksum verified. */
	const void *data;
	uint64_t n_pages;
};

/* The chunk; valid until the next archive_next(). */
int archive_read_pages(struct archive_reader *r, struct pages_chunk *ret, struct ct_error *err);
