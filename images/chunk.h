/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A chunk of pages: the data of one mem/ or shm/ member (docs/FORMAT.md, "Page chunks").
 *
 *	header: 128 bytes, run table, zeros up to a multiple of 4096
 *	payload: the pages of all runs one behind another, as they are or compressed
 */
#pragma once
#include "images/archive.h"

#define CHUNK_MAGIC "podpages"
#define CHUNK_VERSION 1
#define CHUNK_PAGES_MAX (IMAGE_CHUNK_MAX / IMAGE_PAGE)
#define CHUNK_ADDRESS_MAX (UINT64_C(1) << 47)
#define SPACE_MAX 16 /* "mem/4294967295" and a NUL fit */

/* All numbers little-endian, which is the only machine this knows. */
struct chunk_header {
	char magic[8];
	uint32_t version;
	uint32_t header_size;
	uint32_t compression;
	uint32_t page_size;
	uint64_t payload_size;
	uint64_t pages;
	uint64_t n_runs;
	uint64_t payload_xxh3;
	uint64_t header_xxh3; /* of header_size bytes with this field zero */
	char space[64];
	struct page_run runs[];
};

static inline uint64_t chunk_header_size(uint64_t n_runs)
{
	uint64_t size = sizeof(struct chunk_header) + n_runs * sizeof(struct page_run);

	return (size + IMAGE_PAGE - 1) / IMAGE_PAGE * IMAGE_PAGE;
}

/*
 * Fills a header whose `runs` and zeroed tail the caller made, checksums included. `h` has
 * chunk_header_size(n_runs) bytes.
 */
void chunk_header_seal(struct chunk_header *h, const char *space, size_t n_runs, uint64_t pages,
		       enum image_compress compression, const void *payload, uint64_t payload_size);

/* The fixed part, before header_size is believed. `size` is the member's. */
int chunk_header_check(const struct chunk_header *h, uint64_t size, const char *member,
		       struct ct_error *err);
/* All header_size bytes: checksum, names, runs. The first run must not begin below `floor`. */
int chunk_runs_check(struct chunk_header *h, const char *space, uint64_t floor, const char *member,
		     struct ct_error *err);

/* "mem/3" or "shm/7": decimal, without leading zeros, below 2^32. */
bool space_valid(const char *space);

/* Splits "mem/3/0.pages" into "mem/3" and 0. false: not such a name. */
bool chunk_name_parse(const char *name, char space[SPACE_MAX], uint64_t *ret_number);
