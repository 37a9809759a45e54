// SPDX-License-Identifier: Apache-2.0
/* Image files: whatever the bytes are, reading them is harmless. */
#include <archive.h>
#include <archive_entry.h>
#include <string.h>
#include <sys/mman.h>

#include "images/archive.h"
#include "libct/libct.h"
#include "tests/fuzz/fuzz.h"

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
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
	return 0;
}

static int put_file(struct archive_writer *w)
{
	struct archive_entry *entry = archive_entry_new();
	struct ct_error err = { 0 };
	struct archive *a;
	int r;

	archive_entry_set_pathname(entry, "rootfs/file");
	archive_entry_set_filetype(entry, AE_IFREG);
	archive_entry_set_perm(entry, 0640);
	archive_entry_set_size(entry, 5);
	archive_entry_xattr_add_entry(entry, "user.test", "value", 5);
	r = archive_files_begin(w, &a, &err);
	if (r == 0)
		r = archive_files_entry(w, entry, &err);
	if (r == 0 && archive_write_data(a, "hello", 5) != 5)
		r = -1;
	archive_entry_free(entry);
	return r ? r : archive_files_end(w, &err);
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
		    put_file(w) < 0 || put_pages(w) < 0 || archive_finish(w, &err) < 0)
			return -1;
		archive_writer_free(w);
		close(fd);
	}
	return 0;
}
