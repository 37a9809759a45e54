// SPDX-License-Identifier: Apache-2.0
/*
 * Pages on their way into the image: the caller fills a slot, a worker drops zero pages, compresses
 * and hashes it, one thread writes the slots in order. For the few pages of a small pod the caller
 * does all of that itself: threads would cost more than they save.
 *
 * A slot's memory, one or two of these areas (the second for compressed data):
 *
 *	| room for the tar head | room for the chunk header | pages or payload ...      |
 *	                    head ends and header ends here -^ (aligned)
 *
 * so that head, header and payload leave in one write, aligned throughout when the pages are not
 * compressed.
 */
#include "images/writer-impl.h"

#include <errno.h>
#include <lz4.h>
#include <lz4hc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include "images/node.h"
#include "images/tar.h"

#define SLOTS 8
#define PLAIN_PAGES 960	     /* of one chunk: all slots together stay within 32 MB */
#define COMPRESSED_PAGES 448 /* two areas then */
#define WORKERS_MAX 4
#define ALONE_MAX 8 /* slots, none of them full, that the caller deals with itself */

#define HEAD_ROOM (2 * IMAGE_PAGE)
#define HEADER_ROOM chunk_header_size(PLAIN_PAGES)
#define TAIL_ROOM IMAGE_PAGE /* the padding of compressed data */

struct slot {
	char space[SPACE_MAX];
	struct page_run runs[PLAIN_PAGES];
	bool keep[PLAIN_PAGES]; /* of each run: zeros too */
	size_t n_runs, n_pages;
	unsigned char *pages, *packed; /* behind the rooms of each area */
	/* What the worker made of it. n_pages == 0: nothing is left. */
	unsigned char *payload;
	size_t payload_size, header_size;
	int result;
};

struct pages_writer {
	struct pipeline *pipeline; /* NULL: the caller is alone so far */
	unsigned int alone;	   /* slots that it has dealt with */
	pthread_t thread;
	bool running;
	struct slot *slot;     /* the one being filled */
	char space[SPACE_MAX]; /* "": none begun */
	struct doc *seen;      /* the spaces so far, as keys */
	uint64_t floor;
	size_t max_pages;
	size_t reserved;
	uint64_t reserved_address;
	bool keep_zeros;
	ZSTD_CCtx *zstd[WORKERS_MAX];
	struct slot slots[SLOTS];
	unsigned char *memory;
	/* The writing thread's, until it is joined. */
	char last_space[SPACE_MAX];
	uint64_t number;
	int error;
};

/* ---- workers ---- */

static bool page_is_zero(const unsigned char *page)
{
	const uint64_t *p = (const uint64_t *)page;

	for (size_t i = 0; i < IMAGE_PAGE / sizeof(*p); i += 8)
		if (p[i] | p[i + 1] | p[i + 2] | p[i + 3] | p[i + 4] | p[i + 5] | p[i + 6] |
		    p[i + 7])
			return false;
	return true;
}

/* Leaves zero pages out: moves the others together and makes the run table anew. */
static void drop_zero_pages(struct slot *s, struct page_run *ret_runs)
{
	size_t from = 0, to = 0, n = 0;
	uint64_t end = 0;

	for (size_t i = 0; i < s->n_runs; i++) {
		for (uint64_t k = 0; k < s->runs[i].pages; k++, from++) {
			uint64_t address = s->runs[i].address + k * IMAGE_PAGE;
			unsigned char *page = s->pages + from * IMAGE_PAGE;

			if (!s->keep[i] && page_is_zero(page))
				continue;
			if (to != from)
				memcpy(s->pages + to * IMAGE_PAGE, page, IMAGE_PAGE);
			to++;
			if (n && address == end)
				ret_runs[n - 1].pages++;
			else
				ret_runs[n++] = (struct page_run){ address, 1 };
			end = address + IMAGE_PAGE;
		}
	}
	s->n_runs = n;
	s->n_pages = to;
}

/* The compressed size, 0 where it would not be smaller. */
static size_t compress(struct archive_writer *w, struct slot *s, unsigned int worker)
{
	size_t size = s->n_pages * IMAGE_PAGE, n;
	int r;

	if (w->compress == IMAGE_COMPRESS_LZ4) {
		r = w->level < LZ4HC_CLEVEL_MIN
			    ? LZ4_compress_default((char *)s->pages, (char *)s->packed, (int)size,
						   (int)size - 1)
			    : LZ4_compress_HC((char *)s->pages, (char *)s->packed, (int)size,
					      (int)size - 1, w->level);
		return r > 0 ? (size_t)r : 0;
	}
	n = ZSTD_compressCCtx(w->pages->zstd[worker], s->packed, size - 1, s->pages, size,
			      w->level);
	return ZSTD_isError(n) ? 0 : n;
}

static void work(void *ctx, void *item, unsigned int worker)
{
	struct archive_writer *w = ctx;
	struct slot *s = item;
	enum image_compress compression = IMAGE_COMPRESS_NONE;
	struct page_run runs[PLAIN_PAGES];
	struct chunk_header *header;
	size_t packed = 0;

	drop_zero_pages(s, runs);
	if (!s->n_pages)
		return;
	if (w->compress != IMAGE_COMPRESS_NONE)
		packed = compress(w, s, worker);
	if (packed)
		compression = w->compress;
	s->payload = packed ? s->packed : s->pages;
	s->payload_size = packed ? packed : s->n_pages * IMAGE_PAGE;
	memset(s->payload + s->payload_size, 0, tar_padded(s->payload_size) - s->payload_size);
	s->header_size = chunk_header_size(s->n_runs);
	header = (struct chunk_header *)(s->payload - s->header_size);
	memset(header, 0, s->header_size);
	memcpy(header->runs, runs, s->n_runs * sizeof(runs[0]));
	chunk_header_seal(header, s->space, s->n_runs, s->n_pages, compression, s->payload,
			  s->payload_size);
}

/* ---- the writing thread ---- */

static int write_chunk(struct archive_writer *w, struct slot *s)
{
	struct pages_writer *p = w->pages;
	const struct chunk_header *header = (void *)(s->payload - s->header_size);
	uint64_t size = s->header_size + s->payload_size, offset = w->sink.offset;
	size_t head, record;
	char name[SPACE_MAX + 32];
	unsigned char *at;
	int r = 0;

	if (strcmp(p->last_space, s->space)) {
		memcpy(p->last_space, s->space, sizeof(s->space));
		p->number = 0;
	}
	snprintf(name, sizeof(name), "%s/%llu.pages", s->space, (unsigned long long)p->number++);
	/* The record between the two ustar blocks takes up the slack: data begins on a page. */
	record = IMAGE_PAGE - (offset + 2 * TAR_BLOCK) % IMAGE_PAGE;
	head = tar_member_size("", record);
	at = (unsigned char *)header - head;
	tar_build_member(at, name, size, w->mtime, "", record);
	if (offset % IMAGE_PAGE) {
		r = sink_write(&w->sink, at, head);
		at += head;
		head = 0;
	}
	if (r == 0)
		r = sink_write_pages(&w->sink, at,
				     head + s->header_size + tar_padded(s->payload_size));
	if (r == 0)
		r = rows_add(&w->rows, name, size, header->header_xxh3);
	w->pages_written += s->n_pages;
	return r;
}

static void *write_thread(void *arg)
{
	struct archive_writer *w = arg;
	struct pages_writer *p = w->pages;
	struct slot *s;

	while ((s = pipeline_take(p->pipeline))) {
		if (s->n_pages)
			p->error = write_chunk(w, s);
		pipeline_release(p->pipeline);
		if (p->error < 0) {
			pipeline_stop(p->pipeline);
			break;
		}
	}
	return NULL;
}

/* ---- life ---- */

static unsigned int worker_count(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	return n < 2 ? 2 : n > WORKERS_MAX ? WORKERS_MAX : (unsigned int)n;
}

static int allocate(struct archive_writer *w, struct pages_writer *p)
{
	bool packed = w->compress != IMAGE_COMPRESS_NONE;
	size_t front = HEAD_ROOM + HEADER_ROOM, area;

	p->seen = doc_new();
	if (!p->seen)
		return -ENOMEM;
	p->max_pages = packed ? COMPRESSED_PAGES : PLAIN_PAGES;
	area = front + p->max_pages * IMAGE_PAGE + TAIL_ROOM;
	p->memory = aligned_alloc(IMAGE_PAGE, area * SLOTS * (packed ? 2 : 1));
	if (!p->memory)
		return -ENOMEM;
	for (size_t i = 0; i < SLOTS; i++) {
		p->slots[i].pages = p->memory + area * i + front;
		p->slots[i].packed = packed ? p->memory + area * (SLOTS + i) + front : NULL;
	}
	for (size_t i = 0; w->compress == IMAGE_COMPRESS_ZSTD && i < WORKERS_MAX; i++) {
		p->zstd[i] = ZSTD_createCCtx();
		if (!p->zstd[i])
			return -ENOMEM;
	}
	return 0;
}

static int start(struct archive_writer *w, struct ct_error *err)
{
	struct pages_writer *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return writer_fail(w, err, -ENOMEM, "write the image");
	w->pages = p;
	r = allocate(w, p);
	return r < 0 ? writer_fail(w, err, r, "write the image") : 0;
}

static int start_threads(struct archive_writer *w)
{
	struct pages_writer *p = w->pages;
	void *items[SLOTS];
	int r;

	for (size_t i = 0; i < SLOTS; i++)
		items[i] = &p->slots[i];
	r = pipeline_new(items, SLOTS, worker_count(), work, w, &p->pipeline);
	if (r == 0)
		r = helper_thread_start(&p->thread, write_thread, w);
	if (r == 0)
		p->running = true;
	return r;
}

static void join(struct pages_writer *p)
{
	if (p->running)
		pthread_join(p->thread, NULL);
	p->running = false;
}

int pages_writer_finish(struct archive_writer *w, struct ct_error *err)
{
	struct pages_writer *p = w->pages;

	if (!p)
		return 0;
	if (p->space[0])
		return writer_misuse(w, err, "the pages are not ended");
	if (p->pipeline)
		pipeline_close(p->pipeline);
	join(p);
	return p->error < 0 ? writer_fail(w, err, p->error, "write the image") : 0;
}

void pages_writer_free(struct archive_writer *w)
{
	struct pages_writer *p = w->pages;

	if (!p)
		return;
	if (p->pipeline)
		pipeline_stop(p->pipeline);
	join(p);
	pipeline_free(p->pipeline);
	for (size_t i = 0; i < WORKERS_MAX; i++)
		ZSTD_freeCCtx(p->zstd[i]);
	doc_free(p->seen);
	free(p->memory);
	free(p);
	w->pages = NULL;
}

/* ---- the caller's side ---- */

/* The pipeline was stopped: the writing thread met an error and has left. */
static int thread_failed(struct archive_writer *w, struct ct_error *err)
{
	join(w->pages);
	return writer_fail(w, err, w->pages->error, "write the image");
}

/* A free slot; NULL: the writing thread has met an error. */
static struct slot *acquire(struct pages_writer *p)
{
	return p->pipeline ? pipeline_acquire(p->pipeline) : &p->slots[0];
}

static int submit(struct archive_writer *w, struct ct_error *err)
{
	struct pages_writer *p = w->pages;
	struct slot *s = p->slot;
	int r = 0;

	p->slot = NULL;
	if (!p->pipeline && s->n_pages < p->max_pages && p->alone < ALONE_MAX) {
		p->alone++;
		work(w, s, 0);
		if (s->n_pages)
			p->error = write_chunk(w, s);
		return p->error < 0 ? writer_fail(w, err, p->error, "write the image") : 0;
	}
	if (!p->pipeline) {
		r = start_threads(w);
		if (r < 0)
			return writer_fail(w, err, r, "write the image: start threads");
		/* It is slots[0], which is where the ring begins. */
		pipeline_acquire(p->pipeline);
	}
	pipeline_submit(p->pipeline);
	return 0;
}

int pages_begin(struct archive_writer *w, const char *space, struct ct_error *err)
{
	int r;

	if (!space_valid(space))
		return writer_misuse(w, err, "no name of a space");
	r = writer_enter(w, space[0] == 'm' ? WRITE_MEM : WRITE_SHM, err);
	if (r == 0 && !w->pages)
		r = start(w, err);
	if (r < 0)
		return r;
	if (w->pages->space[0])
		return writer_misuse(w, err, "the pages are not ended");
	node_put_bool(doc_root(w->pages->seen), space, true);
	r = doc_check(w->pages->seen, NULL);
	if (r < 0)
		return r == -ENOMEM ? writer_fail(w, err, r, "write the image")
				    : writer_misuse(w, err, "a space a second time");
	snprintf(w->pages->space, sizeof(w->pages->space), "%s", space);
	w->pages->floor = 0;
	w->pages->reserved = 0;
	w->pages->keep_zeros = false;
	return 0;
}

int pages_reserve(struct archive_writer *w, uint64_t address, size_t pages, void **ret_buf,
		  size_t *ret_pages, struct ct_error *err)
{
	struct pages_writer *p = w->pages;
	struct slot *s;
	int r = writer_check(w, err);

	if (r < 0)
		return r;
	if (!p || !p->space[0] || !pages || address % IMAGE_PAGE || address < p->floor ||
	    address >= CHUNK_ADDRESS_MAX || pages > (CHUNK_ADDRESS_MAX - address) / IMAGE_PAGE)
		return writer_misuse(w, err, "pages out of order or out of bounds");
	if (p->slot && p->slot->n_pages == p->max_pages)
		r = submit(w, err);
	if (r < 0)
		return r;
	if (!p->slot) {
		p->slot = acquire(p);
		if (!p->slot)
			return thread_failed(w, err);
		p->slot->n_runs = p->slot->n_pages = 0;
		memcpy(p->slot->space, p->space, sizeof(p->space));
	}
	s = p->slot;
	p->reserved = pages < p->max_pages - s->n_pages ? pages : p->max_pages - s->n_pages;
	p->reserved_address = address;
	*ret_buf = s->pages + s->n_pages * IMAGE_PAGE;
	*ret_pages = p->reserved;
	return 0;
}

int pages_commit(struct archive_writer *w, size_t pages, struct ct_error *err)
{
	struct pages_writer *p = w->pages;
	struct page_run *last;
	struct slot *s;
	int r = writer_check(w, err);

	if (r < 0)
		return r;
	if (!p || pages > p->reserved)
		return writer_misuse(w, err, "more pages than reserved");
	p->reserved = 0;
	if (!pages)
		return 0;
	s = p->slot;
	last = s->n_runs ? &s->runs[s->n_runs - 1] : NULL;
	if (last && last->address + last->pages * IMAGE_PAGE == p->reserved_address &&
	    s->keep[s->n_runs - 1] == p->keep_zeros) {
		last->pages += pages;
	} else {
		s->keep[s->n_runs] = p->keep_zeros;
		s->runs[s->n_runs++] = (struct page_run){ p->reserved_address, pages };
	}
	s->n_pages += pages;
	p->floor = p->reserved_address + pages * IMAGE_PAGE;
	return 0;
}

void pages_keep_zeros(struct archive_writer *w, bool keep)
{
	if (w->pages)
		w->pages->keep_zeros = keep;
}

int pages_end(struct archive_writer *w, struct ct_error *err)
{
	struct pages_writer *p = w->pages;
	int r = writer_check(w, err);

	if (r < 0)
		return r;
	if (!p || !p->space[0])
		return writer_misuse(w, err, "no pages were begun");
	if (p->slot)
		r = submit(w, err);
	p->space[0] = '\0';
	p->reserved = 0;
	return r;
}
