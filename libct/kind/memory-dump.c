/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An address space: its areas as /proc/PID/smaps shows them, the pages in them that are not the
 * mapped file's own (PAGEMAP_SCAN, Documentation/admin-guide/mm/pagemap.rst), brk and the
 * addresses that /proc/PID/cmdline and environ are read from.
 *
 * Files that are mapped are "descriptors" like those that are open: /proc/PID/map_files/ opens them,
 * whatever became of their names.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "images/archive.h"
#include "libct/base/io.h"
#include "libct/dump-steps.h"
#include "libct/kind/file.h"
#include "libct/kind/memory.h"
#include "libct/kind/pagemap.h"

/* What of VmFlags is the program's doing and is restored. */
static const uint32_t carried_flags = VMA_GROWSDOWN | VMA_LOCKED | VMA_LOCKONFAULT | VMA_DONTFORK |
				      VMA_DONTDUMP | VMA_WIPEONFORK | VMA_HUGEPAGE |
				      VMA_NOHUGEPAGE | VMA_MERGEABLE | VMA_RANDOM | VMA_SEQUENTIAL |
				      VMA_NORESERVE | VMA_SEALED;

static bool is_special(const struct vma *v)
{
	return !strcmp(v->name, "[vdso]") || !strncmp(v->name, "[vvar", 5);
}

bool memory_is_private(const struct vma *v)
{
	return !v->shared && !is_special(v);
}

static bool has_file(const struct vma *v)
{
	return v->inode != 0;
}

/* DONTDUMP and IO are the kernel's own marks of vvar; nothing of a special area is restored but its place. */
static uint32_t flags_of(const struct vma *v)
{
	return is_special(v) ? 0 : v->flags & carried_flags;
}

static bool mergeable(const struct vma *a, const struct vma *b)
{
	return a->end == b->start && a->prot == b->prot && a->shared == b->shared &&
	       flags_of(a) == flags_of(b) && a->inode == b->inode && a->major == b->major &&
	       a->minor == b->minor && !is_special(a) && !is_special(b) &&
	       !strcmp(a->name, b->name) &&
	       (!has_file(a) || a->offset + (a->end - a->start) == b->offset);
}

/* An area with nothing to carry it. True: refused. */
static bool refuse_area(struct dump_process *p, const struct vma *v)
{
	const char *what = NULL;

	if (is_special(v))
		return false;
	if (v->flags & VMA_HUGETLB)
		what = "huge pages of a pool (MAP_HUGETLB) are not carried yet";
	else if (v->flags & VMA_UFFD)
		what = "memory under userfaultfd is not carried";
	else if (v->flags & VMA_SHADOW_STACK)
		what = "a shadow stack is not carried";
	else if (v->flags & VMA_DROPPABLE)
		what = "droppable memory (MAP_DROPPABLE) is not carried yet";
	else if (v->flags & VMA_IO)
		what = "device memory is not carried";
	else if (!strncmp(v->name, "/[aio]", 6))
		what = "asynchronous I/O (io_setup) is not carried";
	else if (!strncmp(v->name, "anon_inode:", 11))
		what = "memory of such a descriptor is not carried";
	else if (v->flags & VMA_UNKNOWN)
		what = "it has a flag in VmFlags that this version does not know";
	if (!what)
		return false;
	dump_refuse_process(p->dump, p, "memory at %llx%s%s: %s", (unsigned long long)v->start,
			    *v->name ? " " : "", v->name, what);
	return true;
}

/* The descriptor of the file behind an area, opened the way the area maps it. */
static int area_file(struct dump *d, struct dump_process *p, const struct vma *v, uint32_t *ret,
		     struct ct_error *err)
{
	char name[96];
	bool writable = v->shared && v->flags & VMA_MAYWRITE;
	int fd, r;

	snprintf(name, sizeof(name), "map_files/%llx-%llx", (unsigned long long)v->start,
		 (unsigned long long)v->end);
	if (shared_find_mapping(d, v, writable, ret))
		return 0;
	fd = proc_open(d->proc, p->pid, name, writable ? O_RDWR : O_RDONLY);
	if (fd < 0)
		return error_errno(err, fd, "open '%s' (%s)", name, v->name);
	d->mapping = p;
	r = dump_descriptor(d, getpid(), fd, ret, err);
	d->mapping = NULL;
	fd_close(fd);
	if (r == 0)
		r = shared_put_mapping(d, v, writable, *ret);
	return r;
}

static int put_guards(struct dump_process *p, const struct vma *v, struct node *n)
{
	struct node *guards = NULL;
	struct pagemap_run run;
	uint64_t at = v->start;

	while (pagemap_next_guard(p->pagemap, &at, v->end, &run) > 0) {
		if (!guards)
			guards = node_put_array(n, "guards");
		node_put_u64(guards, NULL, run.address);
		node_put_u64(guards, NULL, run.pages);
	}
	return 0;
}

static int put_area(struct dump_process *p, const struct vma *v, uint64_t end, struct node *areas,
		    struct ct_error *err)
{
	struct node *n = node_put_object(areas, NULL);
	char prot[4] = "---", flags[64];
	uint32_t id;
	int r;

	node_put_hex(n, "start", v->start);
	node_put_hex(n, "end", end);
	if (is_special(v)) {
		node_put_str(n, "special", v->name);
		return 0;
	}
	if (v->prot & PROT_READ)
		prot[0] = 'r';
	if (v->prot & PROT_WRITE)
		prot[1] = 'w';
	if (v->prot & PROT_EXEC)
		prot[2] = 'x';
	node_put_str(n, "protection", prot);
	vma_flags_format(flags_of(v), flags);
	if (*flags)
		node_put_str(n, "flags", flags);
	if (!v->shared && !(v->prot & PROT_EXEC))
		put_guards(p, v, n);
	if (!has_file(v))
		return 0;
	node_put_bool(n, "shared", v->shared);
	if (file_mapping_is_stale(p->dump, p, v))
		dump_refuse_process(p->dump, p,
				    "'%s' was changed after it was mapped, and the mapping shows the old "
				    "bytes, which is not carried; restart the program",
				    v->name);
	r = area_file(p->dump, p, v, &id, err);
	if (r < 0)
		return r;
	node_put_u64(n, "descriptor", id);
	node_put_hex(n, "offset", v->offset);
	return 0;
}

int dump_areas(struct dump *d, struct dump_process *p, struct node *memory, struct ct_error *err)
{
	struct node *areas = node_put_array(memory, "areas");
	int r = 0;

	d->stats.n_areas += p->areas.n;
	for (size_t i = 0; r == 0 && i < p->areas.n; i++) {
		const struct vma *first = &p->areas.v[i];

		if (refuse_area(p, first))
			continue;
		while (i + 1 < p->areas.n && mergeable(&p->areas.v[i], &p->areas.v[i + 1]))
			i++;
		r = put_area(p, first, p->areas.v[i].end, areas, err);
		if (r < 0 && d->preflight)
			r = 0; /* unmapped meanwhile */
	}
	return r;
}

static int memory_ask(struct dump *d, struct dump_process *p, struct tape *tape)
{
	tape_call(tape, SYS_brk, 0, 0, 0, 0, 0, 0);
	tape_call(tape, SYS_prctl, PR_GET_THP_DISABLE, 0, 0, 0, 0, 0);
	tape_call(tape, SYS_prctl, PR_GET_MEMORY_MERGE, 0, 0, 0, 0, 0);
	return 0;
}

/* The fields of struct prctl_mm_map, and where /proc/PID/stat has them (man 5 proc). */
static const struct {
	const char *name;
	int field;
} stat_fields[] = {
	{ "start_code", 26 }, { "end_code", 27 }, { "start_stack", 28 }, { "start_data", 45 },
	{ "end_data", 46 }, { "start_brk", 47 }, { "arg_start", 48 }, { "arg_end", 49 },
	{ "env_start", 50 }, { "env_end", 51 },
};

static int memory_dump(struct dump *d, struct dump_process *p, const struct tape *tape,
		       struct tape_mark mark, struct node *n, struct ct_error *err)
{
	cleanup_free char *auxv = NULL;
	cleanup_fd int exe = -1;
	uint32_t id;
	ssize_t len;
	int r;

	for (size_t i = 0; i < sizeof(stat_fields) / sizeof(stat_fields[0]); i++)
		node_put_hex(n, stat_fields[i].name, p->stat.f[stat_fields[i].field]);
	node_put_hex(n, "brk", (uint64_t)tape->entries[mark.entry].result);
	node_put_bool(n, "thp_disable", tape->entries[mark.entry + 1].result == 1);
	node_put_bool(n, "memory_merge", tape->entries[mark.entry + 2].result == 1);
	len = proc_read(d->proc, p->pid, "auxv", &auxv);
	if (len < 0)
		return error_errno(err, (int)len, "read 'auxv'");
	node_put_blob(n, "auxv", auxv, (size_t)len);
	exe = proc_open(d->proc, p->pid, "exe", O_RDONLY);
	if (exe < 0)
		return error_errno(err, exe, "open its program");
	d->mapping = p;
	r = dump_descriptor(d, getpid(), exe, &id, err);
	d->mapping = NULL;
	if (r < 0)
		return r;
	node_put_u64(n, "program", id);
	r = memory_find_inherited(d, p);
	if (r < 0)
		return error_errno(err, r, "compare its pages with its parent's");
	if (p->n_inherited) {
		struct node *list = node_put_array(n, "inherited");

		for (size_t i = 0; i < p->n_inherited; i++) {
			node_put_u64(list, NULL, p->inherited[i].address);
			node_put_u64(list, NULL, p->inherited[i].pages);
		}
	}
	return dump_areas(d, p, n, err);
}

static int dump_run(struct dump *d, struct dump_process *p, const struct pagemap_run *run,
		    struct archive_writer *w, struct ct_error *err)
{
	uint64_t address = run->address, left = run->pages;

	while (left) {
		size_t got;
		void *buf;
		int r = pages_reserve(w, address, left, &buf, &got, err);

		if (r == 0)
			r = io_pread_exact(p->mem, buf, got * IMAGE_PAGE, (off_t)address);
		if (r < 0)
			return error_errno(err, r, "read memory at %llx", (unsigned long long)address);
		r = pages_commit(w, got, err);
		if (r < 0)
			return r;
		address += got * IMAGE_PAGE;
		left -= got;
	}
	return 0;
}

static int dump_private(struct dump *d, struct dump_process *p, struct archive_writer *w,
			struct ct_error *err)
{
	char space[32];
	size_t hint = 0;
	int r;

	snprintf(space, sizeof(space), "mem/%u", p->index);
	r = pages_begin(w, space, err);
	for (size_t i = 0; r == 0 && i < p->areas.n; i++) {
		const struct vma *v = &p->areas.v[i];
		struct pagemap_run run, rest;
		uint64_t at = v->start;

		if (!memory_is_private(v))
			continue;
		d->stats.pages_scanned += (v->end - v->start) / IMAGE_PAGE;
		while (r == 0 && (r = pagemap_next(p->pagemap, &at, v->end, &run)) > 0) {
			r = 0;
			for (; r == 0 && run.pages && memory_next_own(p, &hint, &run, &rest); run = rest)
				r = dump_run(d, p, &run, w, err);
		}
		if (r < 0)
			return error_prefix(err, r, "pid %d (%s)", p->vpid, p->stat.comm);
	}
	return r < 0 ? r : pages_end(w, err);
}

int memory_dump_pages(struct dump *d, struct archive_writer *w, struct ct_error *err)
{
	for (size_t i = 0; i < d->n_processes; i++) {
		int r = d->processes[i].zombie ? 0 : dump_private(d, &d->processes[i], w, err);

		if (r < 0)
			return r;
	}
	return shared_dump_pages(d, w, err);
}

const struct kind kind_memory = {
	.name = "memory",
	.carries = "private and shared, anonymous and file mappings, memfd, deleted files, heap, "
		   "growing stacks, guard pages, every protection, madvise and mlock states, vdso, "
		   "arguments and environment as /proc shows them",
	.refuses = "huge pages of a pool, userfaultfd, device memory, shadow stacks, asynchronous I/O rings",
	.victims = "mem-private mem-shared mem-file mem-brk-stack mem-advice mem-guard mem-cow mem-args "
		   "mem-vdso mem-memfd",
	.process_ask = memory_ask,
	.process_dump = memory_dump,
};
