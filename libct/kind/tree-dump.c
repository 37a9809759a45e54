/* SPDX-License-Identifier: Apache-2.0 */
#include "libct/kind/tree.h"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

#include "images/archive.h"
#include "libct/base/cleanup.h"
#include "libct/base/error.h"
#include "libct/base/io.h"
#include "libct/base/sys.h"

#define BUFFER (1u << 20)

DEFINE_CLEANUP(struct archive_entry *, archive_entry_free)

void tree_dump_release(struct tree_dump *t)
{
	for (size_t i = 0; i < t->max_links; i++)
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
	struct archive *a = t->pieces ? t->pieces->a : t->a;

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
		if (archive_write_data(a, t->buffer, (size_t)n) != n)
			return error_set(err, -EIO, "write the image: %s", archive_error_string(a));
		at += n;
	}
	return 0;
}

/* ---- entries ---- */

static size_t link_slot(const struct tree_dump *t, const struct stat *st)
{
	size_t i = (size_t)(st->st_ino * 0x9e3779b97f4a7c15ULL >> 20) & (t->max_links - 1);

	while (t->links[i].path && (t->links[i].ino != st->st_ino || t->links[i].dev != st->st_dev))
		i = (i + 1) & (t->max_links - 1);
	return i;
}

static int grow_links(struct tree_dump *t)
{
	struct tree_link *old = t->links;
	size_t n = t->max_links;

	t->links = calloc(n ? n * 2 : 256, sizeof(*t->links));
	if (!t->links) {
		t->links = old;
		return -ENOMEM;
	}
	t->max_links = n ? n * 2 : 256;
	for (size_t i = 0; i < n; i++)
		if (old[i].path) {
			struct stat st = { .st_dev = old[i].dev, .st_ino = old[i].ino };

			t->links[link_slot(t, &st)] = old[i];
		}
	free(old);
	return 0;
}

/* The name under which a file of several names was written already; NULL: not yet, and it is noted. */
static const char *known_link(struct tree_dump *t, const struct stat *st, int *ret)
{
	size_t i;

	*ret = t->n_links * 2 >= t->max_links ? grow_links(t) : 0;
	if (*ret < 0)
		return NULL;
	i = link_slot(t, st);
	if (t->links[i].path)
		return t->links[i].path;
	t->links[i] = (struct tree_link){ st->st_dev, st->st_ino, strdup(t->path) };
	if (!t->links[i].path)
		*ret = -ENOMEM;
	else
		t->n_links++;
	return NULL;
}

static int fill_entry(struct tree_dump *t, struct archive_entry *e, const struct stat *st, int fd,
		      struct ct_error *err)
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
		len = readlinkat(fd, "", target, sizeof(target));
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

static int put_entry(struct tree_dump *t, struct archive_entry *e, struct ct_error *err)
{
	return t->pieces ? archive_stage_entry(t->pieces->stage, e, err)
			 : archive_files_entry(t->w, e, err);
}

/* By way of the inode that `st` is of: another one may have its name by now. */
static int open_data(int fd)
{
	char path[64];
	int data;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	data = open(path, O_RDONLY | O_NOATIME | O_CLOEXEC);
	return data < 0 ? -errno : data;
}

/* `link`: the entry's other name, which is in the image already, or NULL. `fd` is O_PATH. */
static int write_entry(struct tree_dump *t, const struct stat *st, int fd, const char *link,
		       struct ct_error *err)
{
	__cleanup(archive_entry_free_cleanup) struct archive_entry *e = archive_entry_new();
	cleanup_fd int data = -1;
	int r;

	if (!e)
		return error_errno(err, -ENOMEM, "files");
	r = fill_entry(t, e, st, fd, err);
	if (r < 0)
		return r;
	if (link) {
		archive_entry_copy_hardlink(e, link);
		archive_entry_set_size(e, 0);
	} else if (S_ISREG(st->st_mode)) {
		data = open_data(fd);
		r = data < 0 ? data : put_holes(data, st->st_size, e);
		if (r < 0)
			return error_errno(err, r, "read");
	}
	r = put_entry(t, e, err);
	return r < 0 || data < 0 ? r : write_data(t, data, st->st_size, err);
}

/*
 * The entry as a piece. Early ones that change meanwhile are forgotten: they are taken when the pod is
 * stopped, and so is what vanishes or cannot be read; only a stage that fails ends the pass.
 */
static int stage_entry(struct tree_dump *t, const struct stat *st, int fd, const char *link,
		       struct ct_error *err)
{
	struct tree_pieces *p = t->pieces;
	struct archive_piece piece;
	struct tree_identity before, after;
	struct ct_error ignored = { 0 };
	struct stat now;
	int r, e;

	r = write_entry(t, st, fd, link, p->early ? &ignored : err);
	e = archive_stage_check(p->stage, err);
	if (e < 0)
		return e;
	if (p->early && r < 0) {
		p->left += (uint64_t)st->st_size;
		return r == -ENOMEM ? error_errno(err, r, "files") : 0;
	}
	if (r == 0)
		r = archive_stage_end(p->stage, &piece, err);
	if (r < 0)
		return r;
	if (p->early) {
		tree_identity(st, &before);
		if (fstat(fd, &now) < 0)
			return 0;
		tree_identity(&now, &after);
		if (!tree_identity_same(&before, &after)) {
			p->left += (uint64_t)st->st_size;
			return 0;
		}
	}
	r = tree_piece_add(p, t->path, st, &piece);
	return r < 0 ? error_errno(err, r, "files") : 0;
}

/* The entry of t->path; `fd` (O_PATH) is opened if need be, which the caller closes. */
static int dump_entry(struct tree_dump *t, int dirfd, const char *name, struct stat *st, int *fd,
		      struct ct_error *err)
{
	struct tree_identity before, now;
	const char *link = NULL;
	int r = 0;

	if (!S_ISDIR(st->st_mode) && st->st_nlink > 1) {
		link = known_link(t, st, &r);
		if (r < 0)
			return error_errno(err, r, "files");
	}
	if (t->pieces && !link && tree_piece_use(t->pieces, t->path, st, &r))
		return r < 0 ? error_errno(err, r, "files") : 0;
	if (t->pieces && t->pieces->early && (link || !tree_is_settled(t->pieces, st))) {
		t->pieces->left += link ? 0 : (uint64_t)st->st_size;
		return 0;
	}
	if (*fd < 0) {
		tree_identity(st, &before);
		*fd = openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		if (*fd < 0 || fstat(*fd, st) < 0)
			return error_errno(err, -errno, "open");
		tree_identity(st, &now);
		if (!tree_identity_same(&before, &now))
			return error_set(err, -EBUSY, "it changes while it is read");
	}
	return t->pieces ? stage_entry(t, st, *fd, link, err) : write_entry(t, st, *fd, link, err);
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

struct names {
	char **list;
	size_t n, max;
	bool falling; /* the directory's offsets */
};

static void names_release(struct names *names)
{
	for (size_t i = 0; i < names->n; i++)
		free(names->list[i]);
	free(names->list);
}

static int add_name(struct names *names, const char *name)
{
	if (names->n == names->max) {
		size_t max = names->max ? names->max * 2 : 64;
		char **grown = reallocarray(names->list, max, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		names->list = grown;
		names->max = max;
	}
	names->list[names->n] = strdup(name);
	if (!names->list[names->n])
		return -ENOMEM;
	names->n++;
	return 0;
}

static int read_names(int fd, struct names *names)
{
	cleanup_dir DIR *dir = io_open_dir(fd);
	struct dirent *e;
	long last = -1;

	if (!dir)
		return -errno;
	while ((errno = 0, e = readdir(dir))) {
		int r;

		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		/* The end's offset is out of line. */
		if (names->n == 1)
			names->falling = e->d_off < last;
		last = e->d_off;
		r = add_name(names, e->d_name);
		if (r < 0)
			return r;
	}
	return -errno;
}

/* Does this kernel's tmpfs list what was made last first? */
static bool newest_first(int fd, const struct names *names)
{
	unsigned int major = 0, minor = 0;
	struct utsname u;
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0 || fs.f_type != TMPFS_MAGIC)
		return false;
	if (names->falling)
		return true; /* Linux 6.14 */
	if (uname(&u) < 0 || sscanf(u.release, "%u.%u", &major, &minor) != 2)
		return false;
	return major < 6 || (major == 6 && minor < 6);
}

/*
 * In an order that makes the new directory list its entries as the old one did, where the file system goes
 * by the order of making: somebody may be in the middle of reading it.
 */
static int dump_children(struct tree_dump *t, int fd, dev_t dev, struct ct_error *err)
{
	__cleanup(names_release) struct names names = { 0 };
	int r = read_names(fd, &names);
	bool reverse;

	if (r < 0)
		return error_errno(err, r, "%s: read the directory", t->path);
	reverse = newest_first(fd, &names);
	for (size_t i = 0; r == 0 && i < names.n; i++) {
		const char *name = names.list[reverse ? names.n - 1 - i : i];
		size_t len = t->len;

		r = push(t, name);
		r = r < 0 ? error_errno(err, r, "files") : dump_below(t, fd, name, dev, err);
		pop(t, len);
	}
	return r;
}

static int dump_below(struct tree_dump *t, int dirfd, const char *name, dev_t dev, struct ct_error *err)
{
	bool early = t->pieces && t->pieces->early;
	cleanup_fd int fd = -1;
	struct stat st;
	int r;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : error_errno(err, -errno, "%s", t->path);
	if (S_ISDIR(st.st_mode)) {
		fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC);
		if (fd < 0 || fstat(fd, &st) < 0)
			return early ? 0 : error_errno(err, -errno, "%s", t->path);
	}
	if (st.st_dev != dev)
		return 0; /* something is mounted there */
	r = dump_entry(t, dirfd, name, &st, &fd, err);
	if (early && r < 0 && archive_stage_check(t->pieces->stage, NULL) == 0 && r != -ENOMEM)
		return 0; /* it has just vanished */
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
	r = r < 0 ? error_errno(err, r, "files") : dump_entry(t, dirfd, name, &st, &fd, err);
	return r < 0 ? error_prefix(err, r, "%s", path) : 0;
}
