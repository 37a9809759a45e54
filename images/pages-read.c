// SPDX-License-Identifier: Apache-2.0
/*
 * Chunks on their way out of the image: one thread reads ahead and checks headers, workers check
 * payloads and decompress, the caller gets the chunks in order.
 */
#include "images/reader-impl.h"

#include <errno.h>
#include <inttypes.h>
#include <lz4.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "images/chunk.h"
#include "images/node.h"
#include "images/pipeline.h"

#define SLOTS 4
#define WORKERS 2

struct area {
	void *data;
	size_t size;
};

struct slot {
	char member[TAR_PATH_MAX];
	char space[SPACE_MAX];
	struct area header, payload, pages;
	const void *data; /* the pages: in `payload`, or decompressed in `pages` */
	struct ct_error error;
};

struct pages_reader {
	struct pipeline *pipeline;
	pthread_t thread;
	bool running;
	struct slot slots[SLOTS];
	ZSTD_DCtx *zstd[WORKERS];
	struct slot *current; /* the caller's */
	/* The reading thread's, until it is joined. */
	struct doc *seen; /* the spaces so far, as keys */
	char space[SPACE_MAX];
	uint64_t number, floor;
	struct ct_error error;
};

/* Old contents are not kept. */
static int area_reserve(struct area *a, size_t size)
{
	size_t rounded = (size + IMAGE_PAGE - 1) / IMAGE_PAGE * IMAGE_PAGE;

	if (size <= a->size)
		return 0;
	free(a->data);
	a->size = 0;
	a->data = aligned_alloc(IMAGE_PAGE, rounded);
	if (!a->data)
		return -ENOMEM;
	a->size = rounded;
	return 0;
}

/* ---- workers ---- */

static int decompress(struct pages_reader *p, struct slot *s, unsigned int worker)
{
	const struct chunk_header *h = s->header.data;
	size_t size = h->pages * IMAGE_PAGE, n;
	int r;

	if (area_reserve(&s->pages, size) < 0)
		return -ENOMEM;
	s->data = s->pages.data;
	if (h->compression == IMAGE_COMPRESS_LZ4) {
		r = LZ4_decompress_safe(s->payload.data, s->pages.data, (int)h->payload_size,
					(int)size);
		return r >= 0 && (size_t)r == size ? 0 : -EBADMSG;
	}
	n = ZSTD_decompressDCtx(p->zstd[worker], s->pages.data, size, s->payload.data,
				h->payload_size);
	return !ZSTD_isError(n) && n == size ? 0 : -EBADMSG;
}

static void work(void *ctx, void *item, unsigned int worker)
{
	struct slot *s = item;
	const struct chunk_header *h = s->header.data;
	int r;

	s->error.code = 0;
	s->data = s->payload.data;
	if (XXH3_64bits(s->payload.data, h->payload_size) != h->payload_xxh3) {
		error_set(&s->error, -EBADMSG, "%s: checksum differs", s->member);
	} else if (h->compression) {
		r = decompress(ctx, s, worker);
		if (r == -ENOMEM)
			error_set(&s->error, r, "%s: out of memory", s->member);
		else if (r < 0)
			error_set(&s->error, r, "%s: cannot be decompressed", s->member);
	}
}

/* ---- the reading thread ---- */

/* Chunks of a space come one behind another, numbered from 0; a space comes once. */
static int check_name(struct archive_reader *r, struct slot *s, struct ct_error *err)
{
	struct pages_reader *p = r->pages;
	uint64_t number = 0;
	int e;

	memcpy(s->member, r->head.path, sizeof(s->member));
	if (!chunk_name_parse(s->member, s->space, &number))
		return error_set(err, -EBADMSG, "%s: no name of a chunk", s->member);
	if (strcmp(s->space, p->space)) {
		node_put_bool(doc_root(p->seen), s->space, true);
		e = doc_check(p->seen, NULL);
		if (e == -EBADMSG)
			return error_set(err, e, "%s: its space was there already", s->member);
		if (e < 0)
			return error_set(err, e, "out of memory");
		if (s->space[0] == 'm' && p->space[0] == 's')
			return error_set(err, -EBADMSG, "%s: out of order", s->member);
		memcpy(p->space, s->space, sizeof(p->space));
		p->number = p->floor = 0;
	}
	if (number != p->number)
		return error_set(err, -EBADMSG, "%s: %s/%" PRIu64 ".pages should be here",
				 s->member, p->space, p->number);
	p->number++;
	if (r->source.offset % IMAGE_PAGE)
		return error_set(err, -EBADMSG, "%s: its data is not aligned", s->member);
	return head_check(&r->head, "", r->head.records, err);
}

static int read_header(struct archive_reader *r, struct slot *s, struct ct_error *err)
{
	struct chunk_header fixed, *h;
	const struct page_run *last;
	int e;

	if (r->head.size < sizeof(fixed))
		return error_set(err, -EBADMSG, "%s: member size differs", s->member);
	e = source_read(&r->source, &fixed, sizeof(fixed));
	if (e < 0)
		return read_failed(e, s->member, err);
	e = chunk_header_check(&fixed, r->head.size, s->member, err);
	if (e < 0)
		return e;
	if (area_reserve(&s->header, fixed.header_size) < 0)
		return error_set(err, -ENOMEM, "out of memory");
	h = s->header.data;
	*h = fixed;
	e = source_read(&r->source, h->runs, h->header_size - sizeof(fixed));
	if (e < 0)
		return read_failed(e, s->member, err);
	e = chunk_runs_check(h, s->space, r->pages->floor, s->member, err);
	if (e < 0)
		return e;
	last = &h->runs[h->n_runs - 1];
	r->pages->floor = last->address + last->pages * IMAGE_PAGE;
	return 0;
}

static int read_chunk(struct archive_reader *r, struct slot *s, struct ct_error *err)
{
	unsigned char padding[TAR_BLOCK];
	const struct chunk_header *h;
	size_t pad;
	int e = check_name(r, s, err);

	if (e == 0)
		e = read_header(r, s, err);
	if (e < 0)
		return e;
	h = s->header.data;
	if (area_reserve(&s->payload, h->payload_size) < 0)
		return error_set(err, -ENOMEM, "out of memory");
	e = source_read(&r->source, s->payload.data, h->payload_size);
	pad = tar_padded(h->payload_size) - h->payload_size;
	if (e == 0)
		e = source_read(&r->source, padding, pad);
	if (e < 0)
		return read_failed(e, s->member, err);
	for (size_t i = 0; i < pad; i++)
		if (padding[i])
			return error_set(err, -EBADMSG, "%s: bytes behind its data", s->member);
	if (rows_add(&r->rows, s->member, r->head.size, h->header_xxh3) < 0)
		return error_set(err, -ENOMEM, "out of memory");
	r->head.waiting = false;
	return 0;
}

static void *read_thread(void *arg)
{
	struct archive_reader *r = arg;
	struct pages_reader *p = r->pages;
	char space[SPACE_MAX];
	uint64_t number;

	/* What is wrong here comes after the chunks that were right: pages_next() keeps that order.
	 */
	while (head_read(r, &p->error) == 0 && chunk_name_parse(r->head.path, space, &number)) {
		struct slot *s = pipeline_acquire(p->pipeline);

		if (!s || read_chunk(r, s, &p->error) < 0)
			break;
		pipeline_submit(p->pipeline);
	}
	pipeline_close(p->pipeline);
	return NULL;
}

/* ---- the caller's side ---- */

int pages_start(struct archive_reader *r, struct ct_error *err)
{
	struct pages_reader *p = calloc(1, sizeof(*p));
	void *items[SLOTS];
	int e = 0;

	if (!p)
		return error_set(err, -ENOMEM, "out of memory");
	r->pages = p;
	for (size_t i = 0; i < SLOTS; i++)
		items[i] = &p->slots[i];
	p->seen = doc_new();
	for (size_t i = 0; i < WORKERS; i++) {
		p->zstd[i] = ZSTD_createDCtx();
		if (!p->zstd[i])
			e = -ENOMEM;
	}
	if (!p->seen)
		e = -ENOMEM;
	if (e == 0)
		e = pipeline_new(items, SLOTS, WORKERS, work, p, &p->pipeline);
	if (e == 0)
		e = helper_thread_start(&p->thread, read_thread, r);
	if (e < 0)
		return error_errno(err, e, "read the image: start threads");
	p->running = true;
	return 0;
}

static void join(struct pages_reader *p)
{
	if (p->running)
		pthread_join(p->thread, NULL);
	p->running = false;
}

int pages_next(struct archive_reader *r, struct ct_error *err)
{
	struct pages_reader *p = r->pages;

	if (p->current)
		pipeline_release(p->pipeline);
	p->current = pipeline_take(p->pipeline);
	if (p->current) {
		if (p->current->error.code)
			return error_set(err, p->current->error.code, "%s", p->current->error.text);
		return 1;
	}
	join(p);
	return p->error.code ? error_set(err, p->error.code, "%s", p->error.text) : 0;
}

int archive_read_pages(struct archive_reader *r, struct pages_chunk *ret, struct ct_error *err)
{
	const struct chunk_header *h;
	struct slot *s;

	if (r->error.code)
		return error_set(err, r->error.code, "%s", r->error.text);
	s = r->pages ? r->pages->current : NULL;
	if (!s)
		return error_set(err, -EINVAL, "read the image: no pages to read here");
	h = s->header.data;
	*ret = (struct pages_chunk){
		.runs = h->runs, .n_runs = h->n_runs, .data = s->data, .n_pages = h->pages
	};
	memcpy(ret->space, h->space, sizeof(ret->space));
	return 0;
}

void pages_reader_free(struct archive_reader *r)
{
	struct pages_reader *p = r->pages;

	if (!p)
		return;
	if (p->pipeline)
		pipeline_stop(p->pipeline);
	join(p);
	pipeline_free(p->pipeline);
	for (size_t i = 0; i < WORKERS; i++)
		ZSTD_freeDCtx(p->zstd[i]);
	for (size_t i = 0; i < SLOTS; i++) {
		free(p->slots[i].header.data);
		free(p->slots[i].payload.data);
		free(p->slots[i].pages.data);
	}
	doc_free(p->seen);
	free(p);
	r->pages = NULL;
}
