/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A child that is forked from its parent when the parent's memory is whole: the areas with pages
 * that both still share stay mapped, and of these all other pages are dropped, so that what is the
 * child's own can be filled in.
 */
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "images/archive.h"
#include "libct/kind/memory-restore.h"

static int parse(struct restore_process *p, struct ct_error *err)
{
	const struct node *memory = node_object(p->node, "memory");
	const struct node *list = node_array(node_object(memory, "volatile"), "inherited");
	size_t n = node_count(list) / 2;
	uint64_t last = 0;

	p->inherited = calloc(n ? n : 1, sizeof(*p->inherited));
	if (!p->inherited)
		return error_errno(err, -ENOMEM, "inherited pages");
	for (size_t i = 0; i < n; i++) {
		struct page_run *run = &p->inherited[i];

		run->address = node_at_u64(list, 2 * i, 1ULL << 47);
		run->pages = node_at_u64(list, 2 * i + 1, 1ULL << 35);
		if (run->address % IMAGE_PAGE || run->address < last || !run->pages)
			node_complain(list, "runs of pages out of order");
		last = run->address + run->pages * IMAGE_PAGE;
	}
	p->n_inherited = n;
	return doc_check(p->restore->doc, err);
}

/* May a part of `b` in the parent become one of `a` in the child? */
static bool alike(const struct restore_area *a, const struct restore_area *b)
{
	return !b->special && !b->shared && !a->shared && a->descriptor == b->descriptor &&
	       (a->descriptor < 0 || a->offset - a->start == b->offset - b->start);
}

/* Keeps what `a` and the parent's areas have in common. */
static int keep(struct restore_process *p, const struct restore_process *parent,
		const struct restore_area *a)
{
	for (size_t i = 0; i < parent->n_areas; i++) {
		const struct restore_area *b = &parent->areas[i];
		struct kept *grown;

		if (b->end <= a->start || b->start >= a->end || !alike(a, b))
			continue;
		grown = realloc(p->kept, sizeof(*grown) * (p->n_kept + 1));
		if (!grown)
			return -ENOMEM;
		p->kept = grown;
		p->kept[p->n_kept++] = (struct kept){ b->start > a->start ? b->start : a->start,
						      b->end < a->end ? b->end : a->end, b->prot };
	}
	return 0;
}

static bool is_kept(const struct restore_process *p, const struct page_run *run)
{
	uint64_t at = run->address, end = at + run->pages * IMAGE_PAGE;

	for (size_t i = 0; i < p->n_kept && at < end; i++)
		if (p->kept[i].start <= at && at < p->kept[i].end)
			at = p->kept[i].end;
	return at >= end;
}

int memory_plan_inherited(struct restore_process *p, struct ct_error *err)
{
	struct restore_process *parent = restore_by_vpid(p->restore, p->parent_vpid);
	size_t next = 0;
	int e;

	if (!p->inherits)
		return 0;
	e = parse(p, err);
	for (size_t i = 0; e == 0 && i < p->n_areas; i++) {
		struct restore_area *a = &p->areas[i];

		while (next < p->n_inherited &&
		       p->inherited[next].address + p->inherited[next].pages * IMAGE_PAGE <= a->start)
			next++;
		if (a->special || next == p->n_inherited || p->inherited[next].address >= a->end)
			continue;
		a->inherits = true;
		e = keep(p, parent, a);
		if (e < 0)
			return error_errno(err, e, "inherited pages");
	}
	for (size_t i = 0; e == 0 && i < p->n_inherited; i++)
		if (!is_kept(p, &p->inherited[i]))
			e = error_set(err, -EBADMSG, "pages are inherited that the parent does not have");
	/* A parent that has inherited itself. */
	if (p->restore->options->verify)
		sums_sort(&parent->sums);
	for (size_t i = 0; e == 0 && p->restore->options->verify && i < p->n_inherited; i++)
		e = sums_inherit(&p->sums, &parent->sums, p->inherited[i].address,
				 p->inherited[i].pages);
	return e;
}

/* Drops the pages of a kept piece that are not inherited. */
static int drop_others(struct restore_process *p, const struct kept *k, struct ct_error *err)
{
	uint64_t at = k->start;

	for (size_t i = 0; i <= p->n_inherited && at < k->end; i++) {
		uint64_t from = i < p->n_inherited ? p->inherited[i].address : k->end;
		uint64_t to = i < p->n_inherited ? from + p->inherited[i].pages * IMAGE_PAGE : k->end;
		int e;

		if (to <= at && i < p->n_inherited)
			continue;
		if (from > k->end)
			from = k->end;
		if (from > at) {
			e = tape_need(&p->tape, 1, 0, err);
			if (e < 0)
				return e;
			tape_must(&p->tape, "madvise(MADV_DONTNEED)", SYS_madvise, at, from - at,
				  MADV_DONTNEED, 0, 0, 0);
		}
		at = to > at ? to : at;
	}
	return 0;
}

int memory_map_around(struct restore_process *p, struct restore_area *a, struct ct_error *err)
{
	uint64_t at = a->start;
	int e = 0;

	for (size_t i = 0; e == 0 && i < p->n_kept; i++) {
		const struct kept *k = &p->kept[i];

		if (k->end <= a->start || k->start >= a->end)
			continue;
		if (k->start > at)
			e = memory_map_part(p, a, at, k->start, err);
		if (e == 0)
			e = drop_others(p, k, err);
		if (e == 0)
			e = tape_need(&p->tape, 1, 0, err);
		if (e == 0 && k->prot != a->prot)
			tape_must(&p->tape, "mprotect", SYS_mprotect, k->start, k->end - k->start,
				  (uint64_t)a->prot, 0, 0, 0);
		at = k->end;
	}
	if (e == 0 && at < a->end)
		e = memory_map_part(p, a, at, a->end, err);
	return e;
}
