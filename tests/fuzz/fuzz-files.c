// SPDX-License-Identifier: Apache-2.0
/* with: libct/kind/tree-extract.c */
/*
 * The files of an image: the input is the group of rootfs/ and log/ members inside an image that is right in
 * everything else, extracted as the root file system of a pod would be. Whatever it says, nothing outside of the
 * directory it goes to changes. It all happens in a small tmpfs of our own.
 */
#include <archive.h>
#include <archive_entry.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "images/archive.h"
#include "libct/base/io.h"
#include "libct/kind/tree.h"
#include "libct/libct.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/repair.h"
#include "tests/unit/image.h"

#define TOP "/mnt" /* hidden below our tmpfs, in our own mount namespace */
#define MEMBERS_MAX 200

static int top = -1;
static struct stat outside[3]; /* the directory above, a file and a directory in it */
static const char *const names[] = { ".", "file", "directory" };

static void look_outside(struct stat *st)
{
	for (int i = 0; i < 3; i++)
		if (fstatat(top, names[i], &st[i], AT_SYMLINK_NOFOLLOW) < 0)
			abort();
}

static void make_root(void)
{
	if (mkdirat(top, "root", 0755) < 0)
		abort();
	look_outside(outside);
}

static void begin(void)
{
	int fd;

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("fuzz", TOP, "tmpfs", MS_NODEV | MS_NOSUID, "size=64m,nr_inodes=20000") < 0) {
		perror("a tmpfs of our own");
		abort();
	}
	top = open(TOP, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fd = openat(top, "file", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (top < 0 || fd < 0 || write(fd, "outside", 7) != 7 || mkdirat(top, "directory", 0700) < 0)
		abort();
	close(fd);
}

/* All that may differ is the entry "root" that we made ourselves: its own change is no change of these. */
static void check_outside(void)
{
	struct stat now[3];

	look_outside(now);
	for (int i = 0; i < 3; i++)
		if (now[i].st_ino != outside[i].st_ino || now[i].st_mode != outside[i].st_mode ||
		    now[i].st_uid != outside[i].st_uid || now[i].st_nlink != outside[i].st_nlink ||
		    now[i].st_size != outside[i].st_size ||
		    now[i].st_ctim.tv_sec != outside[i].st_ctim.tv_sec ||
		    now[i].st_ctim.tv_nsec != outside[i].st_ctim.tv_nsec)
			abort();
}

static void extract_entry(struct tree_extract *x, struct archive *a, struct archive_entry *entry)
{
	const char *path = archive_entry_pathname(entry), *link = archive_entry_hardlink(entry);
	struct ct_error err = { 0 };
	const char *rel;

	if (!path || strncmp(path, "rootfs/", 7) || (link && strncmp(link, "rootfs/", 7)))
		return;
	rel = path + 7;
	tree_extract(x, rel, link ? link + 7 : NULL, entry, tree_data_archive, a, &err);
	/* One line, whatever the names are. */
	if (strpbrk(err.text, "\n\r\033"))
		abort();
}

static void extract(struct archive *a, int flags)
{
	struct tree_extract x = TREE_EXTRACT_NONE;
	struct archive_entry *entry;
	struct ct_error err = { 0 };

	x.upper = flags & 1;
	x.tame = flags & 2;
	x.merge = flags & 4;
	x.root = openat(top, "root", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; i < MEMBERS_MAX && archive_read_next_header(a, &entry) == ARCHIVE_OK; i++)
		extract_entry(&x, a, entry);
	tree_extract_end(&x, &err);
	tree_extract_release(&x);
}

static void read_image(struct image *im, int flags)
{
	int fd = memfd_create("image", MFD_CLOEXEC);
	struct archive_reader *r = NULL;
	struct ct_error err = { 0 };
	enum image_member member;
	struct archive *a;

	if (fd < 0 || write(fd, im->data, im->len) != (ssize_t)im->len || lseek(fd, 0, SEEK_SET) != 0 ||
	    archive_reader_new(fd, &r, &err) < 0)
		abort();
	while (archive_next(r, &member, &err) == 0 && member != IMAGE_END)
		if (member == IMAGE_FILES && archive_files_read(r, &a, &err) == 0)
			extract(a, flags);
	archive_reader_free(r);
	close(fd);
}

/* The first byte says how it is extracted; the rest is the group. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct image im = { 0 };
	size_t at;

	if (top < 0)
		begin();
	if (!size)
		return 0;
	make_root();
	image_member(&im, "manifest.json", "{}", 2, true);
	at = im.len;
	image_bytes(&im, data + 1, size - 1);
	image_bytes(&im, NULL, tar_padded(size - 1) - (size - 1));
	repair_blocks(im.data + at, im.len - at);
	rows_add(&im.rows, ROW_FILES, im.len - at, XXH3_64bits(im.data + at, im.len - at));
	image_end(&im);
	read_image(&im, data[0]);
	check_outside();
	image_release(&im);
	if (io_remove_tree(top, "root") < 0)
		abort();
	return 0;
}

/* ---- seeds: one member of each type ---- */

static const struct seed {
	const char *path, *link;
	mode_t type;
	dev_t device;
} seeds[] = {
	{ "rootfs/", NULL, AE_IFDIR, 0 },
	{ "rootfs/d", NULL, AE_IFDIR, 0 },
	{ "rootfs/d/file", NULL, AE_IFREG, 0 },
	{ "rootfs/d/link", "rootfs/d/file", AE_IFREG, 0 },
	{ "rootfs/d/symlink", "../../directory", AE_IFLNK, 0 },
	{ "rootfs/d/symlink/file", NULL, AE_IFREG, 0 },
	{ "rootfs/d/../../up", NULL, AE_IFREG, 0 },
	{ "rootfs/disk", NULL, AE_IFBLK, 0x800 },
	{ "rootfs/whiteout", NULL, AE_IFCHR, 0 },
	{ "rootfs/fifo", NULL, AE_IFIFO, 0 },
	{ "rootfs/two\nlines\xff", NULL, AE_IFREG, 0 },
};

static int put(struct archive_writer *w, struct archive *a, const struct seed *s)
{
	struct archive_entry *entry = archive_entry_new();
	struct ct_error err = { 0 };
	bool data = s->type == AE_IFREG && !s->link;
	int r;

	archive_entry_set_pathname(entry, s->path);
	archive_entry_set_filetype(entry, s->type);
	archive_entry_set_perm(entry, 04755);
	archive_entry_set_rdev(entry, s->device);
	archive_entry_set_size(entry, data ? 5 : 0);
	if (s->link && s->type == AE_IFLNK)
		archive_entry_set_symlink(entry, s->link);
	else if (s->link)
		archive_entry_set_hardlink(entry, s->link);
	archive_entry_xattr_add_entry(entry, "user.test", "value", 5);
	archive_entry_xattr_add_entry(entry, "trusted.overlay.opaque", "y", 1);
	r = archive_files_entry(w, entry, &err);
	if (r == 0 && data && archive_write_data(a, "hello", 5) != 5)
		r = -1;
	archive_entry_free(entry);
	return r;
}

/* The bytes of the group: between the head and data of the manifest and the head of end.json. */
static int save(const char *directory, const char *name, int image, char flags)
{
	static unsigned char data[1 << 20];
	ssize_t n = pread(image, data + 1, sizeof(data) - 1, 0);
	size_t from = 1 + 4 * TAR_BLOCK, to = from;
	int fd = fuzz_seed_open(directory, name), r;

	while (to + TAR_BLOCK <= (size_t)n && strcmp((char *)data + to, "PaxHeaders/end.json"))
		to += TAR_BLOCK;
	data[from - 1] = (unsigned char)flags;
	r = fd >= 0 && write(fd, data + from - 1, to - from + 1) == (ssize_t)(to - from + 1) ? 0 : -1;
	close(fd);
	return r;
}

int fuzz_seed(const char *directory)
{
	for (size_t i = 0; i <= sizeof(seeds) / sizeof(seeds[0]); i++) {
		int image = memfd_create("image", MFD_CLOEXEC), r;
		bool all = i == sizeof(seeds) / sizeof(seeds[0]);
		struct archive_writer *w = NULL;
		struct ct_error err = { 0 };
		struct archive *a;
		char name[16];

		r = archive_writer_new(image, IMAGE_COMPRESS_NONE, 0, &w, &err);
		if (r == 0)
			r = archive_put(w, "manifest.json", "{}", 2, &err);
		if (r == 0)
			r = archive_files_begin(w, &a, &err);
		for (size_t k = all ? 0 : i; r == 0 && k < (all ? i : i + 1); k++)
			r = put(w, a, &seeds[k]);
		if (r == 0)
			r = archive_files_end(w, &err);
		if (r == 0)
			r = archive_finish(w, &err);
		archive_writer_free(w);
		snprintf(name, sizeof(name), "%zu", i);
		if (r < 0 || save(directory, name, image, all ? 5 : (char)i) < 0)
			return -1;
		close(image);
	}
	return 0;
}
