/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images made by hand, member by member, for tests and fuzzing: what the writer would never write
 * can be written here. Everything goes to a buffer that grows.
 */
#pragma once
#include <inttypes.h>
#include <xxhash.h>

#include "images/chunk.h"
#include "images/rows.h"
#include "images/tar.h"
#include "tests/unit/unit.h"

struct image {
	unsigned char *data;
	size_t len, room;
	struct rows rows;
};

static inline void image_bytes(struct image *im, const void *data, size_t len)
{
	if (im->len + len > im->room) {
		im->room = (im->len + len) * 2;
		im->data = realloc(im->data, im->room);
		if (!im->data)
			abort();
	}
	if (data)
		memcpy(im->data + im->len, data, len);
	else
		memset(im->data + im->len, 0, len);
	im->len += len;
}

static inline void image_release(struct image *im)
{
	free(im->data);
	rows_release(&im->rows);
	*im = (struct image){ 0 };
}

/* A small member of ours, with a row of its own if asked. */
static inline void image_member(struct image *im, const char *name, const void *data, size_t len,
				bool row)
{
	unsigned char head[3 * TAR_BLOCK];
	uint64_t hash = XXH3_64bits(data, len);
	char text[32];

	snprintf(text, sizeof(text), "xxh3 %016" PRIx64, hash);
	image_bytes(im, head, tar_build_member(head, name, len, 0, text, 0));
	image_bytes(im, data, len);
	image_bytes(im, NULL, tar_padded(len) - len);
	if (row)
		rows_add(&im->rows, name, len, hash);
}

/*
 * A chunk member whose header is `h` with everything but sizes, space, checksums and counts given;
 * the fields are sealed first, then `spoil` may change them, then the header checksum is made anew.
 */
static inline void image_chunk(struct image *im, const char *name, const char *space,
			       const struct page_run *runs, size_t n_runs, const void *payload,
			       size_t size, enum image_compress compression,
			       void (*spoil)(struct chunk_header *h))
{
	size_t header_size = chunk_header_size(n_runs), record;
	struct chunk_header *h = aligned_alloc(4096, header_size);
	unsigned char head[2 * TAR_BLOCK + 4096];
	uint64_t pages = 0, bytes = header_size + size;

	for (size_t i = 0; i < n_runs; i++)
		pages += runs[i].pages;
	memset(h, 0, header_size);
	memcpy(h->runs, runs, n_runs * sizeof(runs[0]));
	chunk_header_seal(h, space, n_runs, pages, compression, payload, size);
	if (spoil) {
		spoil(h);
		h->header_xxh3 = 0;
		h->header_xxh3 = XXH3_64bits(h, header_size);
	}
	record = 4096 - (im->len + 2 * TAR_BLOCK) % 4096;
	image_bytes(im, head, tar_build_member(head, name, bytes, 0, "", record));
	image_bytes(im, h, header_size);
	image_bytes(im, payload, size);
	image_bytes(im, NULL, tar_padded(size) - size);
	rows_add(&im->rows, name, bytes, h->header_xxh3);
	free(h);
}

static inline void image_end(struct image *im)
{
	char *text;
	size_t len;

	if (end_format(&im->rows, &text, &len, NULL) < 0)
		abort();
	image_member(im, "end.json", text, len, false);
	image_bytes(im, NULL, TAR_END);
	free(text);
}
