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

#define PAGEMAP_BATCH 128

/* A walk over [at, end) of an address space. Nothing to release. */
struct pagemap_walk {
	int pagemap; /* /proc/PID/pagemap; the caller's */
	uint64_t at, end;
	bool guards;
	struct pagemap_run found[PAGEMAP_BATCH];
	size_t n, next;
};

/* Begins a walk over pages that are present or swapped out and neither the mapped file's own nor the shared zero page. */
void pagemap_begin(struct pagemap_walk *w, int pagemap, uint64_t at, uint64_t end);
/* The same for guard pages (MADV_GUARD_INSTALL, man 2 madvise); none to be seen before Linux 6.15. */
void pagemap_begin_guards(struct pagemap_walk *w, int pagemap, uint64_t at, uint64_t end);
/* A walk over all pages, whatever they hold. */
void pagemap_begin_all(struct pagemap_walk *w, uint64_t at, uint64_t end);

/* The next run. 1: there is one, 0: none any more, or a negative errno. */
int pagemap_next(struct pagemap_walk *w, struct pagemap_run *ret);

/* Does this kernel have PAGEMAP_SCAN? */
bool pagemap_can_scan(int pagemap);
