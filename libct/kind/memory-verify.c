/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory read back: while pages are filled in, their checksums are kept (8 bytes a page); afterwards
 * everything that is there is read again through /proc/PID/mem and must have the checksum, or be
 * zero where the image has no page.
 */
#include <inttypes.h>
#include <string.h>
#include <xxhash.h>

#include "images/archive.h"
#include "libct/base/io.h"
#include "libct/kind/aio.h"
#include "libct/kind/memory-restore.h"
#include "libct/kind/pagemap.h"

#define BLOCK 64

int sums_init(struct restore_process *p, struct ct_error *err)
{
	struct page_sums *sums = &p->sums;

	sums->holes = calloc(p->n_threads + p->n_areas, sizeof(*sums->holes));
	if (!sums->holes)
		return error_errno(err, -ENOMEM, "verify");
	for (size_t i = 0; i < p->n_areas; i++)
		if (p->areas[i].aio)
			sums->holes[sums->n_holes++] =
				(struct page_hole){ p->areas[i].start, AIO_NUMBER_SIZE };
	for (size_t i = 0; i < p->n_threads; i++) {
		const struct node *thread = node_object(p->threads[i].node, "thread"), *rseq;

		if (!node_has(thread, "rseq"))
			continue;
		rseq = node_object(thread, "rseq");
		sums->holes[sums->n_holes++] = (struct page_hole){
			node_hex(rseq, "address"), node_u64(rseq, "size", IMAGE_PAGE) };
	}
	return 0;
}

static uint64_t digest(const struct page_sums *sums, uint64_t address, const void *page)
{
	char copy[IMAGE_PAGE];

	for (size_t i = 0; i < sums->n_holes; i++) {
		const struct page_hole *h = &sums->holes[i];
		uint64_t from = h->address > address ? h->address - address : 0, to;

		if (h->address + h->size <= address || h->address >= address + IMAGE_PAGE)
			continue;
		if (page != copy)
			page = memcpy(copy, page, IMAGE_PAGE);
		to = h->address + h->size - address;
		memset(copy + from, 0, (to < IMAGE_PAGE ? to : IMAGE_PAGE) - from);
	}
	return XXH3_64bits(page, IMAGE_PAGE);
}

int sums_add(struct page_sums *sums, uint64_t address, const void *data, uint64_t pages)
{
	if (sums->n + pages + 1 > sums->max) {
		size_t max = sums->max * 2 + pages + 1024;
		struct page_sum *grown = realloc(sums->list, max * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		sums->list = grown;
		sums->max = max;
	}
	for (uint64_t i = 0; i < pages; i++)
		sums->list[sums->n++] = (struct page_sum){
			address + i * IMAGE_PAGE,
			digest(sums, address + i * IMAGE_PAGE, (const char *)data + i * IMAGE_PAGE),
		};
	return 0;
}

static struct page_sum *find(const struct page_sums *sums, uint64_t address)
{
	size_t low = 0, high = sums->n;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (sums->list[mid].address < address)
			low = mid + 1;
		else
			high = mid;
	}
	return low < sums->n && sums->list[low].address == address ? &sums->list[low] : NULL;
}

static int by_address(const void *a, const void *b)
{
	const struct page_sum *x = a, *y = b;

	return (x->address > y->address) - (x->address < y->address);
}

/* What a process inherited was recorded first, then what it was filled with. */
void sums_sort(struct page_sums *sums)
{
	if (sums->n_sorted < sums->n)
		qsort(sums->list, sums->n, sizeof(*sums->list), by_address);
	sums->n_sorted = sums->n;
}

int sums_inherit(struct page_sums *sums, const struct page_sums *parent, uint64_t address,
		 uint64_t pages)
{
	for (uint64_t i = 0; i < pages; i++) {
		const struct page_sum *s = find(parent, address + i * IMAGE_PAGE);
		int e;

		if (!s)
			continue; /* a zero page that both share */
		e = sums_add(sums, s->address, NULL, 0);
		if (e < 0)
			return e;
		sums->list[sums->n++] = *s;
	}
	return 0;
}

static bool is_zero(const char *page)
{
	return !page[0] && !memcmp(page, page + 1, IMAGE_PAGE - 1);
}

/* Compares pages that were read from `address` on; counts those that the image has. */
static int compare(struct page_sums *sums, uint64_t address, const char *data, size_t pages,
		   size_t *seen, const char *what, struct ct_error *err)
{
	for (size_t i = 0; i < pages; i++) {
		struct page_sum *s = find(sums, address + i * IMAGE_PAGE);
		const char *page = data + i * IMAGE_PAGE;

		if (s)
			(*seen)++;
		if (s ? s->sum != digest(sums, address + i * IMAGE_PAGE, page) : !is_zero(page))
			return error_set(err, -EUCLEAN, "%s: the page at %" PRIx64 " differs from the image",
					 what, address + i * IMAGE_PAGE);
	}
	return 0;
}

static int verify_process(struct restore_process *p, const struct dump_process *q,
			  struct ct_error *err)
{
	cleanup_free char *buf = malloc(BLOCK * IMAGE_PAGE);
	size_t seen = 0;
	char what[32];

	if (!buf)
		return error_errno(err, -ENOMEM, "verify");
	snprintf(what, sizeof(what), "pid %d", p->vpid);
	sums_sort(&p->sums);
	for (size_t i = 0; i < q->areas.n; i++) {
		const struct vma *v = &q->areas.v[i];
		struct pagemap_run run;
		struct pagemap_walk walk;
		int e;

		if (!memory_begin(&walk, q->pagemap, v))
			continue;
		while ((e = pagemap_next(&walk, &run)) > 0) {
			for (uint64_t done = 0; done < run.pages; done += BLOCK) {
				size_t n = run.pages - done < BLOCK ? run.pages - done : BLOCK;
				uint64_t address = run.address + done * IMAGE_PAGE;

				e = io_pread_exact(q->mem, buf, n * IMAGE_PAGE, (off_t)address);
				if (e < 0)
					return error_errno(err, e, "%s: read %" PRIx64, what, address);
				e = compare(&p->sums, address, buf, n, &seen, what, err);
				if (e < 0)
					return e;
			}
		}
		if (e < 0)
			return error_errno(err, e, "%s: read 'pagemap'", what);
	}
	if (seen != p->sums.n)
		return error_set(err, -EUCLEAN, "%s: %zu pages of the image are not there", what,
				 p->sums.n - seen);
	return 0;
}

/* What was shared since fork still is, but for zeros, which the image does not have. */
static int verify_shared(struct restore_process *p, struct dump *d, const struct dump_process *q,
			 struct ct_error *err)
{
	const struct dump_process *parent = dump_by_vpid(d, q->parent_vpid);

	for (size_t i = 0; parent && i < p->n_inherited; i++) {
		uint64_t from = p->inherited[i].address;
		const uint64_t end = from + p->inherited[i].pages * IMAGE_PAGE;

		while (from < end) {
			const struct pagemap_run run = { from, (end - from) / IMAGE_PAGE };
			uint64_t at;
			int e = memory_find_parted(q, parent, &run, &at);

			if (e < 0)
				return error_errno(err, e, "pid %d: read 'pagemap'", p->vpid);
			if (at && find(&p->sums, at))
				return error_set(err, -EUCLEAN,
						 "pid %d: the page at %" PRIx64
						 " is no longer shared with its parent",
						 p->vpid, at);
			from = at ? at + IMAGE_PAGE : end;
		}
	}
	return 0;
}

int memory_verify(struct restore *r, struct dump *d, struct ct_error *err)
{
	for (size_t i = 0; i < r->n_processes; i++) {
		struct restore_process *p = &r->processes[i];
		struct dump_process *q = dump_by_vpid(d, p->vpid);
		int e;

		if (p->zombie || !q)
			continue;
		e = verify_process(p, q, err);
		if (e == 0)
			e = verify_shared(p, d, q, err);
		if (e < 0)
			return e;
	}
	return shared_verify(r, err);
}

int sums_verify_file(struct page_sums *sums, int fd, uint64_t size, const char *what,
		     struct ct_error *err)
{
	cleanup_free char *buf = malloc(BLOCK * IMAGE_PAGE);
	size_t seen = 0;

	if (!buf)
		return error_errno(err, -ENOMEM, "verify");
	for (uint64_t at = 0; at < size;) {
		/* Holes are zeros, and a page of the image that became one is missed below. */
		off_t data = lseek(fd, (off_t)at, SEEK_DATA);
		size_t pages;
		ssize_t n;
		int e;

		if (data < 0 && errno == ENXIO)
			break;
		if (data > 0)
			at = (uint64_t)data & ~(uint64_t)(IMAGE_PAGE - 1);
		n = pread(fd, buf, BLOCK * IMAGE_PAGE, (off_t)at);
		if (n <= 0)
			return error_errno(err, n < 0 ? -errno : -EUCLEAN, "read back %s", what);
		pages = ((size_t)n + IMAGE_PAGE - 1) / IMAGE_PAGE;
		memset(buf + n, 0, pages * IMAGE_PAGE - (size_t)n);
		e = compare(sums, at, buf, pages, &seen, what, err);
		if (e < 0)
			return e;
		at += (uint64_t)n;
	}
	if (seen != sums->n)
		return error_set(err, -EUCLEAN, "%s: %zu pages of the image are not there", what,
				 sums->n - seen);
	return 0;
}
