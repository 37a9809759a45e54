/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that no path of the pod leads to: deleted ones, O_TMPFILE, memfd, shared anonymous memory.
 * Their bytes are carried once (shared.c), however many descriptions and mappings lead to them.
 *
 * A deleted file that has another name still (hard links) is not carried by its bytes: it is part of
 * the pod's tree under that name, and gets its old one back for a moment.
 *
 * Not carried: a deleted symlink, FIFO or socket, a file deleted on a read-only file system, one whose
 * other name lies outside of what the pod can see.
 */
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>

#include "libct/base/sys.h"
#include "libct/kind/file.h"
#include "libct/kind/memory.h"

#ifndef __O_TMPFILE
#define __O_TMPFILE 020000000
#endif
#define DELETED " (deleted)"
#define MEMFD "/memfd:"

/* What the file itself is like, once per file. */
static int put_file(struct dump *d, const struct fd_view *v, struct node *n, struct ct_error *err)
{
	struct node *modified;
	uint32_t first;
	int r;

	node_put_u64(n, "mode", v->st.st_mode & 07777);
	node_put_u64(n, "uid", v->st.st_uid);
	node_put_u64(n, "gid", v->st.st_gid);
	modified = node_put_array(n, "modified");
	node_put_i64(modified, NULL, v->st.st_mtim.tv_sec);
	node_put_i64(modified, NULL, v->st.st_mtim.tv_nsec);
	r = file_put_xattrs(v, n, err);
	if (r < 0 || !S_ISREG(v->st.st_mode))
		return r;
	node_put_u64(n, "size", (uint64_t)v->st.st_size);
	return shared_dump(d, v, &first, err);
}

/* Of any memfd; one that cannot be sealed has F_SEAL_SEAL. */
static uint64_t seals_of(struct dump *d, const struct fd_view *v)
{
	cleanup_fd int fd = -1;
	char name[64];
	int seals;

	/* fcntl(2) does not work with O_PATH. */
	snprintf(name, sizeof(name), "%d/fd/%d", getpid(), v->dup);
	fd = openat(d->proc, name, O_RDONLY | O_CLOEXEC);
	seals = fd < 0 ? -1 : fcntl(fd, F_GET_SEALS);
	return seals < 0 ? 0 : (uint64_t)seals;
}

static int put_nameless(struct dump *d, const struct fd_view *v, const char *home, const char *path,
			struct node *n, struct ct_error *err)
{
	uint32_t id;
	int r;

	node_put_str(n, "home", home);
	node_put_str(n, "path", path);
	node_put_str(n, "type", file_type_name(v->st.st_mode));
	r = file_first(d, v, &id);
	if (r < 0)
		return error_errno(err, r, "'%s'", v->link);
	node_put_u64(n, "file", id);
	if (S_ISREG(v->st.st_mode) && !(v->flags & O_PATH))
		node_put_u64(n, "position", v->pos);
	if (id != v->id)
		return 0;
	if (!strcmp(home, "memory"))
		node_put_hex(n, "seals", seals_of(d, v));
	return put_file(d, v, n, err);
}

/* Deleted by one name, known by another. */
static int put_linked(struct dump *d, const struct fd_view *v, const char *path, const char *other,
		      struct node *n)
{
	node_put_str(n, "home", "linked");
	node_put_str(n, "path", path);
	node_put_str(n, "other", other);
	node_put_str(n, "type", file_type_name(v->st.st_mode));
	if (!(v->flags & O_PATH))
		node_put_u64(n, "position", v->pos);
	return 0;
}

/* "#123", which the kernel calls a file that never had a name after the number of its inode. */
static bool is_tmpfile(const struct fd_view *v, const char *path)
{
	const char *name = strrchr(path, '/') + 1;
	char *end;

	if (!S_ISREG(v->st.st_mode) || *name != '#' || v->st.st_nlink)
		return false;
	return strtoull(name + 1, &end, 10) == v->st.st_ino ? !*end : v->flags & __O_TMPFILE;
}

static int dump_deleted(struct dump *d, const struct fd_view *v, const struct mount_entry *mount,
			char *path, struct node *n, struct ct_error *err)
{
	cleanup_free char *other = NULL;
	int r;

	if (S_ISREG(v->st.st_mode) && v->st.st_nlink) {
		r = file_other_name(d, v, mount, &other);
		if (r == 0)
			return put_linked(d, v, path, other, n);
		if (r != -ENOENT)
			return error_errno(err, r, "look for another name of '%s'", path);
		/* A file of the lower tree keeps its count when it is deleted in the pod. */
		if (strcmp(mount->type, "overlay")) {
			dump_refuse_fd(d, v, "'%s' was deleted, and its other name is not in the pod; close it first",
				       path);
			return 0;
		}
	}
	if (!S_ISREG(v->st.st_mode) && !S_ISDIR(v->st.st_mode)) {
		dump_refuse_fd(d, v, "'%s', a %s, was deleted; close it first", path,
			       file_type_name(v->st.st_mode));
		return 0;
	}
	if (mount_option(mount->options, "ro")) {
		dump_refuse_fd(d, v, "'%s' was deleted on a read-only file system; close it first", path);
		return 0;
	}
	if (!is_tmpfile(v, path))
		return put_nameless(d, v, "deleted", path, n, err);
	*strrchr(path, '/') = '\0';
	return put_nameless(d, v, "temporary", *path ? path : "/", n, err);
}

/* Renamed or deleted while a running pod is looked at: the stopped one will tell. */
static bool has_moved(struct dump *d, const struct fd_view *v)
{
	cleanup_free char *link = NULL;
	char name[32];

	snprintf(name, sizeof(name), "fd/%d", v->fd);
	return d->preflight && (proc_readlink(d->proc, v->pid, name, &link) < 0 || strcmp(link, v->link));
}

int file_dump_nameless(struct dump *d, const struct fd_view *v, const struct mount_entry *mount,
		       struct node *n, struct ct_error *err)
{
	size_t len = strlen(v->link), tail = sizeof(DELETED) - 1;
	cleanup_free char *path = strdup(v->link);
	bool deleted;

	if (!path)
		return error_errno(err, -ENOMEM, "'%s'", v->link);
	deleted = len > tail && !strcmp(path + len - tail, DELETED);
	if (deleted)
		path[len - tail] = '\0';
	if (v->fstype == HUGETLBFS_MAGIC) {
		dump_refuse_fd(d, v, "'%s' consists of huge pages of a pool, which is not carried yet",
			       path);
		return 0;
	}
	if (!mount && deleted && S_ISREG(v->st.st_mode)) {
		if (!strncmp(path, MEMFD, sizeof(MEMFD) - 1))
			return put_nameless(d, v, "memory", path + sizeof(MEMFD) - 1, n, err);
		if (!strcmp(path, "/dev/zero"))
			return put_nameless(d, v, "anonymous", path, n, err);
	}
	if (!has_moved(d, v)) {
		if (!mount)
			dump_refuse_fd(d, v, "'%s' is a file outside of the pod; close it first", path);
		else if (!deleted)
			dump_refuse_fd(d, v, "something is mounted over '%s', which is not carried; close it first",
				       path);
	}
	return mount && deleted ? dump_deleted(d, v, mount, path, n, err) : 0;
}
