/* SPDX-License-Identifier: Apache-2.0 */
#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "libct/base/cleanup.h"
#include "libct/base/error.h"
#include "libct/base/io.h"
#include "libct/base/sys.h"
#include "libct/kind/tree.h"

#define WITHIN (RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV)

void tree_extract_release(struct tree_extract *x)
{
	for (size_t i = 0; i < x->n; i++)
		free(x->directories[i].path);
	free(x->directories);
	free(x->parent_path);
	fd_close(x->parent);
	fd_close(x->root);
	*x = TREE_EXTRACT_NONE;
}

bool tree_path_valid(const char *rel)
{
	while (*rel) {
		size_t len = strcspn(rel, "/");

		if (!len || len > NAME_MAX || !strncmp(rel, ".", len) || (len == 2 && !strncmp(rel, "..", 2)))
			return false;
		rel += len;
		if (*rel == '/' && !*++rel)
			return false;
	}
	return true;
}

int tree_data_archive(void *context, const void **ret, size_t *ret_len, off_t *ret_at,
		      struct ct_error *err)
{
	struct archive *a = context;
	la_int64_t at;
	int r = archive_read_data_block(a, ret, ret_len, &at);

	if (r == ARCHIVE_EOF)
		return 0;
	if (r != ARCHIVE_OK)
		return error_set(err, -EBADMSG, "damaged: %s", archive_error_string(a));
	*ret_at = at;
	return 1;
}

/*
 * Opens below a directory, never outside of it, never through a symlink. A path may be longer than one
 * system call takes: it is gone in parts, none of which can lead up, since it has no "..".
 */
static int open_within(int root, const char *rel, int flags)
{
	cleanup_fd int at = -1;
	char part[PATH_MAX];

	while (strlen(rel) >= sizeof(part)) {
		const char *slash = memrchr(rel, '/', sizeof(part) - 1);
		int fd;

		if (!slash)
			return -ENAMETOOLONG;
		memcpy(part, rel, (size_t)(slash - rel));
		part[slash - rel] = '\0';
		fd = sys_openat2(at < 0 ? root : at, part, O_PATH | O_DIRECTORY, 0, WITHIN);
		if (fd < 0)
			return fd;
		fd_close(at);
		at = fd;
		rel = slash + 1;
	}
	return sys_openat2(at < 0 ? root : at, *rel ? rel : ".", (uint64_t)flags, 0, WITHIN);
}

/* The directory that an entry goes to, which came before it. Entries of one directory come together. */
static int open_parent(struct tree_extract *x, const char *rel, const char **ret_name, struct ct_error *err)
{
	const char *slash = strrchr(rel, '/');
	cleanup_free char *path = NULL;
	int fd;

	*ret_name = slash ? slash + 1 : rel;
	path = strndup(rel, slash ? (size_t)(slash - rel) : 0);
	if (!path)
		return error_errno(err, -ENOMEM, "files");
	if (x->parent_path && !strcmp(path, x->parent_path))
		return x->parent;
	fd = open_within(x->root, path, O_PATH | O_DIRECTORY);
	if (fd < 0)
		return error_set(err, fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP || fd == -EXDEV ? -EBADMSG : fd,
				 "its directory: %s", strerror(-fd));
	fd_close(x->parent);
	free(x->parent_path);
	x->parent = fd;
	x->parent_path = take_ptr(path);
	return fd;
}

/* ---- attributes ---- */

/* Only what a program of a pod could have set, and an overlay's "this hides the lower one". */
static bool may_set(const struct tree_extract *x, const char *name, const char *value, size_t len)
{
	static const char *const prefixes[] = { "user.", "security.", "trusted.", "system.posix_acl_" };

	if (!strncmp(name, "trusted.overlay.", 16) && x->upper)
		return !strncmp(name + 16, "overlay.", 8) ||
		       (!strcmp(name + 16, "opaque") && len == 1 && (*value == 'y' || *value == 'x'));
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
		if (!strncmp(name, prefixes[i], strlen(prefixes[i])))
			return true;
	return false;
}

/* The labels of one host's security module mean nothing to a host without it. */
static bool is_label(const char *name)
{
	return !strcmp(name, "security.selinux") || !strncmp(name, "security.SMACK", 14) ||
	       !strcmp(name, "security.apparmor") || !strcmp(name, "security.ima") ||
	       !strcmp(name, "security.evm");
}

/* Of any file, without following it. The /proc that is in sight of an extractor inside a pod is not its own. */
static int set_xattr(struct tree_extract *x, int dirfd, const char *file, int fd, const char *name,
		     const void *value, size_t len)
{
	char path[64];

	if (x->inside)
		return fchdir(dirfd) < 0 || lsetxattr(file, name, value, len, 0) < 0 ? -errno : 0;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return setxattr(path, name, value, len, 0) < 0 ? -errno : 0;
}

static int set_xattrs(struct tree_extract *x, int dirfd, const char *file, int fd,
		      struct archive_entry *entry, struct ct_error *err)
{
	const char *name;
	const void *value;
	size_t len;
	int r;

	archive_entry_xattr_reset(entry);
	while (archive_entry_xattr_next(entry, &name, &value, &len) == ARCHIVE_OK) {
		if (!strcmp(name, TREE_TYPE))
			continue;
		if (!may_set(x, name, value, len))
			return error_set(err, -EBADMSG, "an attribute '%s', which no file of a pod has", name);
		r = set_xattr(x, dirfd, file, fd, name, value, len);
		if (r < 0 && !is_label(name))
			return error_errno(err, r, "set its attribute '%s'", name);
	}
	return 0;
}

static int remember_time(struct tree_extract *x, const char *rel, struct archive_entry *entry)
{
	struct tree_time *t;

	if (x->n == x->max) {
		size_t max = x->max ? x->max * 2 : 64;

		t = reallocarray(x->directories, max, sizeof(*t));
		if (!t)
			return -ENOMEM;
		x->directories = t;
		x->max = max;
	}
	t = &x->directories[x->n];
	t->path = strdup(rel);
	t->modified.tv_sec = archive_entry_mtime(entry);
	t->modified.tv_nsec = archive_entry_mtime_nsec(entry);
	if (!t->path)
		return -ENOMEM;
	x->n++;
	return 0;
}

/* Owner, mode, attributes and time of what stands there now; in this order, since chown takes bits away. */
static int set_attributes(struct tree_extract *x, const char *rel, int dirfd, const char *name,
			  struct archive_entry *entry, struct ct_error *err)
{
	cleanup_fd int fd = openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT } };
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return error_errno(err, -errno, "open");
	if (fchownat(fd, "", (uid_t)archive_entry_uid(entry), (gid_t)archive_entry_gid(entry),
		     AT_EMPTY_PATH) < 0)
		return error_errno(err, -errno, "set its owner");
	if (!S_ISLNK(st.st_mode) && fchmodat(dirfd, name, archive_entry_mode(entry) & 07777, 0) < 0)
		return error_errno(err, -errno, "set its mode");
	r = set_xattrs(x, dirfd, name, fd, entry, err);
	if (r < 0)
		return r;
	if (!archive_entry_mtime_is_set(entry))
		return 0;
	if (S_ISDIR(st.st_mode)) {
		r = remember_time(x, rel, entry);
		return r < 0 ? error_errno(err, r, "files") : 0;
	}
	times[1].tv_sec = archive_entry_mtime(entry);
	times[1].tv_nsec = archive_entry_mtime_nsec(entry);
	if (utimensat(dirfd, name, times, AT_SYMLINK_NOFOLLOW) < 0)
		return error_errno(err, -errno, "set its time");
	return 0;
}

/* ---- making ---- */

static int write_file(int fd, struct archive_entry *entry, tree_data_fn data, void *context,
		      struct ct_error *err)
{
	off_t size = archive_entry_size(entry), at;
	const void *bytes;
	size_t len;
	int r;

	if (size < 0)
		return error_set(err, -EBADMSG, "a file of negative size");
	while ((r = data(context, &bytes, &len, &at, err)) > 0) {
		if (at < 0 || at > size || (off_t)len > size - at)
			return error_set(err, -EBADMSG, "data behind its end");
		r = io_pwrite_all(fd, bytes, len, at);
		if (r < 0)
			return error_errno(err, r, "write");
	}
	if (r == 0 && ftruncate(fd, size) < 0)
		r = error_errno(err, -errno, "set its size");
	return r;
}

static bool is_socket(struct archive_entry *entry)
{
	const char *name;
	const void *value;
	size_t len;

	archive_entry_xattr_reset(entry);
	while (archive_entry_xattr_next(entry, &name, &value, &len) == ARCHIVE_OK)
		if (!strcmp(name, TREE_TYPE))
			return len == sizeof(TREE_SOCKET) - 1 && !memcmp(value, TREE_SOCKET, len);
	return false;
}

/* A hard link to something that was extracted before. */
static int make_link(struct tree_extract *x, int dirfd, const char *name, const char *link,
		     struct ct_error *err)
{
	cleanup_fd int fd = -1;
	struct stat st;

	if (!tree_path_valid(link) || !*link)
		return error_set(err, -EBADMSG, "a hard link to '%s'", link);
	fd = open_within(x->root, link, O_PATH | O_NOFOLLOW);
	if (fd < 0 || fstat(fd, &st) < 0 || S_ISDIR(st.st_mode))
		return error_set(err, -EBADMSG, "a hard link to '%s', which is not there", link);
	if (linkat(fd, "", dirfd, name, AT_EMPTY_PATH) < 0)
		return error_errno(err, -errno, "link");
	return 0;
}

static int create_failed(struct ct_error *err)
{
	if (errno == EEXIST)
		return error_set(err, -EBADMSG, "it is there twice");
	return error_errno(err, -errno, "create");
}

static int make_regular(int dirfd, const char *name, struct archive_entry *entry, tree_data_fn data,
			void *context, struct ct_error *err)
{
	cleanup_fd int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return create_failed(err);
	return write_file(fd, entry, data, context, err);
}

/* null, zero, full, random, urandom, tty, ptmx */
static bool is_tame(mode_t type, dev_t device)
{
	unsigned int a = major(device), b = minor(device);

	return type == S_IFCHR && ((a == 1 && (b == 3 || b == 5 || (b >= 7 && b <= 9))) ||
				   (a == 5 && (b == 0 || b == 2)));
}

static int make(struct tree_extract *x, int dirfd, const char *name, struct archive_entry *entry,
		tree_data_fn data, void *context, struct ct_error *err)
{
	mode_t type = archive_entry_filetype(entry);
	const char *target;
	int r;

	if (type == AE_IFREG && is_socket(entry))
		type = S_IFSOCK;
	if (x->tame && (type == S_IFCHR || type == S_IFBLK) && !is_tame(type, archive_entry_rdev(entry)))
		return error_set(err, -EBADMSG, "a device that no pod without CAP_MKNOD has");
	switch (type) {
	case S_IFREG:
		return make_regular(dirfd, name, entry, data, context, err);
	case S_IFDIR:
		r = mkdirat(dirfd, name, 0700);
		break;
	case S_IFLNK:
		target = archive_entry_symlink(entry);
		if (!target || !*target)
			return error_set(err, -EBADMSG, "a symlink to nothing");
		r = symlinkat(target, dirfd, name);
		break;
	case S_IFCHR:
	case S_IFBLK:
	case S_IFIFO:
	case S_IFSOCK:
		r = mknodat(dirfd, name, type | 0600,
			    type == S_IFCHR || type == S_IFBLK ? archive_entry_rdev(entry) : 0);
		break;
	default:
		return error_set(err, -EBADMSG, "a file of no known type");
	}
	return r < 0 ? create_failed(err) : 0;
}

/* Of what is there already only a directory, or a device of the same number, is good as it is. */
static int clear_place(int dirfd, const char *name, struct archive_entry *entry, bool link, bool *ret_keep,
		       struct ct_error *err)
{
	mode_t type = archive_entry_filetype(entry);
	struct stat st;
	int r;

	*ret_keep = false;
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : error_errno(err, -errno, "stat");
	if (!link && (st.st_mode & S_IFMT) == type &&
	    (type == S_IFDIR || (type == S_IFCHR && st.st_rdev == archive_entry_rdev(entry)))) {
		*ret_keep = true;
		return 0;
	}
	r = io_remove_tree(dirfd, name);
	return r < 0 ? error_errno(err, r, "replace what is there") : 0;
}

int tree_extract(struct tree_extract *x, const char *rel, const char *link,
		 struct archive_entry *entry, tree_data_fn data, void *context, struct ct_error *err)
{
	bool keep = false;
	const char *name;
	int dirfd, r = 0;

	if (!tree_path_valid(rel))
		return error_set(err, -EBADMSG, "a path that leads elsewhere");
	if (!*rel) {
		if (archive_entry_filetype(entry) != AE_IFDIR)
			return error_set(err, -EBADMSG, "a root that is no directory");
		return set_attributes(x, rel, x->root, ".", entry, err);
	}
	dirfd = open_parent(x, rel, &name, err);
	if (dirfd < 0)
		return dirfd;
	if (x->merge)
		r = clear_place(dirfd, name, entry, link, &keep, err);
	if (r < 0)
		return r;
	if (link)
		return make_link(x, dirfd, name, link, err);
	if (!keep)
		r = make(x, dirfd, name, entry, data, context, err);
	return r < 0 ? r : set_attributes(x, rel, dirfd, name, entry, err);
}

int tree_extract_end(struct tree_extract *x, struct ct_error *err)
{
	for (size_t i = x->n; i-- > 0;) {
		const char *rel = x->directories[i].path;
		cleanup_fd int fd = open_within(x->root, rel, O_RDONLY | O_DIRECTORY);
		struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, x->directories[i].modified };

		if (fd < 0 || futimens(fd, times) < 0)
			return error_errno(err, fd < 0 ? fd : -errno, "set the time of '%s'", rel);
	}
	return 0;
}
