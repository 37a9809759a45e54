// SPDX-License-Identifier: Apache-2.0
/* images/archive.h: what is not a whole image is refused, in these words. */
#include "images/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <lz4.h>
#include <sys/mman.h>
#include <unistd.h>

#include "libct/libct.h"
#include "tests/unit/image.h"

#define CUT "the image ends before end.json: it was cut off or never finished"

static unsigned char pages[4 * 4096] __attribute__((aligned(4096)));

/* Reads all there is, members, entries and pages; 0 or the error. */
static int read_all(const void *data, size_t len, struct ct_error *err)
{
	int fd = memfd_create("image", MFD_CLOEXEC), r;
	struct archive_reader *reader = NULL;
	struct archive_entry *e;
	struct pages_chunk chunk;
	enum image_member member;
	struct archive *a;
	const void *block;
	size_t n;
	off_t at;

	if (fd < 0 || write(fd, data, len) != (ssize_t)len || lseek(fd, 0, SEEK_SET) != 0 ||
	    archive_reader_new(fd, &reader, err) < 0)
		abort();
	memset(err, 0, sizeof(*err));
	while ((r = archive_next(reader, &member, err)) == 0 && member != IMAGE_END) {
		if (member == IMAGE_FILES && archive_files_read(reader, &a, err) == 0)
			while (archive_read_next_header(a, &e) == ARCHIVE_OK)
				while (archive_read_data_block(a, &block, &n, &at) == ARCHIVE_OK)
					;
		if (member == IMAGE_PAGES && archive_read_pages(reader, &chunk, err) < 0)
			abort();
	}
	archive_reader_free(reader);
	close(fd);
	return r;
}

static void refused(struct image *im, int code, const char *words)
{
	struct ct_error err;
	int r = read_all(im->data, im->len, &err);

	CHECK(words, r == code && err.code == code);
	CHECK_STR("in these words", err.text, words);
	image_release(im);
}

static void manifest(struct image *im)
{
	image_member(im, "manifest.json", "{}", 2, true);
}

static void one_page(struct image *im, const char *name, const char *space, uint64_t address)
{
	image_chunk(im, name, space, &(struct page_run){ address, 1 }, 1, pages, 4096,
		    IMAGE_COMPRESS_NONE, NULL);
}

/* The smallest image with something of everything. */
static void whole(struct image *im)
{
	static const char data[] = "data";
	size_t begin;

	manifest(im);
	begin = im->len;
	image_member(im, "rootfs/a", data, 4, false);
	image_member(im, "log/0", data, 4, false);
	rows_add(&im->rows, ROW_FILES, im->len - begin,
		 XXH3_64bits(im->data + begin, im->len - begin));
	one_page(im, "mem/0/0.pages", "mem/0", 0x10000);
	one_page(im, "shm/0/0.pages", "shm/0", 0);
	image_end(im);
}

/* ---- the frame ---- */

static void test_frame(void)
{
	struct image im = { 0 };
	struct ct_error err;

	whole(&im);
	if (!CHECK("the image is fine to begin with", read_all(im.data, im.len, &err) == 0))
		printf("# %s\n", err.text);
	image_bytes(&im, NULL, 9216);
	CHECK("zeros behind it are what tar programs write", read_all(im.data, im.len, &err) == 0);
	image_bytes(&im, "x", 1);
	refused(&im, -EBADMSG, "bytes behind the end of the image");
	whole(&im);
	image_bytes(&im, NULL, 1 << 20);
	refused(&im, -EBADMSG, "bytes behind the end of the image");
	whole(&im);
	image_bytes(&im, NULL, 100);
	refused(&im, -EBADMSG, "bytes behind the end of the image");

	refused(&im, -EBADMSG, "not a podckpt image");
	image_bytes(&im, "\177ELF", 4);
	image_bytes(&im, NULL, 4092);
	refused(&im, -EBADMSG, "not a podckpt image");
	image_bytes(&im, NULL, 10240);
	refused(&im, -EBADMSG, "not a podckpt image");
	image_member(&im, "rootfs/a", "", 0, false);
	image_end(&im);
	refused(&im, -EBADMSG, "not a podckpt image");

	manifest(&im);
	image_bytes(&im, NULL, TAR_END);
	refused(&im, -EBADMSG, CUT);
	manifest(&im);
	refused(&im, -EBADMSG, CUT);
	manifest(&im);
	image_end(&im);
	im.len -= TAR_BLOCK;
	refused(&im, -EBADMSG, "the image ends before the end of the tar: it was cut off");
}

static void test_order(void)
{
	struct image im = { 0 };

	manifest(&im);
	manifest(&im);
	image_end(&im);
	refused(&im, -EBADMSG, "manifest.json: a member of unknown name");
	manifest(&im);
	image_member(&im, "foo\x1b[2J", "", 0, true);
	refused(&im, -EBADMSG, "foo?[2J: a member of unknown name");
	manifest(&im);
	one_page(&im, "mem/0/0.pages", "mem/0", 0);
	image_member(&im, "log/0", "", 0, false);
	refused(&im, -EBADMSG, "log/0: out of order");
	manifest(&im);
	one_page(&im, "shm/0/0.pages", "shm/0", 0);
	one_page(&im, "mem/0/0.pages", "mem/0", 0);
	refused(&im, -EBADMSG, "mem/0/0.pages: out of order");
	manifest(&im);
	one_page(&im, "mem/0/1.pages", "mem/0", 0);
	refused(&im, -EBADMSG, "mem/0/1.pages: mem/0/0.pages should be here");
	manifest(&im);
	one_page(&im, "mem/0/0.pages", "mem/0", 0);
	one_page(&im, "mem/0/0.pages", "mem/0", 4096);
	refused(&im, -EBADMSG, "mem/0/0.pages: mem/0/1.pages should be here");
	manifest(&im);
	one_page(&im, "mem/0/0.pages", "mem/0", 0);
	one_page(&im, "mem/1/0.pages", "mem/1", 0);
	one_page(&im, "mem/0/0.pages", "mem/0", 4096);
	refused(&im, -EBADMSG, "mem/0/0.pages: its space was there already");
	manifest(&im);
	one_page(&im, "mem/00/0.pages", "mem/00", 0);
	refused(&im, -EBADMSG, "mem/00/0.pages: a member of unknown name");
	manifest(&im);
	one_page(&im, "mem/0/0.pages", "mem/7", 0);
	refused(&im, -EBADMSG, "mem/0/0.pages: of another space");
}

/* ---- end.json ---- */

static void end_text(struct image *im, const char *text)
{
	manifest(im);
	image_member(im, "end.json", text, strlen(text), false);
	image_bytes(im, NULL, TAR_END);
}

static void test_end(void)
{
	struct image im = { 0 };
	struct ct_error err;
	char digest[DIGEST_TEXT], text[300], row[100];

	manifest(&im);
	im.rows.row[0].size = 3;
	image_end(&im);
	refused(&im, -EBADMSG, "manifest.json: size differs from end.json");
	manifest(&im);
	im.rows.row[0].xxh3++;
	image_end(&im);
	refused(&im, -EBADMSG, "manifest.json: checksum differs from end.json");
	manifest(&im);
	one_page(&im, "mem/0/0.pages", "mem/0", 0);
	strcpy(im.rows.row[1].name, "mem/1/0.pages");
	image_end(&im);
	refused(&im, -EBADMSG, "mem/0/0.pages: not the member that end.json lists there");
	manifest(&im);
	rows_add(&im.rows, "mem/0/0.pages", 8192, 0);
	image_end(&im);
	refused(&im, -EBADMSG, "end.json: lists 2 members, the image has 1");

	manifest(&im);
	snprintf(row, sizeof(row),
		 "{\"name\":\"manifest.json\",\"size\":2,\"xxh3\":\"%016" PRIx64 "\"}",
		 im.rows.row[0].xxh3);
	rows_digest(&im.rows);
	memcpy(digest, im.rows.digest, sizeof(digest));
	image_release(&im);
	snprintf(text, sizeof(text), "{\"version\":1,\"members\":[%s],\"digest\":\"%s\"}", row,
		 digest);
	end_text(&im, text);
	CHECK("end.json by hand", read_all(im.data, im.len, &err) == 0);
	image_release(&im);
	digest[0] ^= 1;
	snprintf(text, sizeof(text), "{\"version\":1,\"members\":[%s],\"digest\":\"%s\"}", row,
		 digest);
	end_text(&im, text);
	refused(&im, -EBADMSG, "end.json: the digest differs");
	digest[0] ^= 1;
	snprintf(text, sizeof(text), "{\"version\":2,\"members\":[%s],\"digest\":\"%s\"}", row,
		 digest);
	end_text(&im, text);
	refused(&im, -EPROTONOSUPPORT, "end.json: version 2 is not known here");
	snprintf(text, sizeof(text), "{\"version\":1,\"members\":[%s],\"digest\":\"%s\",\"x\":1}",
		 row, digest);
	end_text(&im, text);
	refused(&im, -EBADMSG, "end.json: x: unknown to this version");
	end_text(&im, "{\"version\":1,\"members\":[{}],\"digest\":\"\"}");
	refused(&im, -EBADMSG, "end.json: members[0].name: missing");
	end_text(&im, "[]");
	refused(&im, -EBADMSG, "end.json: not a JSON object");
	manifest(&im);
	image_bytes(&im, NULL, 0);
	image_member(&im, "end.json", pages, sizeof(pages), false);
	refused(&im, -EBADMSG, "end.json: 16384 bytes are too many");
}

/* ---- chunks ---- */

static const struct page_run two_runs[] = { { 0x10000, 1 }, { 0x20000, 2 } };

#define SPOIL(name, statement) \
	static void name(struct chunk_header *h) \
	{ \
		statement; \
	}

SPOIL(magic, h->magic[0] = 'q')
SPOIL(version, h->version = 2)
SPOIL(page_size, h->page_size = 65536)
SPOIL(compression, h->compression = 3)
SPOIL(no_pages, h->pages = 0)
SPOIL(many_pages, h->pages = UINT64_C(1) << 52)
SPOIL(many_runs, h->n_runs = UINT64_C(1) << 60)
SPOIL(header_size, h->header_size = 8192)
SPOIL(payload_size, h->payload_size = 8192)
SPOIL(compressed_size, (h->compression = IMAGE_COMPRESS_LZ4, h->payload_size = 3 * 4096))
SPOIL(smaller_payload, (h->compression = IMAGE_COMPRESS_LZ4, h->payload_size = 4096))
SPOIL(garbage, ((unsigned char *)h)[4095] = 1)
SPOIL(space, h->space[20] = 1)
SPOIL(unaligned, h->runs[1].address += 512)
SPOIL(empty_run, (h->runs[0].pages = 0, h->runs[1].pages = 3))
SPOIL(long_run, h->runs[1].pages = UINT64_C(1) << 52)
SPOIL(short_runs, h->runs[1].pages = 1)
SPOIL(beyond, h->runs[1].address = (UINT64_C(1) << 47) - 4096)
SPOIL(far_beyond, h->runs[1].address = UINT64_MAX - 4095)
SPOIL(overlap, h->runs[1].address = 0x10000)
SPOIL(descending, h->runs[1].address = 0x8000)
SPOIL(payload_hash, h->payload_xxh3++)

static void spoiled(void (*spoil)(struct chunk_header *h), int code, const char *words)
{
	struct image im = { 0 };
	char text[128];

	manifest(&im);
	image_chunk(&im, "mem/0/0.pages", "mem/0", two_runs, 2, pages, sizeof(pages) / 4 * 3,
		    IMAGE_COMPRESS_NONE, spoil);
	image_end(&im);
	snprintf(text, sizeof(text), "mem/0/0.pages: %s", words);
	refused(&im, code, text);
}

static void test_chunks(void)
{
	struct image im = { 0 };

	spoiled(magic, -EBADMSG, "not a chunk of pages");
	spoiled(version, -EPROTONOSUPPORT, "chunk version 2 is not known here");
	spoiled(page_size, -EPROTONOSUPPORT, "pages of 65536 bytes");
	spoiled(compression, -EPROTONOSUPPORT, "compression 3 is not known here");
	spoiled(no_pages, -EBADMSG, "0 pages in a chunk");
	spoiled(many_pages, -EBADMSG, "4503599627370496 pages in a chunk");
	spoiled(many_runs, -EBADMSG, "1152921504606846976 runs in a chunk of 3 pages");
	spoiled(header_size, -EBADMSG, "header size differs");
	spoiled(payload_size, -EBADMSG, "payload size differs");
	spoiled(compressed_size, -EBADMSG, "payload size differs");
	spoiled(smaller_payload, -EBADMSG, "member size differs");
	spoiled(garbage, -EBADMSG, "bytes behind the run table");
	spoiled(space, -EBADMSG, "of another space");
	spoiled(unaligned, -EBADMSG, "run 1 is not aligned");
	spoiled(empty_run, -EBADMSG, "run 0 has 0 pages");
	spoiled(long_run, -EBADMSG, "run 1 has 4503599627370496 pages");
	spoiled(short_runs, -EBADMSG, "the runs have 2 pages, the chunk 3");
	spoiled(beyond, -EBADMSG, "run 1 is beyond 2^47");
	spoiled(far_beyond, -EBADMSG, "run 1 is beyond 2^47");
	spoiled(overlap, -EBADMSG, "run 1 overlaps the one before or is out of order");
	spoiled(descending, -EBADMSG, "run 1 overlaps the one before or is out of order");
	spoiled(payload_hash, -EBADMSG, "checksum differs");

	manifest(&im);
	one_page(&im, "mem/0/0.pages", "mem/0", 0x2000);
	one_page(&im, "mem/0/1.pages", "mem/0", 0x2000);
	refused(&im, -EBADMSG, "mem/0/1.pages: run 0 overlaps the one before or is out of order");
	manifest(&im);
	image_chunk(&im, "mem/0/0.pages", "mem/0", two_runs, 2, "garbage", 7, IMAGE_COMPRESS_LZ4,
		    NULL);
	refused(&im, -EBADMSG, "mem/0/0.pages: cannot be decompressed");
	manifest(&im);
	image_chunk(&im, "mem/0/0.pages", "mem/0", two_runs, 2, "garbage", 7, IMAGE_COMPRESS_ZSTD,
		    NULL);
	refused(&im, -EBADMSG, "mem/0/0.pages: cannot be decompressed");
}

/* A bomb: a payload that unpacks to more, or to less, than the header says. */
static void test_bombs(void)
{
	static char packed[8192];
	struct page_run run = { 0, 2 };
	struct image im = { 0 };
	int n;

	for (int i = 1; i <= 4; i += 3) {
		n = LZ4_compress_default((char *)pages, packed, i * 4096, sizeof(packed));
		manifest(&im);
		image_chunk(&im, "mem/0/0.pages", "mem/0", &run, 1, packed, (size_t)n,
			    IMAGE_COMPRESS_LZ4, NULL);
		refused(&im, -EBADMSG, "mem/0/0.pages: cannot be decompressed");
	}
}

/* ---- heads ---- */

/* Recomputes the checksum of the tar header at `at`, after it was changed. */
static void reseal(struct image *im, size_t at)
{
	struct tar_block *b = (struct tar_block *)(im->data + at);
	unsigned int sum = 0;

	memset(b->checksum, ' ', sizeof(b->checksum));
	for (size_t i = 0; i < TAR_BLOCK; i++)
		sum += im->data[at + i];
	snprintf(b->checksum, 7, "%06o", sum & 0777777);
	b->checksum[7] = ' ';
}

static void test_heads(void)
{
	struct image im = { 0 };
	struct tar_block *b;
	size_t at;

	/* manifest.json: extended header at 0, records at 512, header at 1024, data at 1536 */
	whole(&im);
	im.data[1536] = '[';
	refused(&im, -EBADMSG, "manifest.json: checksum differs");
	whole(&im);
	im.data[1536 + 2] = 'x';
	refused(&im, -EBADMSG, "manifest.json: bytes behind its data");
	whole(&im);
	im.data[1024]++;
	refused(&im, -EBADMSG, "a damaged tar header at byte 1024");
	whole(&im);
	memcpy(((struct tar_block *)(im.data + 1024))->mode, "0000777", 7);
	reseal(&im, 1024);
	refused(&im, -EBADMSG, "manifest.json: its tar header is not one of ours");
	whole(&im);
	memcpy(((struct tar_block *)im.data)->size, "77777777777", 11);
	reseal(&im, 0);
	refused(&im, -EBADMSG, "PaxHeaders/manifest.json: an extended tar header of wrong size");
	whole(&im);
	im.data[512] = '9';
	refused(&im, -EBADMSG, "PaxHeaders/manifest.json: a damaged extended tar header");
	whole(&im);
	memcpy(((struct tar_block *)(im.data + 1024))->size, "10000000001", 11);
	reseal(&im, 1024);
	refused(&im, -EBADMSG, "manifest.json: 1073741825 bytes are too many");

	/* a file with a size that the image does not have, of a type that tar does not have */
	whole(&im);
	at = 2048 + 1024;
	b = (struct tar_block *)(im.data + at);
	memcpy(b->size, "77777777777", 11);
	reseal(&im, at);
	refused(&im, -EBADMSG, CUT);
	whole(&im);
	((struct tar_block *)(im.data + at))->type = 'L';
	reseal(&im, at);
	refused(&im, -EBADMSG, "rootfs/a: a tar member of unknown type");
	whole(&im);
	((struct tar_block *)(im.data + at))->type = '5';
	reseal(&im, at);
	refused(&im, -EBADMSG, "rootfs/a: a tar member of wrong size");
	whole(&im);
	im.data[at + TAR_BLOCK] = 'D';
	refused(&im, -EBADMSG, "files: checksum differs from end.json");

	/* data that is not aligned */
	manifest(&im);
	image_member(&im, "mem/0/0.pages", pages, 4096, false);
	refused(&im, -EBADMSG, "mem/0/0.pages: its data is not aligned");
}

/* ---- everywhere ---- */

static void test_truncation(void)
{
	struct image im = { 0 };
	struct ct_error err;
	size_t bad = 0;

	whole(&im);
	for (size_t len = 0; len < im.len; len += 512)
		for (size_t d = 0; d < 2; d++)
			if (read_all(im.data, len + d * 77, &err) != -EBADMSG || !err.text[0]) {
				printf("# %zu of %zu bytes\n", len + d * 77, im.len);
				bad++;
			}
	CHECK("an image cut at any block is refused", bad == 0);
	image_release(&im);
}

static void test_flips(void)
{
	struct image im = { 0 };
	struct ct_error err;
	size_t bad = 0, tried = 0;

	whole(&im);
	for (size_t i = 0; i < im.len; i++) {
		/* Every bit of what says something; of zeros and filling dots only one here and
		 * there. */
		for (int bit = 0; bit < 8; bit++) {
			int r;

			if ((!im.data[i] || im.data[i] == '.') &&
			    (i % 41 || bit != (int)(i / 41 % 8)))
				continue;
			im.data[i] ^= (unsigned char)(1 << bit);
			r = read_all(im.data, im.len, &err);
			if ((r != -EBADMSG && r != -EPROTONOSUPPORT) || !err.text[0]) {
				printf("# bit %d of byte %zu\n", bit, i);
				bad++;
			}
			im.data[i] ^= (unsigned char)(1 << bit);
			tried++;
		}
	}
	printf("# %zu flips\n", tried);
	CHECK("an image with any bit flipped is refused", bad == 0);
	image_release(&im);
}

int main(void)
{
	for (size_t i = 0; i < sizeof(pages); i += 512)
		pages[i] = (unsigned char)(i / 512);
	test_frame();
	test_order();
	test_end();
	test_chunks();
	test_bombs();
	test_heads();
	test_truncation();
	test_flips();
	return UNIT_DONE();
}
