/* SPDX-License-Identifier: Apache-2.0 */
#include "libct/kind/tree.h"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "images/archive.h"
#include "libct/base/cleanup.h"
#include "libct/base/error.h"
#include "libct/base/sys.h"

#define BUFFER (1u << 20)

DEFINE_CLEANUP(struct archive_entry *, archive_entry_free)

void tree_dump_release(struct tree_dump *t)
{
	for (size_t i = 0; i < t->n_links; i++)
		free(t->links[i].path);
	free(t->links);
	free(t->path);
	free(t->buffer);
	*t = (struct tree_dump){ 0 };
}

/* ---- extended attributes ---- */

/* What an overlay notes for itself means nothing elsewhere, but for "this directory hides the lower one". */
static bool is_wanted(const struct tree_dump *t, const char *name)
{
	if (!strncmp(name, "system.", 7))
		return !strncmp(name, "system.posix_acl_", 17);
	if (!t->upper || strncmp(name, "trusted.overlay.", 16))
		return true;
	return !strcmp(name + 16, "opaque") || !strncmp(name + 16, "overlay.", 8);
}

static int put_xattr(const char *path, const char *name, struct archive_entry *entry)
{
	cleanup_free char *value = NULL;
	ssize_t len;

	do {
		len = getxattr(path, name, NULL, 0);
		if (len < 0)
			return errno == ENODATA ? 0 : -errno;
		free(value);
		value = malloc((size_t)len + 1);
		if (!value)
			return -ENOMEM;
		len = getxattr(path, name, value, (size_t)len);
	} while (len < 0 && errno == ERANGE);
	if (len < 0)
		return -errno;
	archive_entry_xattr_add_entry(entry, name, value, (size_t)len);
	return 0;
}

/* By way of /proc/self/fd, since an O_PATH descriptor has no f*xattr(2). */
static int put_xattrs(const struct tree_dump *t, int fd, struct archive_entry *entry)
{
	cleanup_free char *names = NULL;
	ssize_t len;
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	do {
		len = listxattr(path, NULL, 0);
		if (len <= 0)
			return len < 0 && errno != ENOTSUP ? -errno : 0;
		free(names);
		names = malloc((size_t)len);
		if (!names)
			return -ENOMEM;
		len = listxattr(path, names, (size_t)len);
	} while (len < 0 && errno == ERANGE);
	for (const char *name = names; len > 0 && name < names + len; name += strlen(name) + 1) {
		int r = is_wanted(t, name) ? put_xattr(path, name, entry) : 0;

		if (r < 0)
			return r;
	}
	return len < 0 ? -errno : 0;
}

/* ---- data ---- */

/* The map of data and holes; none where there are no holes. */
static int put_holes(int fd, off_t size, struct archive_entry *entry)
{
	off_t at = 0;

	while (at < size) {
		off_t data = lseek(fd, at, SEEK_DATA), hole;

		if (data < 0 && errno == ENXIO)
			data = hole = size;
		else
			hole = data < 0 ? -1 : lseek(fd, data, SEEK_HOLE);
		if (hole < 0)
			return errno == EINVAL ? 0 : -errno; /* a file system that cannot tell */
		if (hole > size)
			hole = size;
		if (data == 0 && hole == size)
			return 0;
		if (hole > data)
			archive_entry_sparse_add_entry(entry, data, hole - data);
		else if (at == 0)
			archive_entry_sparse_add_entry(entry, size, 0); /* a hole only */
		at = hole;
	}
	return 0;
}

/* libarchive wants the bytes of holes too, and throws them away. */
static int write_data(struct tree_dump *t, int fd, off_t size, struct ct_error *err)
{
	if (!t->buffer)
		t->buffer = malloc(BUFFER);
	if (!t->buffer)
		return error_errno(err, -ENOMEM, "files");
	for (off_t at = 0; at < size;) {
		size_t want = size - at < (off_t)BUFFER ? (size_t)(size - at) : BUFFER;
		off_t data = lseek(fd, at, SEEK_DATA);
		ssize_t n;

		if (data < 0 && errno == ENXIO)
			data = size;
		if (data > at) {
			if (data - at < (off_t)want)
				want = (size_t)(data - at);
			memset(t->buffer, 0, want);
			n = (ssize_t)want;
		} else {
			n = pread(fd, t->buffer, want, at);
			if (n < 0 && errno == EINTR)
				continue;
			if (n < 0)
				return error_errno(err, -errno, "read");
			if (n == 0) /* shorter than it was: somebody outside did that */
				return error_set(err, -EBUSY, "it changes while it is read");
		}
		if (archive_write_data(t->a, t->buffer, (size_t)n) != n)
			return error_set(err, -EIO, "write the image: %s", archive_error_string(t->a));
		at += n;
	}
	return 0;
}

/* ---- entries ---- */

/* The name under which a file of several names was written already; NULL: not yet, and it is noted. */
static const char *known_link(struct tree_dump *t, const struct stat *st, int *ret)
{
	struct tree_link *l;

	*ret = 0;
	for (size_t i = 0; i < t->n_links; i++)
		if (t->links[i].ino == st->st_ino && t->links[i].dev == st->st_dev)
			return t->links[i].path;
	if (t->n_links == t->max_links) {
		size_t max = t->max_links ? t->max_links * 2 : 64;

		l = reallocarray(t->links, max, sizeof(*l));
		if (!l) {
			*ret = -ENOMEM;
			return NULL;
		}
		t->links = l;
		t->max_links = max;
	}
	l = &t->links[t->n_links];
	*l = (struct tree_link){ st->st_dev, st->st_ino, strdup(t->path) };
	if (!l->path)
		*ret = -ENOMEM;
	else
		t->n_links++;
	return NULL;
}

static int fill_entry(struct tree_dump *t, struct archive_entry *e, int dirfd, const char *name,
		      const struct stat *st, int fd, struct ct_error *err)
{
	char target[PATH_MAX];
	ssize_t len;
	int r;

	archive_entry_copy_pathname(e, t->path);
	archive_entry_set_mode(e, st->st_mode);
	archive_entry_set_uid(e, st->st_uid);
	archive_entry_set_gid(e, st->st_gid);
	archive_entry_set_mtime(e, st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
	archive_entry_set_size(e, S_ISREG(st->st_mode) ? st->st_size : 0);
	if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode))
		archive_entry_set_rdev(e, st->st_rdev);
	if (S_ISLNK(st->st_mode)) {
		len = readlinkat(dirfd, name, target, sizeof(target));
		if (len < 0 || len == sizeof(target))
			return error_errno(err, len < 0 ? -errno : -ENAMETOOLONG, "readlink");
		target[len] = '\0';
		archive_entry_copy_symlink(e, target);
	}
	r = put_xattrs(t, fd, e);
	if (r < 0)
		return error_errno(err, r, "read its extended attributes");
	if (S_ISSOCK(st->st_mode)) {
		archive_entry_set_filetype(e, AE_IFREG);
		archive_entry_xattr_add_entry(e, TREE_TYPE, TREE_SOCKET, sizeof(TREE_SOCKET) - 1);
	}
	return 0;
}

/* Writes the entry of t->path. `fd` is O_PATH or a directory. */
static int dump_entry(struct tree_dump *t, int dirfd, const char *name, const struct stat *st, int fd,
		      struct ct_error *err)
{
	__cleanup(archive_entry_free_cleanup) struct archive_entry *e = archive_entry_new();
	cleanup_fd int data = -1;
	const char *link = NULL;
	int r;

	if (!e)
		return error_errno(err, -ENOMEM, "files");
	r = fill_entry(t, e, dirfd, name, st, fd, err);
	if (r < 0)
		return r;
	if (!S_ISDIR(st->st_mode) && st->st_nlink > 1) {
		link = known_link(t, st, &r);
		if (r < 0)
			return error_errno(err, r, "files");
	}
	if (link) {
		archive_entry_copy_hardlink(e, link);
		archive_entry_set_size(e, 0);
	} else if (S_ISREG(st->st_mode)) {
		data = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC);
		r = data < 0 ? -errno : put_holes(data, st->st_size, e);
		if (r < 0)
			return error_errno(err, r, "read");
	}
	r = archive_files_entry(t->w, e, err);
	return r < 0 || data < 0 ? r : write_data(t, data, st->st_size, err);
}

static int push(struct tree_dump *t, const char *name)
{
	size_t n = strlen(name);

	if (t->len + n + 2 > t->size) {
		char *grown = realloc(t->path, t->size = (t->len + n + 2) * 2);

		if (!grown)
			return -ENOMEM;
		t->path = grown;
	}
	t->len += (size_t)sprintf(t->path + t->len, "%s%s", t->len ? "/" : "", name);
	return 0;
}

static void pop(struct tree_dump *t, size_t len)
{
	t->len = len;
	if (t->path)
		t->path[len] = '\0';
}

static int dump_below(struct tree_dump *t, int dirfd, const char *name, dev_t dev, struct ct_error *err);

static int compare_names(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

/* Sorted: two images of the same tree are the same. */
static int dump_children(struct tree_dump *t, int fd, dev_t dev, struct ct_error *err)
{
	struct dirent **list = NULL;
	char path[64];
	int n, r = 0;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = scandir(path, &list, NULL, compare_names);
	if (n < 0)
		return error_errno(err, -errno, "read the directory");
	for (int i = 0; i < n; i++) {
		const char *name = list[i]->d_name;
		size_t len = t->len;

		if (r == 0 && strcmp(name, ".") && strcmp(name, "..")) {
			r = push(t, name);
			r = r < 0 ? error_errno(err, r, "files") : dump_below(t, fd, name, dev, err);
			pop(t, len);
		}
		free(list[i]);
	}
	free(list);
	return r;
}

static int dump_below(struct tree_dump *t, int dirfd, const char *name, dev_t dev, struct ct_error *err)
{
	cleanup_fd int fd = openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	int r;

	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0 || fstat(fd, &st) < 0)
		return error_errno(err, -errno, "%s", t->path);
	if (st.st_dev != dev)
		return 0; /* something is mounted there */
	r = dump_entry(t, dirfd, name, &st, fd, err);
	if (r < 0)
		return error_prefix(err, r, "%s", t->path);
	return S_ISDIR(st.st_mode) ? dump_children(t, fd, dev, err) : 0;
}

int tree_dump(struct tree_dump *t, int dirfd, const char *prefix, struct ct_error *err)
{
	struct stat st;
	int r;

	if (fstat(dirfd, &st) < 0)
		return error_errno(err, -errno, "%s", prefix);
	pop(t, 0);
	r = push(t, prefix);
	return r < 0 ? error_errno(err, r, "files") : dump_below(t, dirfd, ".", st.st_dev, err);
}

int tree_dump_file(struct tree_dump *t, int dirfd, const char *name, const char *path,
		   struct ct_error *err)
{
	cleanup_fd int fd = openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return error_errno(err, -errno, "%s", path);
	pop(t, 0);
	r = push(t, path);
	if (r == 0)
		st.st_nlink = 1; /* its other names are not here */
	r = r < 0 ? error_errno(err, r, "files") : dump_entry(t, dirfd, name, &st, fd, err);
	return r < 0 ? error_prefix(err, r, "%s", path) : 0;
}
