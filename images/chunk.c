// SPDX-License-Identifier: Apache-2.0
#include "images/chunk.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#include "libct/base/error.h"

_Static_assert(sizeof(struct chunk_header) == 128, "the fixed part of the chunk header");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "image numbers are little-endian");

/* The checksum field counts as zero. */
static uint64_t header_hash(struct chunk_header *h)
{
	uint64_t kept = h->header_xxh3, hash;

	h->header_xxh3 = 0;
	hash = XXH3_64bits(h, h->header_size);
	h->header_xxh3 = kept;
	return hash;
}

void chunk_header_seal(struct chunk_header *h, const char *space, size_t n_runs, uint64_t pages,
		       enum image_compress compression, const void *payload, uint64_t payload_size)
{
	memset(h, 0, sizeof(*h));
	memcpy(h->magic, CHUNK_MAGIC, sizeof(h->magic));
	h->version = CHUNK_VERSION;
	h->header_size = (uint32_t)chunk_header_size(n_runs);
	h->compression = compression;
	h->page_size = IMAGE_PAGE;
	h->payload_size = payload_size;
	h->pages = pages;
	h->n_runs = n_runs;
	h->payload_xxh3 = XXH3_64bits(payload, payload_size);
	snprintf(h->space, sizeof(h->space), "%s", space);
	h->header_xxh3 = header_hash(h);
}

int chunk_header_check(const struct chunk_header *h, uint64_t size, const char *member,
		       struct ct_error *err)
{
	uint64_t bytes = h->pages * IMAGE_PAGE;

	if (memcmp(h->magic, CHUNK_MAGIC, sizeof(h->magic)))
		return error_set(err, -EBADMSG, "%s: not a chunk of pages", member);
	if (h->version != CHUNK_VERSION)
		return error_set(err, -EPROTONOSUPPORT,
				 "%s: chunk version %" PRIu32 " is not known here", member,
				 h->version);
	if (h->page_size != IMAGE_PAGE)
		return error_set(err, -EPROTONOSUPPORT, "%s: pages of %" PRIu32 " bytes", member,
				 h->page_size);
	if (h->compression > IMAGE_COMPRESS_ZSTD)
		return error_set(err, -EPROTONOSUPPORT,
				 "%s: compression %" PRIu32 " is not known here", member,
				 h->compression);
	if (!h->pages || h->pages > CHUNK_PAGES_MAX)
		return error_set(err, -EBADMSG, "%s: %" PRIu64 " pages in a chunk", member,
				 h->pages);
	if (!h->n_runs || h->n_runs > h->pages)
		return error_set(err, -EBADMSG,
				 "%s: %" PRIu64 " runs in a chunk of %" PRIu64 " pages", member,
				 h->n_runs, h->pages);
	if (h->header_size != chunk_header_size(h->n_runs))
		return error_set(err, -EBADMSG, "%s: header size differs", member);
	if (h->compression ? h->payload_size >= bytes : h->payload_size != bytes)
		return error_set(err, -EBADMSG, "%s: payload size differs", member);
	if (size != h->header_size + h->payload_size)
		return error_set(err, -EBADMSG, "%s: member size differs", member);
	return 0;
}

int chunk_runs_check(struct chunk_header *h, const char *space, uint64_t floor, const char *member,
		     struct ct_error *err)
{
	size_t used = sizeof(*h) + h->n_runs * sizeof(h->runs[0]);
	uint64_t pages = 0;

	if (h->header_xxh3 != header_hash(h))
		return error_set(err, -EBADMSG, "%s: header checksum differs", member);
	for (size_t i = used; i < h->header_size; i++)
		if (((const char *)h)[i])
			return error_set(err, -EBADMSG, "%s: bytes behind the run table", member);
	for (size_t i = strlen(space); i < sizeof(h->space); i++)
		if (h->space[i])
			return error_set(err, -EBADMSG, "%s: of another space", member);
	if (memcmp(h->space, space, strlen(space)))
		return error_set(err, -EBADMSG, "%s: of another space", member);
	for (uint64_t i = 0; i < h->n_runs; i++) {
		const struct page_run *run = &h->runs[i];

		if (run->address % IMAGE_PAGE)
			return error_set(err, -EBADMSG, "%s: run %" PRIu64 " is not aligned",
					 member, i);
		if (!run->pages || run->pages > h->pages - pages)
			return error_set(err, -EBADMSG, "%s: run %" PRIu64 " has %" PRIu64 " pages",
					 member, i, run->pages);
		if (run->address >= CHUNK_ADDRESS_MAX ||
		    CHUNK_ADDRESS_MAX - run->address < run->pages * IMAGE_PAGE)
			return error_set(err, -EBADMSG, "%s: run %" PRIu64 " is beyond 2^47",
					 member, i);
		if (run->address < floor)
			return error_set(err, -EBADMSG,
					 "%s: run %" PRIu64
					 " overlaps the one before or is out of order",
					 member, i);
		floor = run->address + run->pages * IMAGE_PAGE;
		pages += run->pages;
	}
	if (pages != h->pages)
		return error_set(err, -EBADMSG,
				 "%s: the runs have %" PRIu64 " pages, the chunk %" PRIu64, member,
				 pages, h->pages);
	return 0;
}

/* Digits without leading zeros, below 2^32; returns what follows or NULL. */
static const char *parse_number(const char *s, uint64_t *ret)
{
	uint64_t v = 0;

	if (*s < '0' || *s > '9' || (s[0] == '0' && s[1] >= '0' && s[1] <= '9'))
		return NULL;
	for (; *s >= '0' && *s <= '9'; s++) {
		v = v * 10 + (uint64_t)(*s - '0');
		if (v > UINT32_MAX)
			return NULL;
	}
	*ret = v;
	return s;
}

static const char *parse_space(const char *s)
{
	uint64_t id;

	if (strncmp(s, "mem/", 4) && strncmp(s, "shm/", 4))
		return NULL;
	return parse_number(s + 4, &id);
}

bool space_valid(const char *space)
{
	const char *end = parse_space(space);

	return end && !*end;
}

bool chunk_name_parse(const char *name, char space[SPACE_MAX], uint64_t *ret_number)
{
	const char *end = parse_space(name), *tail;

	if (!end || *end != '/')
		return false;
	tail = parse_number(end + 1, ret_number);
	if (!tail || strcmp(tail, ".pages"))
		return false;
	memcpy(space, name, (size_t)(end - name));
	space[end - name] = '\0';
	return true;
}
