// SPDX-License-Identifier: Apache-2.0
/* images/archive.h: ordinary files of every kind keep everything that a tree on Linux can have. */
#include "images/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "libct/libct.h"
#include "tests/unit/unit.h"

#define GB (INT64_C(1) << 30)

struct sample {
	const char *path;
	mode_t mode;
	int64_t uid, gid;
	int64_t mtime;
	long nsec;
	int64_t size;
	const char *target; /* of a symbolic or hard link */
	bool hard;
	unsigned int major, minor;
	int64_t data[3]; /* where the data of a sparse file begins; -1: nothing more */
};

static const struct sample samples[] = {
	{ .path = "rootfs/", .mode = S_IFDIR | 0755, .mtime = 1 },
	{ .path = "rootfs/dir/", .mode = S_IFDIR | S_ISVTX | 0777, .mtime = 1700000000, .nsec = 999999999 },
	{ .path = "rootfs/empty", .mode = S_IFREG | 0, .uid = 4294967294, .gid = 2097152 },
	{ .path = "rootfs/old", .mode = S_IFREG | S_ISUID | S_ISGID | 0755, .mtime = -5, .nsec = 1, .size = 513 },
	{ .path = "rootfs/hard", .mode = S_IFREG | 0644, .target = "rootfs/old", .hard = true },
	{ .path = "rootfs/link", .mode = S_IFLNK | 0777, .target = "/somewhere/caf\xe9" },
	{ .path = "rootfs/new\nline \x1b", .mode = S_IFREG | 0600, .size = 1 },
	{ .path = "rootfs/null", .mode = S_IFCHR | 0666, .major = 1, .minor = 3 },
	{ .path = "rootfs/whiteout", .mode = S_IFCHR | 0, .major = 0, .minor = 0 },
	{ .path = "rootfs/disk", .mode = S_IFBLK | 0660, .major = 259, .minor = 1048575 },
	{ .path = "rootfs/fifo", .mode = S_IFIFO | 0622 },
	{ .path = "rootfs/sparse", .mode = S_IFREG | 0644, .size = 1000000, .data = { 4096, 500000, -1 } },
	{ .path = "rootfs/huge", .mode = S_IFREG | 0644, .size = 20 * GB, .data = { 12 * GB, -1 } },
	{ .path = "rootfs/hole", .mode = S_IFREG | 0644, .size = 4096, .data = { 4096, -1 } },
	{ .path = "log/0", .mode = S_IFREG | 0600, .size = 3 },
};

#define N_SAMPLES (sizeof(samples) / sizeof(samples[0]))
#define DATA 100 /* bytes of each piece of a sparse file */

static char content[1024];

/* Holes too are given to libarchive, as zeros: it knows where they are and leaves them out. */
static bool write_zeros(struct archive *a, int64_t len)
{
	static const char zeros[1 << 20];

	for (; len > 0; len -= (int64_t)sizeof(zeros)) {
		size_t n = len < (int64_t)sizeof(zeros) ? (size_t)len : sizeof(zeros);

		if (archive_write_data(a, zeros, n) != (la_ssize_t)n)
			return false;
	}
	return true;
}

static void write_data(struct archive *a, const struct sample *s)
{
	int64_t at = 0;

	if (!s->data[0] && s->size) {
		CHECK("data", archive_write_data(a, content, (size_t)s->size) == s->size);
		return;
	}
	for (size_t i = 0; s->data[0] && s->data[i] >= 0 && s->data[i] < s->size; i++) {
		CHECK("a hole", write_zeros(a, s->data[i] - at));
		CHECK("a piece", archive_write_data(a, content, DATA) == DATA);
		at = s->data[i] + DATA;
	}
	CHECK("the rest", write_zeros(a, s->size - at));
}

static struct archive_entry *make_entry(const struct sample *s)
{
	struct archive_entry *e = archive_entry_new();

	archive_entry_copy_pathname(e, s->path);
	archive_entry_set_mode(e, s->mode);
	archive_entry_set_uid(e, s->uid);
	archive_entry_set_gid(e, s->gid);
	archive_entry_set_mtime(e, s->mtime, s->nsec);
	archive_entry_set_nlink(e, 2);
	archive_entry_set_rdev(e, makedev(s->major, s->minor));
	if (S_ISREG(s->mode))
		archive_entry_set_size(e, s->size);
	if (s->target && s->hard)
		archive_entry_copy_hardlink(e, s->target);
	else if (s->target)
		archive_entry_copy_symlink(e, s->target);
	for (size_t i = 0; s->data[0] && s->data[i] >= 0; i++)
		archive_entry_sparse_add_entry(e, s->data[i], s->data[i] < s->size ? DATA : 0);
	if (S_ISDIR(s->mode)) {
		archive_entry_xattr_add_entry(e, "trusted.overlay.opaque", "y", 1);
		archive_entry_acl_add_entry(e, ARCHIVE_ENTRY_ACL_TYPE_DEFAULT, 7, ARCHIVE_ENTRY_ACL_USER,
					    1234, NULL);
	}
	return e;
}

static void put(struct archive_writer *w, struct archive *a, const struct sample *s)
{
	struct archive_entry *e = make_entry(s);
	struct ct_error err = { 0 };

	if (!CHECK(s->path, !archive_files_entry(w, e, &err)))
		printf("# %s\n", err.text);
	write_data(a, s);
	archive_entry_free(e);
}

static void check_data(struct archive *a, const struct sample *s)
{
	int64_t expected = 0, seen = 0;
	const void *block;
	bool ok = true;
	size_t len;
	off_t at;
	int r;

	if (!s->data[0] && !s->target)
		expected = s->size;
	for (size_t i = 0; s->data[0] && s->data[i] >= 0; i++)
		expected += s->data[i] < s->size ? DATA : 0;
	while ((r = archive_read_data_block(a, &block, &len, &at)) == ARCHIVE_OK) {
		if (!len)
			continue;
		for (size_t i = 0; s->data[0] && i < 3; i++)
			if (s->data[i] == at)
				at = 0;
		ok = ok && at + (off_t)len <= (off_t)sizeof(content) && !memcmp(block, content + at, len);
		seen += (int64_t)len;
	}
	CHECK("its data, where it was", ok && r == ARCHIVE_EOF && seen == expected);
}

static void check(struct archive *a, const struct sample *s)
{
	struct archive_entry *e;
	const void *value;
	const char *name;
	size_t size;

	REQUIRE("an entry", archive_read_next_header(a, &e) == ARCHIVE_OK);
	CHECK_STR("its name", archive_entry_pathname(e), s->path);
	CHECK("its owner", archive_entry_uid(e) == s->uid && archive_entry_gid(e) == s->gid);
	CHECK("its time", archive_entry_mtime(e) == s->mtime && archive_entry_mtime_nsec(e) == s->nsec);
	if (s->hard) {
		CHECK_STR("a hard link", archive_entry_hardlink(e), s->target);
		return;
	}
	CHECK("its mode", archive_entry_mode(e) == s->mode);
	if (s->target)
		CHECK_STR("a link", archive_entry_symlink(e), s->target);
	if (S_ISREG(s->mode))
		CHECK("its size", archive_entry_size(e) == s->size);
	if (S_ISCHR(s->mode) || S_ISBLK(s->mode))
		CHECK("its device", archive_entry_rdev(e) == makedev(s->major, s->minor));
	if (S_ISDIR(s->mode)) {
		archive_entry_xattr_reset(e);
		CHECK("one attribute", archive_entry_xattr_next(e, &name, &value, &size) == ARCHIVE_OK &&
					       archive_entry_xattr_count(e) == 1 && size == 1);
		CHECK("an access list", archive_entry_acl_count(e, ARCHIVE_ENTRY_ACL_TYPE_DEFAULT) >= 1);
	}
	check_data(a, s);
}

static void write_straight(struct archive_writer *w)
{
	struct ct_error err = { 0 };
	struct archive *a;

	CHECK("begin", !archive_files_begin(w, &a, &err));
	for (size_t i = 0; i < N_SAMPLES; i++)
		put(w, a, &samples[i]);
	CHECK("end", !archive_files_end(w, &err));
	/* A second group directly behind is the same group. */
	CHECK("begin again", !archive_files_begin(w, &a, &err) && !archive_files_end(w, &err));
}

/* The samples from the last to the first, each behind one that is not wanted; then in their order, behind pages. */
static void write_staged(struct archive_writer *w)
{
	struct archive_piece pieces[N_SAMPLES], other;
	struct archive_stage *stage;
	struct ct_error err = { 0 };
	struct archive *a;
	uint64_t size = 0;
	size_t got;
	void *page;

	REQUIRE("a stage", !archive_stage_new(memfd_create("stage", MFD_CLOEXEC), &stage, &a, &err));
	for (size_t i = N_SAMPLES; i-- > 0;) {
		struct archive_entry *e = make_entry(&samples[i]), *unfinished = make_entry(&samples[0]);

		CHECK("an entry", !archive_stage_entry(stage, e, &err));
		write_data(a, &samples[i]);
		CHECK("its piece", !archive_stage_end(stage, &pieces[i], &err));
		CHECK("one that is given up", !archive_stage_entry(stage, unfinished, &err));
		size += pieces[i].size;
		archive_entry_free(e);
		archive_entry_free(unfinished);
	}
	CHECK("the last one's end", !archive_stage_end(stage, &other, &err));
	CHECK("room", !archive_files_gap(w, size, &err));
	REQUIRE("pages", !pages_begin(w, "mem/0", &err) &&
				 !pages_reserve(w, 0x1000, 1, &page, &got, &err));
	memset(page, 1, IMAGE_PAGE);
	CHECK("a page", !pages_commit(w, 1, &err) && !pages_end(w, &err));
	CHECK("the room is filled", !archive_files_fill(w, stage, pieces, N_SAMPLES, &err));
	archive_stage_free(stage);
}

static void read_back(int fd, bool pages)
{
	struct ct_error err = { 0 };
	struct archive_reader *r;
	struct archive_entry *e;
	enum image_member member;
	struct archive *a;

	lseek(fd, 0, SEEK_SET);
	REQUIRE("a reader", !archive_reader_new(fd, &r, &err));
	REQUIRE("a manifest", !archive_next(r, &member, &err) && member == IMAGE_MANIFEST);
	REQUIRE("files", !archive_next(r, &member, &err) && member == IMAGE_FILES);
	REQUIRE("to read", !archive_files_read(r, &a, &err));
	for (size_t i = 0; i < N_SAMPLES; i++)
		check(a, &samples[i]);
	CHECK("no more", archive_read_next_header(a, &e) == ARCHIVE_EOF);
	if (pages)
		CHECK("the pages", !archive_next(r, &member, &err) && member == IMAGE_PAGES);
	if (!CHECK("the end", !archive_next(r, &member, &err) && member == IMAGE_END))
		printf("# %s\n", err.text);
	archive_reader_free(r);
}

static void test(bool staged)
{
	int fd = memfd_create("image", MFD_CLOEXEC);
	struct ct_error err = { 0 };
	struct archive_writer *w;

	REQUIRE("a writer", !archive_writer_new(fd, IMAGE_COMPRESS_NONE, 0, &w, &err));
	CHECK("a manifest", !archive_put(w, "manifest.json", "{}", 2, &err));
	if (staged)
		write_staged(w);
	else
		write_straight(w);
	if (!CHECK("finish", !archive_finish(w, &err)))
		printf("# %s\n", err.text);
	archive_writer_free(w);
	read_back(fd, staged);
	close(fd);
}

/* Room that nobody fills in makes no image; nor is there any in a pipe. */
static void test_gap(void)
{
	int fd = memfd_create("image", MFD_CLOEXEC), ends[2];
	struct ct_error err = { 0 };
	struct archive_writer *w;

	REQUIRE("a writer", !archive_writer_new(fd, IMAGE_COMPRESS_NONE, 0, &w, &err));
	CHECK("room", !archive_put(w, "manifest.json", "{}", 2, &err) &&
			      !archive_files_gap(w, 512, &err));
	CHECK("not filled in", archive_finish(w, &err) == -EINVAL);
	archive_writer_free(w);
	close(fd);
	REQUIRE("a pipe", !pipe(ends));
	REQUIRE("a writer", !archive_writer_new(ends[1], IMAGE_COMPRESS_NONE, 0, &w, &err));
	CHECK("a manifest", !archive_put(w, "manifest.json", "{}", 2, &err));
	CHECK("no room", archive_files_gap(w, 512, &err) == -EOPNOTSUPP);
	archive_writer_free(w);
	close(ends[0]);
	close(ends[1]);
}

int main(void)
{
	for (size_t i = 0; i < sizeof(content); i++)
		content[i] = (char)('a' + i % 26);
	test(false);
	test(true);
	test_gap();
	return UNIT_DONE();
}
