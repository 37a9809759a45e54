// SPDX-License-Identifier: Apache-2.0
/* images/archive.h: what was written comes back, through files and pipes. Refusals are in
 * test-archive-bad.c. */
#include "images/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "images/node.h"
#include "libct/libct.h"
#include "tests/unit/unit.h"

#define BASE 0x7f0000000000
#define PAGES 3000
#define MANIFEST "{\n  \"version\": 1\n}\n"

/* Page i of the test: every fifth is zero, the rest is half noise, half text. */
static void fill(unsigned char *page, uint64_t i)
{
	uint64_t x = i * 2654435761u + 1;

	memset(page, 0, 4096);
	if (i % 5 == 4)
		return;
	for (size_t k = 0; k < 2048; k += 8) {
		x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		memcpy(page + k, &x, 8);
	}
	snprintf((char *)page + 4000, 90, "page %d", (int)i);
}

static void put_file(struct archive_writer *w, struct archive *a, const char *path,
		     const void *data, size_t len)
{
	struct archive_entry *e = archive_entry_new();
	struct ct_error err = { 0 };

	archive_entry_set_pathname(e, path);
	archive_entry_set_filetype(e, AE_IFREG);
	archive_entry_set_perm(e, 0640);
	archive_entry_set_size(e, (la_int64_t)len);
	archive_entry_set_mtime(e, 1700000000, 123456789);
	archive_entry_xattr_add_entry(e, "user.test", "va\0lue", 6);
	CHECK(path, !archive_files_entry(w, e, &err) &&
			    archive_write_data(a, data, len) == (la_ssize_t)len);
	archive_entry_free(e);
}

static const char *const names[] = { "rootfs/plain", "rootfs/caf\xc3\xa9", "rootfs/latin\xe9",
				     "log/0" };

/* A name too long for the two fields of a ustar header, with room for more tests on its length. */
static char long_name[700];

static void put_files(struct archive_writer *w)
{
	struct ct_error err;
	struct archive *a;

	memset(long_name, 'x', sizeof(long_name) - 1);
	memcpy(long_name, "rootfs/", 7);
	long_name[250] = '/';
	long_name[500] = '/';
	REQUIRE("files begin", !archive_files_begin(w, &a, &err));
	for (size_t i = 0; i < 3; i++)
		put_file(w, a, names[i], names[i], strlen(names[i]));
	put_file(w, a, long_name, "", 0);
	CHECK("files end", !archive_files_end(w, &err));
	CHECK("a log", !archive_put(w, "log/0", "log/0", 5, &err));
}

/* Pages in runs of 7 with a hole of 1 page behind each; `ragged` gives them in odd pieces. */
static bool put_pages(struct archive_writer *w, const char *space, bool ragged)
{
	struct ct_error err;

	if (pages_begin(w, space, &err) < 0)
		return false;
	for (uint64_t i = 0; i < PAGES;) {
		uint64_t left = 7 - i % 8, want = ragged && left > 2 ? 2 : left;
		unsigned char *buf;
		size_t got;

		if (i % 8 == 7) {
			i++;
			continue;
		}
		if (pages_reserve(w, BASE + i * 4096, want, (void **)&buf, &got, &err) < 0)
			return false;
		for (size_t k = 0; k < got; k++)
			fill(buf + k * 4096, i + k);
		if (pages_commit(w, got, &err) < 0)
			return false;
		i += got;
	}
	return pages_end(w, &err) == 0;
}

static char written_digest[33];

static void write_image(int fd, enum image_compress compress)
{
	struct ct_error err = { 0 };
	struct archive_writer *w;
	void *buf;
	size_t got;

	REQUIRE("a writer", !archive_writer_new(fd, compress, 0, &w, &err));
	CHECK("the manifest", !archive_put(w, "manifest.json", MANIFEST, strlen(MANIFEST), &err));
	put_files(w);
	CHECK("pages", put_pages(w, "mem/0", false));
	CHECK("pages in pieces", put_pages(w, "mem/17", true));
	CHECK("an empty space", !pages_begin(w, "mem/2", &err) && !pages_end(w, &err));
	CHECK("a space of zeros",
	      !pages_begin(w, "mem/3", &err) && !pages_reserve(w, 0, 1, &buf, &got, &err) &&
		      memset(buf, 0, 4096) && !pages_commit(w, 1, &err) && !pages_end(w, &err));
	CHECK("shared memory", put_pages(w, "shm/0", false));
	if (!CHECK("finish", !archive_finish(w, &err)))
		printf("# %s\n", err.text);
	archive_writer_digest(w, written_digest);
	CHECK("pages counted",
	      archive_pages_written(w) % 3 == 0 && archive_pages_written(w) > PAGES);
	archive_writer_free(w);
}

static void check_files(struct archive_reader *r, bool partly)
{
	struct ct_error err = { 0 };
	struct archive_entry *e;
	struct archive *a;
	char data[64];
	const void *value;
	const char *name;
	size_t size;
	la_ssize_t n;

	REQUIRE("files", !archive_files_read(r, &a, &err));
	for (size_t i = 0; i < 5; i++) {
		const char *expected = i < 3 ? names[i] : i == 3 ? long_name : names[3];

		REQUIRE("an entry", archive_read_next_header(a, &e) == ARCHIVE_OK);
		CHECK_STR("its name", archive_entry_pathname(e), expected);
		if (partly && i == 1)
			return;
		n = archive_read_data(a, data, sizeof(data));
		CHECK("its data", i == 3 ? n == 0
					 : n == (la_ssize_t)strlen(expected) &&
						   !memcmp(data, expected, (size_t)n));
		if (i == 4)
			continue;
		CHECK("its time", archive_entry_mtime_nsec(e) == 123456789);
		archive_entry_xattr_reset(e);
		CHECK("its attribute",
		      archive_entry_xattr_next(e, &name, &value, &size) == ARCHIVE_OK &&
			      size == 6 && !memcmp(value, "va\0lue", 6));
	}
	CHECK("no more entries", archive_read_next_header(a, &e) == ARCHIVE_EOF);
}

/* Follows the pages of one space through its chunks: every page that is not zero, in order. */
struct follow {
	char space[64];
	uint64_t next;
	bool ok;
	unsigned int spaces;
};

static void follow_chunk(struct follow *f, const struct pages_chunk *c)
{
	const unsigned char *data = c->data;
	unsigned char expected[4096];
	uint64_t pages = 0;

	if (strcmp(f->space, c->space)) {
		f->spaces++;
		f->next = 0;
		memcpy(f->space, c->space, sizeof(f->space));
	}
	f->ok = f->ok && (uintptr_t)data % 4096 == 0;
	for (size_t i = 0; i < c->n_runs; i++) {
		for (uint64_t k = 0; k < c->runs[i].pages; k++, data += 4096) {
			while (f->next % 8 == 7 || f->next % 5 == 4)
				f->next++;
			fill(expected, f->next);
			f->ok = f->ok && c->runs[i].address + k * 4096 == BASE + f->next * 4096 &&
				!memcmp(expected, data, 4096);
			f->next++;
		}
		pages += c->runs[i].pages;
	}
	f->ok = f->ok && pages == c->n_pages;
}

static void read_image(int fd, bool skip)
{
	struct follow f = { .ok = true };
	struct ct_error err = { 0 };
	struct archive_reader *r;
	struct pages_chunk chunk;
	enum image_member member;
	char *text = NULL, digest[33];
	size_t len;
	int e;

	REQUIRE("a reader", !archive_reader_new(fd, &r, &err));
	REQUIRE("a first member", !archive_next(r, &member, &err));
	REQUIRE("the manifest is first", member == IMAGE_MANIFEST);
	CHECK("the manifest",
	      !archive_read_manifest(r, &text, &len, &err) && len == strlen(MANIFEST));
	CHECK_STR("its text", text, MANIFEST);
	free(text);
	REQUIRE("a second member", !archive_next(r, &member, &err));
	REQUIRE("the files are second", member == IMAGE_FILES);
	check_files(r, skip);
	while ((e = archive_next(r, &member, &err)) == 0 && member == IMAGE_PAGES)
		if (!skip && !archive_read_pages(r, &chunk, &err))
			follow_chunk(&f, &chunk);
	if (!CHECK("the end", e == 0 && member == IMAGE_END))
		printf("# %s\n", err.text);
	if (!skip)
		CHECK("every page came back", f.ok && f.spaces == 3 && f.next >= PAGES - 2);
	archive_reader_digest(r, digest);
	CHECK("a digest", strlen(digest) == 32);
	if (written_digest[0])
		CHECK_STR("the digest is the writer's", digest, written_digest);
	CHECK("nothing after the end", archive_next(r, &member, &err) == -EINVAL);
	archive_reader_free(r);
}

static int temporary(const char *directory)
{
	int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	return fd;
}

static void test_file(const char *directory, enum image_compress compress, off_t at)
{
	int fd = temporary(directory);

	REQUIRE("a file", fd >= 0);
	lseek(fd, at, SEEK_SET);
	write_image(fd, compress);
	CHECK("the offset is behind the image", lseek(fd, 0, SEEK_CUR) == lseek(fd, 0, SEEK_END));
	lseek(fd, at, SEEK_SET);
	read_image(fd, false);
	lseek(fd, at, SEEK_SET);
	read_image(fd, true);
	close(fd);
}

static void test_pipe(void)
{
	int fds[2], status;
	pid_t pid;

	written_digest[0] = '\0'; /* it will be the child's */
	REQUIRE("a pipe", !pipe2(fds, O_CLOEXEC));
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		close(fds[0]);
		REQUIRE("a quiet child", freopen("/dev/null", "w", stdout));
		write_image(fds[1], IMAGE_COMPRESS_NONE);
		_exit(unit_failed != 0);
	}
	close(fds[1]);
	read_image(fds[0], false);
	CHECK("the writer is happy", waitpid(pid, &status, 0) == pid && status == 0);
	close(fds[0]);
}

/* Nobody reads and nobody writes: giving up must not wait for them. */
static void test_giving_up(void)
{
	struct ct_error err;
	struct archive_writer *w;
	struct archive_reader *r;
	enum image_member member;
	int fds[2], image = temporary("/tmp");
	static char half[200000];
	ssize_t n;

	REQUIRE("a pipe", !pipe2(fds, O_CLOEXEC));
	REQUIRE("a writer", !archive_writer_new(fds[1], IMAGE_COMPRESS_NONE, 0, &w, &err));
	CHECK("the manifest", !archive_put(w, "manifest.json", "{}", 2, &err));
	pages_begin(w, "mem/0", &err);
	for (uint64_t i = 0; i < 1000; i++) {
		size_t got;
		void *buf;

		if (pages_reserve(w, i * 4096, 1, &buf, &got, &err) == 0)
			memset(buf, 1, 4096);
		pages_commit(w, 1, &err);
	}
	archive_writer_free(w);
	CHECK("a writer whose reader sleeps can be freed", true);
	close(fds[0]);
	close(fds[1]);

	write_image(image, IMAGE_COMPRESS_NONE);
	REQUIRE("a pipe", !pipe2(fds, O_CLOEXEC));
	REQUIRE("a reader", !archive_reader_new(fds[0], &r, &err));
	n = pread(image, half, sizeof(half), 0);
	CHECK("half an image", n == sizeof(half) && write(fds[1], half, (size_t)n) == n);
	for (int i = 0; i < 2; i++)
		archive_next(r, &member, &err);
	archive_reader_free(r);
	CHECK("a reader whose writer sleeps can be freed", true);
	close(fds[0]);
	close(fds[1]);
	close(image);
}

/* Longer than what is gathered: it goes out in pieces. */
static void test_document(void)
{
	struct archive_reader *r;
	struct archive_writer *w;
	struct ct_error err = { 0 };
	struct doc *doc = doc_new();
	struct node *list = node_put_array(doc_root(doc), "list");
	char *text = NULL, *read = NULL;
	enum image_member member;
	size_t len, read_len = 0;
	int fd = temporary("/tmp");

	for (uint64_t i = 0; i < 200000; i++)
		node_put_u64(list, NULL, i);
	REQUIRE("a writer", !archive_writer_new(fd, IMAGE_COMPRESS_NONE, 0, &w, &err));
	CHECK("a document as manifest", !archive_put_manifest(w, doc, &err));
	CHECK("a second one", archive_put_manifest(w, doc, &err) == -EINVAL);
	archive_writer_free(w);
	lseek(fd, 0, SEEK_SET);
	REQUIRE("a writer", !archive_writer_new(fd, IMAGE_COMPRESS_NONE, 0, &w, &err));
	CHECK("a document as manifest", !archive_put_manifest(w, doc, &err) && !archive_finish(w, &err));
	archive_writer_free(w);
	lseek(fd, 0, SEEK_SET);
	REQUIRE("a reader", !archive_reader_new(fd, &r, &err));
	CHECK("the manifest", !archive_next(r, &member, &err) && member == IMAGE_MANIFEST &&
				      !archive_read_manifest(r, &read, &read_len, &err));
	CHECK("is the document's text", !doc_format(doc, &text, &len, &err) && len > 2u << 20 &&
						len == read_len && !memcmp(text, read, len));
	CHECK("the end", !archive_next(r, &member, &err) && member == IMAGE_END);
	archive_reader_free(r);
	node_put_u64(list, "key", 1);
	lseek(fd, 0, SEEK_SET);
	REQUIRE("a writer", !archive_writer_new(fd, IMAGE_COMPRESS_NONE, 0, &w, &err));
	CHECK("one with an error is not written", archive_put_manifest(w, doc, &err) == -EBADMSG);
	CHECK_STR("with its words", err.text, "list: not an object");
	archive_writer_free(w);
	free(text);
	free(read);
	doc_free(doc);
	close(fd);
}

static void test_full_disk(void)
{
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	struct ct_error err = { 0 }, again = { 0 };
	struct archive_writer *w;
	bool failed = false;

	REQUIRE("a writer", !archive_writer_new(fd, IMAGE_COMPRESS_NONE, 0, &w, &err));
	CHECK("small things are gathered", !archive_put(w, "manifest.json", "{}", 2, &err));
	pages_begin(w, "mem/0", &err);
	for (uint64_t i = 0; i < 100000 && !failed; i++) {
		size_t got;
		void *buf;

		failed = pages_reserve(w, i * 4096, 1, &buf, &got, &err) < 0;
		if (!failed) {
			memset(buf, 1, 4096);
			pages_commit(w, 1, &err);
		}
	}
	CHECK("the thread's error reaches the caller", failed && err.code == -ENOSPC);
	CHECK_STR("with its words", err.text, "write the image: No space left on device");
	CHECK("and stays", archive_finish(w, &again) == -ENOSPC);
	archive_writer_free(w);
	close(fd);
}

static void test_misuse(void)
{
	struct ct_error err = { 0 };
	struct archive_writer *w;
	int fd = memfd_create("image", MFD_CLOEXEC);
	size_t got;
	void *buf;

#define MISUSE(prepare, call, words) \
	do { \
		REQUIRE("a writer", !archive_writer_new(fd, IMAGE_COMPRESS_NONE, 0, &w, &err)); \
		prepare; \
		CHECK(#call, (call) == -EINVAL); \
		CHECK_STR("says", err.text, words); \
		archive_writer_free(w); \
	} while (0)
#define MANIFEST_PUT archive_put(w, "manifest.json", "{}", 2, &err)

	MISUSE(, archive_put(w, "log/0", "", 0, &err), "write the image: no manifest yet");
	MISUSE(, archive_finish(w, &err), "write the image: no manifest yet");
	MISUSE(MANIFEST_PUT, MANIFEST_PUT, "write the image: a second manifest");
	MISUSE(MANIFEST_PUT, archive_put(w, "foo", "", 0, &err),
	       "write the image: a member of unknown name");
	MISUSE((MANIFEST_PUT, pages_begin(w, "shm/0", &err), pages_end(w, &err)),
	       pages_begin(w, "mem/0", &err), "write the image: members out of order");
	MISUSE((MANIFEST_PUT, pages_begin(w, "mem/0", &err), pages_end(w, &err)),
	       pages_begin(w, "mem/0", &err), "write the image: a space a second time");
	MISUSE(MANIFEST_PUT, pages_begin(w, "mem/01", &err), "write the image: no name of a space");
	MISUSE((MANIFEST_PUT, pages_begin(w, "mem/0", &err),
		pages_reserve(w, 4096, 1, &buf, &got, &err), pages_commit(w, 1, &err)),
	       pages_reserve(w, 4096, 1, &buf, &got, &err),
	       "write the image: pages out of order or out of bounds");
	MISUSE((MANIFEST_PUT, pages_begin(w, "mem/0", &err)), archive_finish(w, &err),
	       "write the image: the pages are not ended");
	close(fd);
}

static void test_odd_xattr(void)
{
	struct archive_entry *e = archive_entry_new();
	struct ct_error err = { 0 };
	struct archive_writer *w;
	struct archive *a;
	int fd = memfd_create("image", MFD_CLOEXEC);

	REQUIRE("a writer", !archive_writer_new(fd, IMAGE_COMPRESS_NONE, 0, &w, &err));
	archive_put(w, "manifest.json", "{}", 2, &err);
	archive_files_begin(w, &a, &err);
	archive_entry_set_pathname(e, "rootfs/a/b");
	archive_entry_set_filetype(e, AE_IFREG);
	archive_entry_set_size(e, 0);
	archive_entry_xattr_add_entry(e, "user.a=b", "", 0);
	CHECK("an attribute that tar cannot hold", archive_files_entry(w, e, &err) == -EOPNOTSUPP);
	CHECK_STR("says", err.text, "'/a/b': the name of an extended attribute has '=' inside");
	archive_entry_xattr_clear(e);
	archive_entry_set_pathname(e, "etc/passwd");
	CHECK("a file outside", archive_files_entry(w, e, &err) == -EINVAL);
	CHECK_STR("says", err.text, "write the image: no file, or outside of rootfs/ and log/");
	archive_entry_free(e);
	archive_writer_free(w);
	close(fd);
}

/* GNU tar lists it, with one word for each of the two names that are not ASCII. */
static void test_tar(void)
{
	char path[] = "/tmp/test-archive-XXXXXX", command[128];
	int fd = mkstemp(path), status;

	write_image(fd, IMAGE_COMPRESS_ZSTD);
	snprintf(command, sizeof(command),
		 "test $(tar --list --file %s 2>&1 >/dev/null | wc -l) = 2", path);
	status = system(command);
	CHECK("tar lists the image", WIFEXITED(status) && WEXITSTATUS(status) == 0);
	unlink(path);
	close(fd);
}

int main(void)
{
	static const char *const directories[] = { "/tmp", "/dev/shm", "." };

	for (size_t i = 0; i < 3; i++)
		for (int c = IMAGE_COMPRESS_NONE; c <= IMAGE_COMPRESS_ZSTD; c++)
			test_file(directories[i], c, 0);
	test_file(".", IMAGE_COMPRESS_NONE, 8192);
	test_file(".", IMAGE_COMPRESS_NONE, 100);
	/* Names are bytes in any locale: written in one, read in another. */
	if (setlocale(LC_ALL, "C.UTF-8"))
		test_file(".", IMAGE_COMPRESS_NONE, 0);
	setlocale(LC_ALL, "C");
	test_pipe();
	test_odd_xattr();
	test_giving_up();
	test_document();
	test_full_disk();
	test_misuse();
	test_tar();
	return UNIT_DONE();
}
