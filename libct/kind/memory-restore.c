/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Builds an address space in a stopped process: a tape unmaps what is there, moves the vdso and maps every
 * area; then private anonymous pages are filled from outside with UFFDIO_COPY (man 2 userfaultfd), which
 * neither zeroes them first nor cares for their protection, and private file pages through /proc/PID/mem.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <linux/userfaultfd.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "images/archive.h"
#include "libct/base/io.h"
#include "libct/base/sys.h"
#include "libct/kind/aio.h"
#include "libct/kind/memory-restore.h"
#include "libct/kind/ns-ipc.h"
#include "libct/restore-steps.h"

#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE 8
#endif
#define SPECIALS 8

static int parse_protection(const struct node *n)
{
	const char *text = node_str(n, "protection");

	if (strlen(text) != 3 || (text[0] != 'r' && text[0] != '-') ||
	    (text[1] != 'w' && text[1] != '-') || (text[2] != 'x' && text[2] != '-')) {
		node_complain(n, "a protection that is none");
		return 0;
	}
	return (text[0] == 'r' ? PROT_READ : 0) | (text[1] == 'w' ? PROT_WRITE : 0) |
	       (text[2] == 'x' ? PROT_EXEC : 0);
}

/*
 * The lowest address that a program may map. Tapes run with privileges that would get below, which
 * must not be had by an image.
 */
static uint64_t lowest_address(struct restore *r)
{
	cleanup_free char *text = NULL;
	ssize_t n = io_read_file(r->proc, "sys/vm/mmap_min_addr", 64, &text);

	return n > 0 ? strtoull(text, NULL, 10) : 65536;
}

static void parse_area(struct restore *r, const struct node *n, struct restore_area *a)
{
	a->node = n;
	a->start = node_hex(n, "start");
	a->end = node_hex(n, "end");
	a->descriptor = -1;
	if (a->start % IMAGE_PAGE || a->end % IMAGE_PAGE || a->start >= a->end || a->end > USER_TOP)
		node_complain(n, "an area that no program can have");
	if (node_has(n, "special")) {
		a->special = true;
		a->name = node_str(n, "special");
		return;
	}
	a->prot = parse_protection(n);
	if (node_has(n, "flags") && !vma_flags_parse(node_str(n, "flags"), &a->flags))
		node_complain(n, "flags this version does not know");
	if (node_has(n, "descriptor")) {
		a->descriptor = (int64_t)node_u64(n, "descriptor", r->n_ofds ? r->n_ofds - 1 : 0);
		a->shared = node_bool(n, "shared");
		a->offset = node_hex(n, "offset");
	}
	if (node_has(n, "aio"))
		aio_parse(node_object(n, "aio"), a);
}

int memory_parse(struct restore_process *p, struct ct_error *err)
{
	struct restore *r = p->restore;
	const struct node *list = node_array(node_object(p->node, "memory"), "areas");
	uint64_t last = lowest_address(r);

	p->n_areas = node_count(list);
	p->areas = calloc(p->n_areas ? p->n_areas : 1, sizeof(*p->areas));
	if (!p->areas)
		return error_errno(err, -ENOMEM, "areas");
	for (size_t i = 0; i < p->n_areas; i++) {
		parse_area(r, node_at(list, i), &p->areas[i]);
		if (p->areas[i].start < last)
			node_complain(p->areas[i].node, "areas that overlap, are out of order or too low");
		last = p->areas[i].end;
	}
	return doc_check(r->doc, err);
}

static bool overlaps(uint64_t at, uint64_t size, uint64_t start, uint64_t end, uint64_t *next)
{
	if (at >= end || at + size <= start)
		return false;
	*next = end;
	return true;
}

int memory_find_hole(struct restore *r, const struct vma_list *init, uint64_t size, uint64_t *ret,
		     struct ct_error *err)
{
	uint64_t at = 0x10000000000ULL, next;
	bool moved;

	/* Each collision moves the candidate up past what it hit; the areas are finite, so it ends. */
	do {
		moved = false;
		for (size_t i = 0; i < init->n; i++)
			while (overlaps(at, size, init->v[i].start, init->v[i].end, &next)) {
				at = next;
				moved = true;
			}
		for (size_t i = 0; i < r->n_processes; i++)
			for (size_t k = 0; k < r->processes[i].n_areas; k++) {
				struct restore_area *a = &r->processes[i].areas[k];

				while (overlaps(at, size, a->start, a->end, &next)) {
					at = next;
					moved = true;
				}
			}
	} while (moved && at + size < USER_TOP);
	if (at + size >= USER_TOP)
		return error_set(err, -ENOMEM, "no address is free in every process");
	*ret = at;
	return 0;
}

/* Unmaps [start, end) but for what is inherited there. */
static int unmap_range(struct restore_process *p, struct tape *tape, uint64_t start, uint64_t end,
		       struct ct_error *err)
{
	for (size_t i = 0; i <= p->n_kept && start < end; i++) {
		const struct kept *k = i < p->n_kept ? &p->kept[i] : NULL;
		uint64_t to = k && k->start < end ? k->start : end;
		int e = 0;

		if (k && k->end <= start)
			continue;
		if (to > start) {
			e = tape_need(tape, 1, 0, err);
			tape_must(tape, "unmap", SYS_munmap, start, to - start, 0, 0, 0, 0);
		}
		if (e < 0)
			return e;
		start = k ? k->end : end;
	}
	return 0;
}

/* Unmaps what the process has, but for the vdso's areas (their places are given back), our own and what it keeps. */
static int unmap_old(struct restore_process *p, struct tape *tape, struct vma *special,
		     size_t *ret_n, struct ct_error *err)
{
	__cleanup(vma_list_release) struct vma_list old = { 0 };
	struct restore *r = p->restore;
	int e = proc_areas(r->proc, p->pid, &old);

	if (e < 0)
		return error_errno(err, e, "read its areas");
	*ret_n = 0;
	for (size_t i = 0; i < old.n; i++) {
		struct vma *v = &old.v[i];

		if (v->start >= r->tape_area && v->end <= r->tape_area + TAPE_AREA_SIZE)
			continue;
		if (!strcmp(v->name, "[vdso]") || !strncmp(v->name, "[vvar", 5)) {
			if (*ret_n < SPECIALS)
				special[(*ret_n)++] = *v;
			v->name = NULL; /* handed over */
			continue;
		}
		e = unmap_range(p, tape, v->start, v->end, err);
		if (e < 0)
			return e;
	}
	return 0;
}

/*
 * The vdso and its data pages go together: the code addresses the data relative to itself. They move
 * to a free place first, because old and new places may overlap.
 */
static int move_special(struct restore_process *p, struct tape *tape, const struct vma *old, size_t n,
			struct ct_error *err)
{
	const struct restore_area *to[SPECIALS] = { 0 };
	uint64_t between = p->restore->tape_area + TAPE_AREA_SIZE;
	size_t k = 0;
	int e = tape_need(tape, 2 * SPECIALS, 0, err);

	if (e < 0)
		return e;
	for (size_t i = 0; i < p->n_areas; i++)
		if (p->areas[i].special && k < SPECIALS)
			to[k++] = &p->areas[i];
	if (k != n)
		goto differs;
	for (size_t i = 0; i < n; i++) {
		if (strcmp(old[i].name, to[i]->name) ||
		    old[i].end - old[i].start != to[i]->end - to[i]->start ||
		    old[i].start - old[0].start != to[i]->start - to[0]->start)
			goto differs;
		tape_must(tape, "move the vdso", SYS_mremap, old[i].start, old[i].end - old[i].start,
			  old[i].end - old[i].start, MREMAP_MAYMOVE | MREMAP_FIXED,
			  between + (old[i].start - old[0].start), 0);
	}
	for (size_t i = 0; i < n; i++) {
		tape_must(tape, "move the vdso", SYS_mremap, between + (old[i].start - old[0].start),
			  old[i].end - old[i].start, old[i].end - old[i].start,
			  MREMAP_MAYMOVE | MREMAP_FIXED, to[i]->start, 0);
		if (!strcmp(to[i]->name, "[vdso]"))
			p->syscall_at += to[i]->start - old[i].start;
	}
	return 0;
differs:
	return error_set(err, -ENOSYS,
			 "the vdso of this kernel has another layout than that of the image; restore "
			 "on a host with the same kernel");
}

int memory_map_part(struct restore_process *p, struct restore_area *a, uint64_t start, uint64_t end,
		    struct ct_error *err)
{
	int flags = MAP_FIXED_NOREPLACE | (a->shared			    ? MAP_SHARED
					   : a->flags & VMA_DROPPABLE ? MAP_DROPPABLE
								      : MAP_PRIVATE);
	struct tape *tape = &p->tape;
	ssize_t fd_entry = -1;
	size_t map;
	int e = tape_need(tape, 6, 0, err);

	if (e < 0)
		return e;
	if (a->descriptor >= 0) {
		int fd = restore_ofd(p->restore, (uint32_t)a->descriptor, err);

		if (fd < 0)
			return fd;
		fd_entry = restore_tape_fd(p, tape, fd, -1, true);
	} else {
		flags |= MAP_ANONYMOUS;
	}
	if (a->flags & VMA_NORESERVE)
		flags |= MAP_NORESERVE;
	if (a->flags & VMA_GROWSDOWN)
		flags |= MAP_GROWSDOWN;
	map = tape_must(tape, "map an area", SYS_mmap, start, end - start, (uint64_t)a->prot,
			(uint64_t)flags, UINT64_MAX, a->offset + (start - a->start));
	if (fd_entry >= 0) {
		tape_chain(tape, (size_t)fd_entry, map, 4);
		tape_chain(tape, (size_t)fd_entry, tape_call(tape, SYS_close, 0, 0, 0, 0, 0, 0), 0);
	}
	return 0;
}

static int map_areas(struct restore_process *p, struct ct_error *err)
{
	for (size_t i = 0; i < p->n_areas; i++) {
		struct restore_area *a = &p->areas[i];
		int e = 0;

		if (a->special || a->attached)
			continue;
		if (a->aio)
			e = aio_restore(p, a, err);
		else if (shm_is_segment(p->restore, a->descriptor))
			e = shm_attach(p, p->areas, i, p->n_areas, err);
		else
			e = a->inherits ? memory_map_around(p, a, err)
					: memory_map_part(p, a, a->start, a->end, err);
		if (e < 0)
			return e;
	}
	return 0;
}

static int open_uffd(struct restore_process *p, struct ct_error *err)
{
	struct uffdio_api api = { .api = UFFD_API };

	if (p->uffd_number < 0)
		return 0; /* not here: /proc/PID/mem does it all */
	p->uffd = sys_pidfd_getfd(p->pidfd, (int)p->uffd_number);
	if (p->uffd < 0)
		return error_errno(err, p->uffd, "userfaultfd");
	if (ioctl(p->uffd, UFFDIO_API, &api) < 0)
		return error_errno(err, -errno, "userfaultfd");
	return 0;
}

int memory_build(struct restore_process *p, struct ct_error *err)
{
	struct vma special[SPECIALS] = { 0 };
	size_t n_special = 0, uffd;
	int e;

	e = p->restore->options->verify ? sums_init(p, err) : 0;
	if (e == 0)
		e = memory_plan_inherited(p, err);
	if (e == 0)
		e = unmap_old(p, &p->tape, special, &n_special, err);
	if (e == 0)
		e = move_special(p, &p->tape, special, n_special, err);
	for (size_t i = 0; i < n_special; i++)
		free(special[i].name);
	if (e == 0)
		e = map_areas(p, err);
	if (e == 0)
		e = tape_need(&p->tape, 1, 0, err);
	if (e < 0)
		return e;
	uffd = tape_call(&p->tape, SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY, 0, 0, 0, 0, 0);
	e = restore_run_keep(p, err);
	if (e < 0)
		return e;
	p->uffd_number = p->tape.entries[uffd].result;
	tape_clear(&p->tape);
	return open_uffd(p, err);
}

static struct restore_area *find_area(struct restore_process *p, uint64_t address)
{
	size_t low = 0, high = p->n_areas;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (p->areas[mid].end <= address)
			low = mid + 1;
		else
			high = mid;
	}
	return low < p->n_areas && p->areas[low].start <= address ? &p->areas[low] : NULL;
}

static int copy_pages(struct restore_process *p, struct restore_area *a, uint64_t at,
		      const char *data, size_t len)
{
	if (!a->registered) {
		struct uffdio_register reg = { .range = { a->start, a->end - a->start },
					       .mode = UFFDIO_REGISTER_MODE_MISSING };

		if (ioctl(p->uffd, UFFDIO_REGISTER, &reg) < 0)
			return -errno;
		a->registered = true;
	}
	for (size_t part = len; len; part = part < len ? part : len) {
		struct uffdio_copy copy = { .dst = at, .src = (uint64_t)(uintptr_t)data, .len = part,
					    .mode = UFFDIO_COPY_MODE_DONTWAKE };
		int e = ioctl(p->uffd, UFFDIO_COPY, &copy) == 0 ? 0 : errno;

		/* One call fills one area of the kernel, and what was inherited may have made two of ours. */
		if (e == ENOENT && part > IMAGE_PAGE) {
			part = IMAGE_PAGE;
			continue;
		}
		if (e && e != EAGAIN && e != EINTR)
			return -e;
		if (copy.copy > 0) {
			at += (uint64_t)copy.copy;
			data += copy.copy;
			len -= (size_t)copy.copy;
		}
	}
	return 0;
}

/*
 * Where the kernel's own area around `at` ends at the latest: pieces that were inherited and the
 * rest are not merged by the kernel, and UFFDIO_COPY does not reach from one area into the next.
 */
static uint64_t piece_end(const struct restore_process *p, const struct restore_area *a,
			  uint64_t at)
{
	uint64_t end = a->end;

	for (size_t i = 0; a->inherits && i < p->n_kept; i++) {
		if (p->kept[i].start > at && p->kept[i].start < end)
			end = p->kept[i].start;
		if (p->kept[i].end > at && p->kept[i].end < end)
			end = p->kept[i].end;
	}
	return end;
}

static int fill_run(struct restore_process *p, uint64_t at, const char *data, uint64_t len)
{
	while (len) {
		struct restore_area *a = find_area(p, at);
		uint64_t part;
		int e;

		if (!a || (a->shared && !a->aio) || a->special)
			return -EBADMSG;
		part = piece_end(p, a, at) - at;
		part = part < len ? part : len;
		if (a->aio)
			e = aio_fill(p, a, at, data, part);
		else if (a->descriptor < 0 && p->uffd >= 0)
			e = copy_pages(p, a, at, data, part);
		else
			e = io_pwrite_all(p->mem, data, part, (off_t)at);
		if (e < 0)
			return e;
		at += part;
		data += part;
		len -= part;
	}
	return 0;
}

int memory_restore_chunk(struct restore *r, const struct pages_chunk *chunk, struct ct_error *err)
{
	const char *data = chunk->data;
	struct restore_process *p;
	unsigned long index;
	char *end;

	index = strtoul(chunk->space + 4, &end, 10);
	if (*end)
		return error_set(err, -EBADMSG, "%s: not a space of pages", chunk->space);
	if (!strncmp(chunk->space, "shm/", 4))
		return shared_restore_chunk(r, (uint32_t)index, chunk, err);
	if (index >= r->n_processes || r->processes[index].zombie)
		return error_set(err, -EBADMSG, "%s: no such process in the manifest", chunk->space);
	p = &r->processes[index];
	for (size_t i = 0; i < chunk->n_runs; i++) {
		uint64_t len = chunk->runs[i].pages * IMAGE_PAGE;
		int e = fill_run(p, chunk->runs[i].address, data, len);

		if (e == 0 && r->options->verify)
			e = sums_add(&p->sums, chunk->runs[i].address, data, chunk->runs[i].pages);

		if (e == -EBADMSG)
			return error_set(err, e, "%s: pages at %" PRIx64 " outside every private area",
					 chunk->space, chunk->runs[i].address);
		if (e < 0)
			return error_errno(err, e, "%s: fill %" PRIx64, chunk->space,
					   chunk->runs[i].address);
		data += len;
	}
	return 0;
}
