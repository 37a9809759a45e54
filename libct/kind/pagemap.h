/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which pages of an address space hold something: the PAGEMAP_SCAN ioctl (Linux 6.7,
 * Documentation/admin-guide/mm/pagemap.rst) with the 64-bit entries of /proc/PID/pagemap as the way
 * for older kernels.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pagemap_run {
	uint64_t address, pages;
};

/*
 * The next run of pages in [*at, end) that are present or swapped out and neither the mapped file's own
 * nor the shared zero page; *at moves behind it. 1: there is one, 0: none, or a negative errno.
 */
int pagemap_next(int pagemap, uint64_t *at, uint64_t end, struct pagemap_run *ret);

/* Does this kernel have PAGEMAP_SCAN? */
bool pagemap_can_scan(int pagemap);

/* The same for guard pages (MADV_GUARD_INSTALL, man 2 madvise); none to be seen before Linux 6.15. */
int pagemap_next_guard(int pagemap, uint64_t *at, uint64_t end, struct pagemap_run *ret);
