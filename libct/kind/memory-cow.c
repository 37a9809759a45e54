/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages that a process still shares with its parent since fork(2): the same page frame at the same
 * address (/proc/PID/pagemap shows frame numbers to root). They are saved with the parent only; at
 * restore the child is forked from the parent when the parent's memory is whole, and keeps them.
 */
#include <string.h>

#include "images/archive.h"
#include "libct/base/io.h"
#include "libct/kind/memory.h"
#include "libct/tree-plan.h"

#define BLOCK 512
#define FRAME(entry) ((entry) & ((1ULL << 55) - 1))
#define IS_FILE(entry) ((entry) >> 61 & 1)
#define IS_PRESENT(entry) ((entry) >> 63)

static int append(struct dump_process *p, uint64_t address)
{
	struct pagemap_run *last = p->n_inherited ? &p->inherited[p->n_inherited - 1] : NULL;

	if (last && last->address + last->pages * IMAGE_PAGE == address) {
		last->pages++;
		return 0;
	}
	if (p->n_inherited == p->max_inherited) {
		size_t max = p->max_inherited ? p->max_inherited * 2 : 64;
		struct pagemap_run *grown = realloc(p->inherited, max * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		p->inherited = grown;
		p->max_inherited = max;
	}
	p->inherited[p->n_inherited++] = (struct pagemap_run){ address, 1 };
	return 0;
}

/* The pagemap entries of `n` pages from `address` on in both. */
static int read_both(const struct dump_process *p, const struct dump_process *parent, uint64_t address,
		     size_t n, uint64_t *ret_mine, uint64_t *ret_theirs)
{
	off_t at = (off_t)(address / IMAGE_PAGE * 8);
	int r = io_pread_exact(p->pagemap, ret_mine, n * 8, at);

	return r < 0 ? r : io_pread_exact(parent->pagemap, ret_theirs, n * 8, at);
}

static int compare_run(struct dump_process *p, const struct dump_process *parent,
		       const struct pagemap_run *run)
{
	uint64_t mine[BLOCK], theirs[BLOCK];

	for (uint64_t done = 0; done < run->pages; done += BLOCK) {
		size_t n = run->pages - done < BLOCK ? run->pages - done : BLOCK;
		uint64_t at = run->address + done * IMAGE_PAGE;
		int r = read_both(p, parent, at, n, mine, theirs);

		for (size_t i = 0; r == 0 && i < n; i++)
			if (IS_PRESENT(mine[i]) && IS_PRESENT(theirs[i]) && FRAME(mine[i]) &&
			    FRAME(mine[i]) == FRAME(theirs[i]) && !IS_FILE(mine[i]))
				r = append(p, at + i * IMAGE_PAGE);
		if (r < 0)
			return r;
	}
	return 0;
}

int memory_find_parted(const struct dump_process *p, const struct dump_process *parent,
		       const struct pagemap_run *run, uint64_t *ret)
{
	uint64_t mine[BLOCK], theirs[BLOCK];

	*ret = 0;
	for (uint64_t done = 0; done < run->pages; done += BLOCK) {
		size_t n = run->pages - done < BLOCK ? run->pages - done : BLOCK;
		uint64_t at = run->address + done * IMAGE_PAGE;
		int r = read_both(p, parent, at, n, mine, theirs);

		if (r < 0)
			return r;
		for (size_t i = 0; i < n; i++)
			if (IS_PRESENT(mine[i]) && IS_PRESENT(theirs[i]) &&
			    FRAME(mine[i]) != FRAME(theirs[i])) {
				*ret = at + i * IMAGE_PAGE;
				return 0;
			}
	}
	return 0;
}

/* Areas that fork(2) made alike: what the child's page is mapped by must be there in the parent too. */
static bool alike(const struct vma *a, const struct vma *b)
{
	return b && memory_is_private(a) && memory_is_private(b) && a->inode == b->inode &&
	       a->major == b->major && a->minor == b->minor &&
	       (!a->inode || a->offset - a->start == b->offset - b->start);
}

int memory_find_inherited(struct dump *d, struct dump_process *p)
{
	struct dump_process *parent = dump_by_vpid(d, p->parent_vpid);
	int r = 0;

	/* After an exec nothing is shared. */
	if (!parent || parent->zombie || parent->stat.f[28] != p->stat.f[28])
		return 0;
	/* Some must be made while their parent is in an earlier session, or by somebody else. */
	if (!d->tree || !tree_plan_may_inherit(d->tree, p->index))
		return 0;
	for (size_t i = 0; i < p->areas.n; i++) {
		const struct vma *v = &p->areas.v[i];
		struct pagemap_run run;
		struct pagemap_walk walk;

		if (!memory_is_saved(v))
			continue;
		pagemap_begin(&walk, p->pagemap, v->start, v->end);
		while ((r = pagemap_next(&walk, &run)) > 0) {
			uint64_t end = run.address + run.pages * IMAGE_PAGE;

			/* Cut where the parent's areas end. */
			for (uint64_t from = run.address; r >= 0 && from < end;) {
				const struct vma *w = vma_find(&parent->areas, from);
				uint64_t to = w && w->end < end ? w->end : end;
				struct pagemap_run part = { from, (to - from) / IMAGE_PAGE };

				if (!w) {
					part.pages = 1;
					to = from + IMAGE_PAGE;
				} else if (alike(v, w)) {
					r = compare_run(p, parent, &part);
				}
				from = to;
			}
			if (r < 0)
				return r;
		}
		if (r < 0)
			return r;
	}
	return 0;
}

bool memory_next_own(const struct dump_process *p, size_t *hint, struct pagemap_run *run,
		     struct pagemap_run *rest)
{
	uint64_t end = run->address + run->pages * IMAGE_PAGE;

	rest->pages = 0;
	while (*hint < p->n_inherited) {
		const struct pagemap_run *h = &p->inherited[*hint];
		uint64_t h_end = h->address + h->pages * IMAGE_PAGE;

		if (h_end <= run->address) {
			(*hint)++;
			continue;
		}
		if (h->address >= end)
			break;
		if (h->address > run->address) {
			/* The part in front of it now, what follows the next time. */
			rest->address = h->address;
			rest->pages = (end - h->address) / IMAGE_PAGE;
			run->pages = (h->address - run->address) / IMAGE_PAGE;
			return true;
		}
		if (h_end >= end)
			return false;
		run->address = h_end;
		run->pages = (end - h_end) / IMAGE_PAGE;
	}
	return true;
}
