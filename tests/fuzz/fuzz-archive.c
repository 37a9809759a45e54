// SPDX-License-Identifier: Apache-2.0
/*
 * Image files: whatever the bytes are, reading them is harmless. Each input is read twice: as it is,
 * and with its checksums made right, so that the fuzzer reaches what lies behind them.
 */
#include <archive.h>
#include <archive_entry.h>
#include <string.h>
#include <sys/mman.h>
#include <xxhash.h>

#include "images/archive.h"
#include "images/chunk.h"
#include "images/tar.h"
#include "libct/libct.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/repair.h"

/* The `left` bytes behind the header of a member with a checksum in its comment. */
static void repair_comment(char *record, const uint8_t *data, size_t left)
{
	struct tar_block *b = (struct tar_block *)(record + TAR_BLOCK);
	char text[17];
	uint64_t size;

	if (!tar_number(b->size, sizeof(b->size), &size) || size > left)
		return;
	snprintf(text, sizeof(text), "%016llx", (unsigned long long)XXH3_64bits(data, size));
	memcpy(record + 16, text, 16);
}

static void repair_chunk(struct chunk_header *h, size_t left)
{
	if (h->header_size < sizeof(*h) || h->header_size > left)
		return;
	if (h->payload_size <= left - h->header_size)
		h->payload_xxh3 = XXH3_64bits((char *)h + h->header_size, h->payload_size);
	h->header_xxh3 = 0;
	h->header_xxh3 = XXH3_64bits(h, h->header_size);
}

static void repair(uint8_t *data, size_t size)
{
	for (size_t at = 0; at + 4096 <= size; at += 4096)
		if (!memcmp(data + at, CHUNK_MAGIC, 8))
			repair_chunk((struct chunk_header *)(data + at), size - at);
	for (size_t at = 0; at + 3 * TAR_BLOCK <= size; at += TAR_BLOCK)
		if (!memcmp(data + at, "33 comment=xxh3 ", 16))
			repair_comment((char *)data + at, data + at + 2 * TAR_BLOCK,
				       size - at - 2 * TAR_BLOCK);
	repair_blocks(data, size);
}

static void read_files(struct archive_reader *r)
{
	struct ct_error err = { 0 };
	struct archive_entry *entry;
	struct archive *a;
	char buf[512];

	if (archive_files_read(r, &a, &err) < 0)
		return;
	while (archive_read_next_header(a, &entry) == ARCHIVE_OK) {
		archive_entry_pathname(entry);
		while (archive_read_data(a, buf, sizeof(buf)) > 0)
			;
	}
}

static void read_pages(struct archive_reader *r)
{
	struct ct_error err = { 0 };
	struct pages_chunk chunk;
	uint64_t pages = 0;
	volatile char sum = 0;

	if (archive_read_pages(r, &chunk, &err) < 0)
		return;
	for (size_t i = 0; i < chunk.n_runs; i++) {
		if (chunk.runs[i].address % IMAGE_PAGE ||
		    (i && chunk.runs[i].address <
				  chunk.runs[i - 1].address + chunk.runs[i - 1].pages * IMAGE_PAGE))
			abort();
		pages += chunk.runs[i].pages;
	}
	if (pages != chunk.n_pages)
		abort();
	for (uint64_t i = 0; i < pages * IMAGE_PAGE; i += 64)
		sum += ((const char *)chunk.data)[i];
}

static void read_image(const uint8_t *data, size_t size)
{
	struct archive_reader *r = NULL;
	struct ct_error err = { 0 };
	enum image_member member;
	char *text;
	size_t len;
	int fd = memfd_create("image", MFD_CLOEXEC);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size || lseek(fd, 0, SEEK_SET) != 0)
		abort();
	if (archive_reader_new(fd, &r, &err) == 0) {
		while (archive_next(r, &member, &err) == 0 && member != IMAGE_END) {
			if (member == IMAGE_MANIFEST && archive_read_manifest(r, &text, &len, &err) == 0)
				free(text);
			else if (member == IMAGE_FILES)
				read_files(r);
			else if (member == IMAGE_PAGES)
				read_pages(r);
		}
		archive_reader_free(r);
	}
	close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy = aligned_alloc(IMAGE_PAGE, size + IMAGE_PAGE - size % IMAGE_PAGE);

	if (!copy)
		abort();
	memcpy(copy, data, size);
	read_image(copy, size);
	repair(copy, size);
	read_image(copy, size);
	free(copy);
	return 0;
}

static int put_file(struct archive_writer *w, struct archive *a, const char *path, bool sparse)
{
	struct archive_entry *entry = archive_entry_new();
	struct ct_error err = { 0 };
	int r;

	archive_entry_set_pathname(entry, path);
	archive_entry_set_filetype(entry, AE_IFREG);
	archive_entry_set_perm(entry, 0640);
	archive_entry_set_size(entry, 5);
	archive_entry_xattr_add_entry(entry, "user.test", "value", 5);
	if (sparse) {
		archive_entry_set_size(entry, 100000);
		archive_entry_sparse_add_entry(entry, 0, 5);
	}
	r = archive_files_entry(w, entry, &err);
	if (r == 0 && archive_write_data(a, "hello", 5) != 5)
		r = -1;
	archive_entry_free(entry);
	return r;
}

static int put_files(struct archive_writer *w)
{
	struct ct_error err = { 0 };
	struct archive *a;

	if (archive_files_begin(w, &a, &err) < 0 || put_file(w, a, "rootfs/file", false) < 0 ||
	    put_file(w, a, "rootfs/sparse", true) < 0 || put_file(w, a, "rootfs/latin\xe9", false) < 0)
		return -1;
	return archive_files_end(w, &err);
}

static int put_pages(struct archive_writer *w)
{
	struct ct_error err = { 0 };
	size_t got;
	void *buf;
	int r;

	r = pages_begin(w, "mem/0", &err);
	for (uint64_t i = 0; r == 0 && i < 3; i++) {
		r = pages_reserve(w, 0x7f0000000000 + 2 * i * IMAGE_PAGE, 1, &buf, &got, &err);
		if (r == 0)
			memset(buf, 'a' + (int)i, IMAGE_PAGE);
		if (r == 0)
			r = pages_commit(w, 1, &err);
	}
	return r ? r : pages_end(w, &err);
}

int fuzz_seed(const char *directory)
{
	static const char *const names[] = { "none", "lz4", "zstd" };
	static const char manifest[] = "{\n  \"version\": 1\n}\n";

	for (int c = IMAGE_COMPRESS_NONE; c <= IMAGE_COMPRESS_ZSTD; c++) {
		struct archive_writer *w = NULL;
		struct ct_error err = { 0 };
		int fd = fuzz_seed_open(directory, names[c]);

		if (fd < 0 || archive_writer_new(fd, c, 0, &w, &err) < 0 ||
		    archive_put(w, "manifest.json", manifest, strlen(manifest), &err) < 0 ||
		    put_files(w) < 0 || put_pages(w) < 0 || archive_finish(w, &err) < 0)
			return -1;
		archive_writer_free(w);
		close(fd);
	}
	return 0;
}
