/* SPDX-License-Identifier: Apache-2.0 */
#include "libct/kind/pagemap.h"

#include <errno.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define PAGE 4096ULL

/* include/uapi/linux/fs.h; older than the headers we build against. */
struct scan_region {
	uint64_t start, end, categories;
};
struct scan_arg {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
#define SCAN_IOCTL _IOWR('f', 16, struct scan_arg)
#define IS_FILE (1 << 2)
#define IS_PRESENT (1 << 3)
#define IS_SWAPPED (1 << 4)
#define IS_PFNZERO (1 << 5)
#define IS_GUARD (1 << 8)

/* Fills the walk's batch; w->at moves behind what was looked at. */
static int scan(struct pagemap_walk *w, struct scan_arg *arg)
{
	struct scan_region regions[PAGEMAP_BATCH];
	int n;

	arg->size = sizeof(*arg);
	arg->start = w->at;
	arg->end = w->end;
	arg->vec = (uint64_t)(uintptr_t)regions;
	arg->vec_len = PAGEMAP_BATCH;
	do
		n = ioctl(w->pagemap, SCAN_IOCTL, arg);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	for (int i = 0; i < n; i++)
		w->found[i] = (struct pagemap_run){ regions[i].start,
						    (regions[i].end - regions[i].start) / PAGE };
	w->n = (size_t)n;
	w->at = arg->walk_end;
	return 0;
}

/* Bits of an entry: 63 present, 62 swapped, 61 file page or shared anonymous, 58 guard page. */
static int read_entries(struct pagemap_walk *w)
{
	struct pagemap_run *run = NULL;
	uint64_t entry[512];

	while (w->at < w->end) {
		size_t want = (w->end - w->at) / PAGE;
		ssize_t n;

		if (want > 512)
			want = 512;
		n = pread(w->pagemap, entry, want * 8, (off_t)(w->at / PAGE * 8));
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		for (size_t i = 0; i < (size_t)n / 8; i++, w->at += PAGE) {
			bool guard = entry[i] >> 58 & 1;
			bool ours = w->guards ? guard
					      : !guard && entry[i] >> 62 && !(entry[i] >> 61 & 1);

			if (!ours) {
				run = NULL;
				continue;
			}
			if (!run) {
				if (w->n == PAGEMAP_BATCH)
					return 0;
				run = &w->found[w->n++];
				*run = (struct pagemap_run){ w->at, 0 };
			}
			run->pages++;
		}
	}
	return 0;
}

static int fill(struct pagemap_walk *w)
{
	/* Guard pages look swapped out; before Linux 6.15 nothing tells them, and the bit is not known. */
	static const uint64_t not[] = { IS_FILE | IS_PFNZERO | IS_GUARD, IS_FILE | IS_PFNZERO };
	int r = -EINVAL;

	w->n = w->next = 0;
	if (w->guards) {
		struct scan_arg arg = { .category_mask = IS_GUARD, .return_mask = IS_GUARD };

		r = scan(w, &arg);
		if (r == -EINVAL)
			return 0;
	}
	for (size_t i = 0; !w->guards && r == -EINVAL && i < 2; i++) {
		/* The regions are told apart by return_mask: a constant, so that runs are as long as can be. */
		struct scan_arg arg = { .category_inverted = not[i], .category_mask = not[i],
					.category_anyof_mask = IS_PRESENT | IS_SWAPPED,
					.return_mask = IS_FILE };

		r = scan(w, &arg);
	}
	return r == -ENOTTY || r == -EINVAL ? read_entries(w) : r;
}

void pagemap_begin(struct pagemap_walk *w, int pagemap, uint64_t at, uint64_t end)
{
	w->pagemap = pagemap;
	w->at = at;
	w->end = end;
	w->guards = false;
	w->n = w->next = 0;
}

void pagemap_begin_guards(struct pagemap_walk *w, int pagemap, uint64_t at, uint64_t end)
{
	pagemap_begin(w, pagemap, at, end);
	w->guards = true;
}

void pagemap_begin_all(struct pagemap_walk *w, uint64_t at, uint64_t end)
{
	pagemap_begin(w, -1, end, end);
	w->found[w->n++] = (struct pagemap_run){ at, (end - at) / PAGE };
}

int pagemap_next(struct pagemap_walk *w, struct pagemap_run *ret)
{
	while (w->next == w->n) {
		int r;

		if (w->at >= w->end)
			return 0;
		r = fill(w);
		if (r < 0)
			return r;
		if (!w->n && w->guards && w->at < w->end)
			return 0; /* this kernel cannot tell */
	}
	*ret = w->found[w->next++];
	return 1;
}

bool pagemap_can_scan(int pagemap)
{
	struct scan_arg arg = { .category_mask = IS_PRESENT, .return_mask = IS_PRESENT };
	struct pagemap_walk w;

	pagemap_begin(&w, pagemap, 0, PAGE);
	return scan(&w, &arg) >= 0;
}
