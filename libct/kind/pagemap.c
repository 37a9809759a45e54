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

static int scan(int pagemap, struct scan_arg *arg, uint64_t *at, uint64_t end,
		struct pagemap_run *ret)
{
	struct scan_region region;

	arg->size = sizeof(*arg);
	arg->start = *at;
	arg->end = end;
	arg->vec = (uint64_t)(uintptr_t)&region;
	arg->vec_len = 1;
	for (;;) {
		int n = ioctl(pagemap, SCAN_IOCTL, arg);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		*at = arg->walk_end;
		if (n == 0)
			return 0;
		ret->address = region.start;
		ret->pages = (region.end - region.start) / PAGE;
		return 1;
	}
}

/* Bits of an entry: 63 present, 62 swapped, 61 file page or shared anonymous. */
static int read_entries(int pagemap, uint64_t *at, uint64_t end, struct pagemap_run *ret)
{
	uint64_t entry[512];

	ret->pages = 0;
	while (*at < end) {
		size_t want = (end - *at) / PAGE;
		ssize_t n;

		if (want > 512)
			want = 512;
		n = pread(pagemap, entry, want * 8, (off_t)(*at / PAGE * 8));
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		for (size_t i = 0; i < (size_t)n / 8; i++, *at += PAGE) {
			int ours = entry[i] >> 62 && !(entry[i] >> 61 & 1);

			if (ours && !ret->pages)
				ret->address = *at;
			if (!ours && ret->pages)
				return 1;
			ret->pages += (uint64_t)ours;
		}
	}
	return ret->pages > 0;
}

int pagemap_next(int pagemap, uint64_t *at, uint64_t end, struct pagemap_run *ret)
{
	struct scan_arg arg = {
		.category_inverted = IS_FILE | IS_PFNZERO,
		.category_mask = IS_FILE | IS_PFNZERO,
		.category_anyof_mask = IS_PRESENT | IS_SWAPPED,
	};
	int r;

	if (*at >= end)
		return 0;
	/* The regions are told apart by this: a constant, so that runs are as long as can be. */
	arg.return_mask = IS_FILE;
	r = scan(pagemap, &arg, at, end, ret);
	return r == -ENOTTY || r == -EINVAL ? read_entries(pagemap, at, end, ret) : r;
}

int pagemap_next_guard(int pagemap, uint64_t *at, uint64_t end, struct pagemap_run *ret)
{
	struct scan_arg arg = { .category_mask = IS_GUARD, .return_mask = IS_GUARD };
	int r;

	if (*at >= end)
		return 0;
	r = scan(pagemap, &arg, at, end, ret);
	return r == -ENOTTY || r == -EINVAL ? 0 : r;
}

bool pagemap_can_scan(int pagemap)
{
	struct scan_arg arg = { .category_mask = IS_PRESENT, .return_mask = IS_PRESENT };
	struct pagemap_run run;
	uint64_t at = 0;

	return scan(pagemap, &arg, &at, PAGE, &run) >= 0;
}
