// SPDX-License-Identifier: Apache-2.0
/*
 * Chunks of pages: the input is what stands in the member, header and payload, inside an image that is right
 * in everything else (checksums too). Whoever gets a chunk from the reader gets one that can be believed.
 */
#include <sys/mman.h>

#include "images/archive.h"
#include "libct/libct.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/image.h"

/* Aligned, with sizes and checksums that agree with what is there. */
static struct chunk_header *seal(const uint8_t *data, size_t size, size_t *ret_header, size_t *ret_payload)
{
	size_t n_runs, header, room = (size + 3 * IMAGE_PAGE) / IMAGE_PAGE * IMAGE_PAGE;
	struct chunk_header *h = aligned_alloc(IMAGE_PAGE, room);

	if (!h)
		abort();
	memset(h, 0, room);
	memcpy(h, data, size);
	/* The length of the table is the fuzzer's as long as the table can be there. */
	n_runs = h->n_runs <= (size / sizeof(h->runs[0])) ? h->n_runs : 1;
	header = chunk_header_size(n_runs);
	if (header > room)
		header = IMAGE_PAGE;
	*ret_header = header;
	*ret_payload = size > header ? size - header : 0;
	memcpy(h->magic, CHUNK_MAGIC, sizeof(h->magic));
	h->version = 1;
	h->page_size = IMAGE_PAGE;
	h->header_size = (uint32_t)header;
	h->payload_size = *ret_payload;
	memset(h->space, 0, sizeof(h->space));
	strcpy(h->space, "mem/0");
	h->payload_xxh3 = XXH3_64bits((char *)h + header, *ret_payload);
	h->header_xxh3 = 0;
	h->header_xxh3 = XXH3_64bits(h, header);
	return h;
}

static void build(struct image *im, const uint8_t *data, size_t size)
{
	unsigned char head[2 * TAR_BLOCK + IMAGE_PAGE];
	size_t header, payload;
	struct chunk_header *h = seal(data, size, &header, &payload);

	image_member(im, "manifest.json", "{}", 2, true);
	image_bytes(im, head, tar_build_member(head, "mem/0/0.pages", header + payload, 0, "",
					       IMAGE_PAGE - (im->len + 2 * TAR_BLOCK) % IMAGE_PAGE));
	image_bytes(im, h, header + payload);
	image_bytes(im, NULL, tar_padded(payload) - payload);
	rows_add(&im->rows, "mem/0/0.pages", header + payload, h->header_xxh3);
	free(h);
	image_end(im);
}

/* The promises of struct pages_chunk; every byte is read, for the sanitizers. */
static void believe(const struct pages_chunk *c)
{
	uint64_t pages = 0, end = 0;
	volatile char sum = 0;

	for (size_t i = 0; i < c->n_runs; i++) {
		const struct page_run *run = &c->runs[i];

		if (run->address % IMAGE_PAGE || run->address < end || !run->pages ||
		    run->pages > IMAGE_CHUNK_MAX / IMAGE_PAGE)
			abort();
		end = run->address + run->pages * IMAGE_PAGE;
		if (end > UINT64_C(1) << 47)
			abort();
		pages += run->pages;
	}
	if (!c->n_runs || pages != c->n_pages || pages > IMAGE_CHUNK_MAX / IMAGE_PAGE ||
	    (uintptr_t)c->data % IMAGE_PAGE || strcmp(c->space, "mem/0"))
		abort();
	for (uint64_t i = 0; i < pages * IMAGE_PAGE; i += 16)
		sum += ((const char *)c->data)[i];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("image", MFD_CLOEXEC);
	struct archive_reader *r = NULL;
	struct ct_error err = { 0 };
	enum image_member member;
	struct pages_chunk chunk;
	struct image im = { 0 };

	build(&im, data, size);
	if (fd < 0 || write(fd, im.data, im.len) != (ssize_t)im.len || lseek(fd, 0, SEEK_SET) != 0 ||
	    archive_reader_new(fd, &r, &err) < 0)
		abort();
	while (archive_next(r, &member, &err) == 0 && member != IMAGE_END)
		if (member == IMAGE_PAGES) {
			if (archive_read_pages(r, &chunk, &err) < 0)
				abort();
			believe(&chunk);
		}
	archive_reader_free(r);
	image_release(&im);
	close(fd);
	return 0;
}

/* A chunk of two runs as the writer would store it. */
static int seed(const char *directory, const char *name, enum image_compress compression, const void *payload,
		size_t size)
{
	static const struct page_run runs[] = { { 0x10000, 1 }, { 0x7ffffffff000, 1 } };
	size_t header = chunk_header_size(2);
	struct chunk_header *h = aligned_alloc(IMAGE_PAGE, header);
	int fd = fuzz_seed_open(directory, name), r = -1;

	if (!h || fd < 0)
		abort();
	memset(h, 0, header);
	memcpy(h->runs, runs, sizeof(runs));
	chunk_header_seal(h, "mem/0", 2, 2, compression, payload, size);
	if (write(fd, h, header) == (ssize_t)header && write(fd, payload, size) == (ssize_t)size)
		r = 0;
	free(h);
	close(fd);
	return r;
}

int fuzz_seed(const char *directory)
{
	/* 8192 zeros, by LZ4 and by Zstandard */
	static const unsigned char lz4[] = { 0x1f, 0x00, 0x01, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
					     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
					     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
					     0xff, 0xff, 0xe7, 0x50, 0x00, 0x00, 0x00, 0x00, 0x00 };
	static const unsigned char zstd[] = { 0x28, 0xb5, 0x2f, 0xfd, 0x60, 0x00, 0x1f, 0x4d, 0x00,
					      0x00, 0x10, 0x00, 0x00, 0x01, 0x00, 0xfb, 0x1f, 0x39, 0x02 };
	static const unsigned char pages[2 * IMAGE_PAGE] = { 1, 2, 3 };

	if (seed(directory, "none", IMAGE_COMPRESS_NONE, pages, sizeof(pages)) < 0 ||
	    seed(directory, "lz4", IMAGE_COMPRESS_LZ4, lz4, sizeof(lz4)) < 0)
		return -1;
	return seed(directory, "zstd", IMAGE_COMPRESS_ZSTD, zstd, sizeof(zstd));
}
