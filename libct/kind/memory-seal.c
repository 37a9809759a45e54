/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an address space gets when its pages are there: locks, before it has heirs; advice, names,
 * guard pages, seals and what the kernel notes of it as a whole, after them.
 */
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "images/archive.h"
#include "libct/base/io.h"
#include "libct/kind/memory-restore.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif
#ifndef PR_SET_VMA /* Linux 5.17 */
#define PR_SET_VMA 0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif
#define SYS_MSEAL 462

static int lock_area(struct restore_area *a, struct tape *tape, struct ct_error *err)
{
	int e = tape_need(tape, 2, 0, err);

	/* Where something in it cannot be touched (mlockall takes that) the lock is there all the same, with ENOMEM. */
	if (e == 0 && a->descriptor < 0 && a->prot & PROT_READ && !node_has(a->node, "guards"))
		tape_must(tape, "mlock", SYS_mlock2, a->start, a->end - a->start,
			  a->flags & VMA_LOCKONFAULT ? MLOCK_ONFAULT : 0, 0, 0, 0);
	else if (e == 0)
		tape_call(tape, SYS_mlock2, a->start, a->end - a->start,
			  a->flags & VMA_LOCKONFAULT ? MLOCK_ONFAULT : 0, 0, 0, 0);
	return e;
}

int memory_filled(struct restore_process *p, struct ct_error *err)
{
	int e = tape_need(&p->tape, 1, 0, err);

	/* Before anything else touches its pages, and before there are more copies of this. */
	p->uffd = fd_close(p->uffd);
	if (e == 0 && p->uffd_number >= 0)
		tape_call(&p->tape, SYS_close, (uint64_t)p->uffd_number, 0, 0, 0, 0, 0);
	p->uffd_number = -1;
	for (size_t i = 0; e == 0 && i < p->n_areas; i++)
		if (p->areas[i].flags & VMA_LOCKED)
			e = lock_area(&p->areas[i], &p->tape, err);
	return e < 0 ? e : restore_run(p, err);
}

static int seal_name(struct restore_area *a, struct tape *tape, struct ct_error *err)
{
	const char *name = node_str(a->node, "name");
	size_t len = strlen(name) + 1;
	int e;

	if (len > 128)
		return error_set(err, -EBADMSG, "an area's name of %zu bytes", len);
	e = tape_need(tape, 2, len, err);
	if (e < 0)
		return e;
	tape_must(tape, "name an area", SYS_prctl, PR_SET_VMA, PR_SET_VMA_ANON_NAME, a->start,
		  a->end - a->start, tape_data(tape, name, len), 0);
	return 0;
}

static int seal_area(struct restore_area *a, struct tape *tape, struct ct_error *err)
{
	static const struct {
		uint32_t flag;
		int advice;
	} advice[] = {
		{ VMA_DONTFORK, MADV_DONTFORK }, { VMA_DONTDUMP, MADV_DONTDUMP },
		{ VMA_WIPEONFORK, MADV_WIPEONFORK }, { VMA_HUGEPAGE, MADV_HUGEPAGE },
		{ VMA_NOHUGEPAGE, MADV_NOHUGEPAGE }, { VMA_MERGEABLE, MADV_MERGEABLE },
		{ VMA_RANDOM, MADV_RANDOM }, { VMA_SEQUENTIAL, MADV_SEQUENTIAL },
	};
	uint64_t len = a->end - a->start;
	const struct node *guards;
	int e = tape_need(tape, 16, 0, err);

	if (e < 0)
		return e;
	for (size_t i = 0; i < sizeof(advice) / sizeof(advice[0]); i++)
		if (a->flags & advice[i].flag)
			tape_must(tape, "madvise", SYS_madvise, a->start, len,
				  (uint64_t)advice[i].advice, 0, 0, 0);
	if (node_has(a->node, "guards")) {
		guards = node_array(a->node, "guards");
		for (size_t i = 0; i + 1 < node_count(guards); i += 2) {
			uint64_t at = node_at_u64(guards, i, USER_TOP);
			uint64_t pages = node_at_u64(guards, i + 1, len / IMAGE_PAGE);

			if (at < a->start || at + pages * IMAGE_PAGE > a->end)
				node_complain(a->node, "guard pages outside their area");
			e = tape_need(tape, 16, 0, err);
			if (e < 0)
				return e;
			tape_must(tape, "madvise(MADV_GUARD_INSTALL)", SYS_madvise, at,
				  pages * IMAGE_PAGE, MADV_GUARD_INSTALL, 0, 0, 0);
		}
	}
	if (node_has(a->node, "name")) {
		e = seal_name(a, tape, err);
		if (e < 0)
			return e;
	}
	if (a->flags & VMA_SEALED)
		tape_must(tape, "mseal", SYS_MSEAL, a->start, len, 0, 0, 0, 0);
	return 0;
}

/* struct prctl_mm_map of <linux/prctl.h>, from the manifest's fields of the same names. */
static int set_mm_map(struct restore_process *p, const struct node *memory, struct ct_error *err)
{
	struct prctl_mm_map map = {
		.start_code = node_hex(memory, "start_code"),
		.end_code = node_hex(memory, "end_code"),
		.start_data = node_hex(memory, "start_data"),
		.end_data = node_hex(memory, "end_data"),
		.start_brk = node_hex(memory, "start_brk"),
		.brk = node_hex(memory, "brk"),
		.start_stack = node_hex(memory, "start_stack"),
		.arg_start = node_hex(memory, "arg_start"),
		.arg_end = node_hex(memory, "arg_end"),
		.env_start = node_hex(memory, "env_start"),
		.env_end = node_hex(memory, "env_end"),
	};
	uint32_t program = (uint32_t)node_u64(memory, "program", UINT32_MAX);
	struct tape *tape = &p->tape;
	size_t auxv_len;
	const void *auxv = node_blob(memory, "auxv", &auxv_len);
	ssize_t fd_entry;
	uint64_t at;
	int fd, e;

	e = doc_check(p->restore->doc, err);
	if (e < 0)
		return e;
	if (auxv_len > 4096)
		return error_set(err, -EBADMSG, "an auxiliary vector of %zu bytes", auxv_len);
	fd = restore_ofd(p->restore, program, err);
	if (fd < 0)
		return fd;
	e = tape_need(tape, 5, auxv_len + sizeof(map) + 64, err);
	if (e < 0)
		return e;
	map.auxv = (void *)tape_data(tape, auxv, auxv_len);
	map.auxv_size = (uint32_t)auxv_len;
	at = tape_data(tape, &map, sizeof(map));
	fd_entry = restore_tape_fd(p, tape, fd, -1, true);
	tape_must(tape, "prctl(PR_SET_MM_MAP)", SYS_prctl, PR_SET_MM, PR_SET_MM_MAP, at,
		  sizeof(map), 0, 0);
	/* exe_fd is the last field: the store of 64 bits spills into the padding of the tape's data. */
	tape_chain_data(tape, (size_t)fd_entry, at + offsetof(struct prctl_mm_map, exe_fd));
	tape_chain(tape, (size_t)fd_entry, tape_call(tape, SYS_close, 0, 0, 0, 0, 0, 0), 0);
	return 0;
}

/* mlockall(MCL_FUTURE), last: from here on what is mapped is locked. */
static int lock_future(struct restore_process *p, const struct node *memory, struct ct_error *err)
{
	const char *when = node_has(memory, "lock_future") ? node_str(memory, "lock_future") : NULL;
	int e = tape_need(&p->tape, 1, 0, err);

	if (e < 0 || !when)
		return e;
	if (strcmp(when, "on fault") && strcmp(when, "at once"))
		node_complain(memory, "lock_future is neither \"on fault\" nor \"at once\"");
	tape_must(&p->tape, "mlockall(MCL_FUTURE)", SYS_mlockall,
		  MCL_FUTURE | (strcmp(when, "on fault") ? 0 : MCL_ONFAULT), 0, 0, 0, 0, 0);
	return doc_check(p->restore->doc, err);
}

int memory_seal(struct restore_process *p, struct ct_error *err)
{
	const struct node *memory = node_object(p->node, "memory");
	int e = tape_need(&p->tape, 4, 0, err);

	if (e < 0)
		return e;
	if (node_bool(memory, "thp_disable"))
		tape_must(&p->tape, "prctl(PR_SET_THP_DISABLE)", SYS_prctl, PR_SET_THP_DISABLE, 1,
			  node_has(memory, "thp_advised") && node_bool(memory, "thp_advised")
				  ? PR_THP_DISABLE_EXCEPT_ADVISED
				  : 0,
			  0, 0, 0);
	if (node_bool(memory, "memory_merge"))
		tape_must(&p->tape, "prctl(PR_SET_MEMORY_MERGE)", SYS_prctl, PR_SET_MEMORY_MERGE, 1, 0,
			  0, 0, 0);
	for (size_t i = 0; i < p->n_areas; i++) {
		if (p->areas[i].special)
			continue;
		e = seal_area(&p->areas[i], &p->tape, err);
		if (e < 0)
			return e;
	}
	e = set_mm_map(p, memory, err);
	if (e == 0)
		e = lock_future(p, memory, err);
	return e < 0 ? e : restore_run(p, err);
}
