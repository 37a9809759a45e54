/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that no path leads to, made again. The first description of a file makes it and opens all others
 * meanwhile, since a deleted file can be opened by its name only as long as it has one.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "libct/base/sys.h"
#include "libct/kind/file.h"
#include "libct/kind/memory.h"

#ifndef __O_TMPFILE
#define __O_TMPFILE 020000000
#endif
#ifndef MFD_EXEC
#define MFD_EXEC 0x10
#endif

static int reopen(struct restore *r, int fd, int flags, struct ct_error *err)
{
	char name[64];
	int again;

	snprintf(name, sizeof(name), "%d/fd/%d", getpid(), fd);
	again = openat(r->proc, name, (flags & ~O_NOFOLLOW) | O_CLOEXEC);
	return again < 0 ? error_errno(err, -errno, "open it again") : again;
}

static void get_end(const struct node *n, struct shared_end *ret)
{
	const struct node *modified = node_array(n, "modified");

	ret->modified.tv_sec = node_at_i64(modified, 0, INT64_MIN, INT64_MAX);
	ret->modified.tv_nsec = node_at_i64(modified, 1, 0, 999999999);
	ret->seals = node_has(n, "seals") ? (int)node_hex(n, "seals") : 0;
}

/* Owner, mode and bytes of the file behind `fd`, which is new and ours. */
static int fill(struct restore *r, const struct node *n, uint32_t id, int fd, struct ct_error *err)
{
	uid_t uid = (uid_t)node_u64(n, "uid", UINT32_MAX);
	gid_t gid = (gid_t)node_u64(n, "gid", UINT32_MAX);
	mode_t mode = (mode_t)node_u64(n, "mode", 07777);
	bool regular = file_type(node_str(n, "type")) == S_IFREG;
	cleanup_fd int content = -1;
	uint64_t size = regular ? node_u64(n, "size", INT64_MAX) : 0;
	struct shared_end end;
	int e;

	get_end(n, &end);
	e = doc_check(r->doc, err);
	if (e < 0)
		return e;
	if (fchown(fd, uid, gid) < 0 || fchmod(fd, mode) < 0)
		return error_errno(err, -errno, "set owner and mode");
	e = file_set_xattrs(n, fd, err);
	if (e == 0)
		e = doc_check(r->doc, err);
	if (e < 0 || !regular)
		return e;
	/* Not the pod's description: that one may append, or not write at all. */
	content = reopen(r, fd, O_RDWR, err);
	return content < 0 ? content : shared_restore(r, id, content, size, &end, err);
}

/* Stores one description of the file. */
static int put(struct restore *r, const struct node *n, uint32_t id, int fd, struct ct_error *err)
{
	cleanup_fd int mine = fd;
	uint64_t pos = 0;
	int e;

	if (fd < 0)
		return fd;
	/* Those of the first are the file's. */
	node_str(n, "path");
	node_str(n, "type");
	if (node_has(n, "position"))
		pos = node_u64(n, "position", INT64_MAX);
	e = doc_check(r->doc, err);
	if (e < 0)
		return e;
	if (pos && lseek(fd, (off_t)pos, SEEK_SET) < 0)
		return error_errno(err, -errno, "seek to %llu", (unsigned long long)pos);
	return restore_put_ofd(r, id, take_fd(&mine), err);
}

struct group {
	struct restore *r;
	const struct node *first;
	const char *home;
	uint32_t id;
	struct file_spot *spot; /* of the first */
	int fd;
};

/* Opens a description by the name that its file has for the moment. */
static int open_at(struct group *g, const struct node *n, uint32_t id, struct ct_error *err)
{
	cleanup_spot struct file_spot own = SPOT_NONE;
	const char *path = node_path(n, "path");
	struct file_spot *spot = g->spot;
	int fd, e = doc_check(g->r->doc, err);

	if (e == 0 && strcmp(path, node_path(g->first, "path"))) {
		spot = &own;
		e = spot_find(g->r, path, id, spot, err);
		if (e == 0 && linkat(g->spot->parent, g->spot->name, own.parent, own.name, 0) < 0)
			e = error_errno(err, -errno, "link '%s'", path);
		own.taken = e == 0;
	}
	if (e < 0)
		return e;
	fd = openat(spot->parent, spot->name, file_open_flags(n) | O_CLOEXEC);
	if (fd < 0)
		return error_errno(err, -errno, "open '%s'", path);
	return put(g->r, n, id, fd, err);
}

static int put_member(struct group *g, const struct node *n, uint32_t id, struct ct_error *err)
{
	int fd;

	if (g->spot)
		return open_at(g, n, id, err);
	/* The only one that remembers how the file was made. */
	if (node_hex(n, "flags") & __O_TMPFILE && !strcmp(g->home, "temporary"))
		fd = fcntl(g->fd, F_DUPFD_CLOEXEC, 3);
	else
		fd = reopen(g->r, g->fd, file_open_flags(n), err);
	return fd < 0 ? fd : put(g->r, n, id, fd, err);
}

/* All descriptions of the file, while it can be reached. */
static int put_members(struct group *g, struct ct_error *err)
{
	const struct node *list = node_array(g->r->root, "descriptors");

	for (uint32_t i = g->id; i < g->r->n_ofds; i = restore_ofd_next(g->r, i)) {
		const struct node *n = restore_ofd_node(g->r, i, g->first);
		int e;

		if (!n || strcmp(node_str(n, "kind"), "file") || !node_has(n, "file") ||
		    node_u64(n, "file", g->r->n_ofds) != g->id)
			continue;
		if (strcmp(node_str(n, "home"), g->home))
			node_complain(n, "one file with two homes");
		e = doc_check(g->r->doc, err);
		if (e == 0)
			e = put_member(g, n, i, err);
		if (e < 0)
			return error_prefix(err, e, "descriptors[%u]", i);
	}
	return list ? 0 : doc_check(g->r->doc, err);
}

static int make_deleted(struct group *g, struct ct_error *err)
{
	cleanup_spot struct file_spot spot = SPOT_NONE;
	const char *path = node_path(g->first, "path");
	mode_t type = file_type(node_str(g->first, "type"));
	int e = doc_check(g->r->doc, err);

	if (e == 0 && type != S_IFREG && type != S_IFDIR)
		e = error_set(err, -EBADMSG, "a deleted file of a type that has no contents");
	if (e == 0)
		e = spot_find(g->r, path, g->id, &spot, err);
	if (e < 0)
		return e;
	spot.directory = type == S_IFDIR;
	if (spot.directory && mkdirat(spot.parent, spot.name, 0700) < 0)
		return error_errno(err, -errno, "make '%s'", path);
	g->fd = openat(spot.parent, spot.name,
		       (spot.directory ? O_RDONLY | O_DIRECTORY : O_RDWR | O_CREAT | O_EXCL) |
			       O_NOFOLLOW | O_CLOEXEC,
		       0600);
	if (g->fd < 0)
		return error_errno(err, -errno, "make '%s'", path);
	spot.taken = true;
	e = fill(g->r, g->first, g->id, g->fd, err);
	g->spot = &spot;
	if (e == 0)
		e = put_members(g, err);
	g->spot = NULL;
	return e;
}

/* The flags of the description that was given by open(O_TMPFILE), if that one is still there. */
static int tmpfile_flags(struct group *g)
{
	for (uint32_t i = g->id; i < g->r->n_ofds; i = restore_ofd_next(g->r, i)) {
		const struct node *n = restore_ofd_node(g->r, i, g->first);

		if (n && !strcmp(node_str(n, "kind"), "file") && node_has(n, "file") &&
		    node_u64(n, "file", g->r->n_ofds) == g->id && node_hex(n, "flags") & __O_TMPFILE)
			return file_open_flags(n);
	}
	return O_RDWR;
}

static int make_temporary(struct group *g, struct ct_error *err)
{
	cleanup_spot struct file_spot spot = SPOT_NONE;
	cleanup_free char *path = NULL;
	const char *directory = node_path(g->first, "path");
	int flags = tmpfile_flags(g), e = doc_check(g->r->doc, err);

	if (e < 0)
		return e;
	if (asprintf(&path, "%s/#", strcmp(directory, "/") ? directory : "") < 0)
		return error_errno(err, -ENOMEM, "'%s'", directory);
	e = spot_find(g->r, path, g->id, &spot, err);
	if (e < 0)
		return e;
	g->fd = openat(spot.parent, ".", flags | O_TMPFILE | O_CLOEXEC, 0600);
	if (g->fd < 0)
		return error_errno(err, -errno, "open(O_TMPFILE) in '%s'", directory);
	e = fill(g->r, g->first, g->id, g->fd, err);
	return e < 0 ? e : put_members(g, err);
}

static int make_memory(struct group *g, struct ct_error *err)
{
	const char *name = node_str(g->first, "path");
	int e = doc_check(g->r->doc, err);

	if (e < 0)
		return e;
	g->fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
	if (g->fd < 0 && errno == EINVAL) /* before Linux 6.3 */
		g->fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (g->fd < 0)
		return error_errno(err, -errno, "memfd_create '%s'", name);
	e = fill(g->r, g->first, g->id, g->fd, err);
	return e < 0 ? e : put_members(g, err);
}

/* Made as every program makes it; then opened by the name that the kernel has for a mapping. */
static int make_anonymous(struct group *g, struct ct_error *err)
{
	uint64_t size = node_u64(g->first, "size", INT64_MAX);
	int e = doc_check(g->r->doc, err);
	char name[96];
	char *map;

	node_str(g->first, "path"); /* always the same */
	if (e < 0)
		return e;
	map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (map == MAP_FAILED)
		return error_errno(err, -errno, "map %llu bytes of shared memory",
				   (unsigned long long)size);
	snprintf(name, sizeof(name), "%d/map_files/%lx-%lx", getpid(), (unsigned long)map,
		 (unsigned long)map + ((size + 4095) & ~4095UL));
	g->fd = openat(g->r->proc, name, O_RDWR | O_CLOEXEC);
	if (g->fd < 0)
		e = error_errno(err, -errno, "open shared memory");
	munmap(map, size);
	if (e == 0)
		e = fill(g->r, g->first, g->id, g->fd, err);
	return e < 0 ? e : put_members(g, err);
}

static const struct {
	const char *home;
	int (*make)(struct group *g, struct ct_error *err);
} makers[] = {
	{ "deleted", make_deleted },
	{ "temporary", make_temporary },
	{ "memory", make_memory },
	{ "anonymous", make_anonymous },
};

/* The old name for a moment: link, open, unlink. */
static int restore_linked(struct restore *r, const struct node *n, uint32_t id, int *ret_fd,
			  struct ct_error *err)
{
	cleanup_spot struct file_spot spot = SPOT_NONE;
	const char *path = node_path(n, "path"), *other = node_path(n, "other");
	uint64_t pos = node_has(n, "position") ? node_u64(n, "position", INT64_MAX) : 0;
	cleanup_fd int file = -1, fd = -1;
	struct stat st;
	char name[64];
	int e;

	if (file_type(node_str(n, "type")) != S_IFREG)
		node_complain(n, "hard links are for regular files");
	e = doc_check(r->doc, err);
	if (e < 0)
		return e;
	file = sys_openat2(AT_FDCWD, other, O_PATH | O_NOFOLLOW, 0, RESOLVE_NO_SYMLINKS);
	if (file < 0 || fstat(file, &st) < 0)
		return error_errno(err, file < 0 ? file : -errno, "open '%s' in the pod", other);
	if (!S_ISREG(st.st_mode))
		return error_set(err, -EBADMSG, "'%s' in the pod is not a regular file any more", other);
	e = spot_find(r, path, id, &spot, err);
	if (e < 0)
		return e;
	snprintf(name, sizeof(name), "%d/fd/%d", getpid(), file);
	if (linkat(r->proc, name, spot.parent, spot.name, AT_SYMLINK_FOLLOW) < 0)
		return error_errno(err, -errno, "link '%s' to '%s'", path, other);
	spot.taken = true;
	fd = openat(spot.parent, spot.name, file_open_flags(n) | O_CLOEXEC);
	if (fd < 0 || (pos && lseek(fd, (off_t)pos, SEEK_SET) < 0))
		return error_errno(err, -errno, "open '%s'", path);
	*ret_fd = take_fd(&fd);
	return 0;
}

int file_restore_nameless(struct restore *r, const struct node *n, uint32_t id, int *ret_fd,
			  struct ct_error *err)
{
	struct group g = { .r = r, .first = n, .home = node_str(n, "home"), .id = id, .fd = -1 };
	uint64_t first;
	int e;

	if (!strcmp(g.home, "linked"))
		return restore_linked(r, n, id, ret_fd, err);
	first = node_u64(n, "file", r->n_ofds ? r->n_ofds - 1 : 0);
	e = doc_check(r->doc, err);
	if (e < 0)
		return e;
	if (first != id) {
		e = restore_ofd(r, (uint32_t)first, err);
		if (e >= 0 && r->ofds[id] < 0)
			return error_set(err, -EBADMSG, "descriptors[%u] is not such a file", (unsigned int)first);
		return e < 0 ? e : 0;
	}
	for (size_t i = 0; i < sizeof(makers) / sizeof(makers[0]); i++)
		if (!strcmp(makers[i].home, g.home)) {
			e = makers[i].make(&g, err);
			fd_close(g.fd);
			return e;
		}
	return error_set(err, -EPROTONOSUPPORT, "a home '%s' that this version does not know", g.home);
}

int file_restore_nameless_late(struct restore *r, const struct node *n, int fd, struct ct_error *err)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT } };
	cleanup_fd int again = -1;
	struct shared_end end;
	int e;

	/* Regular files are done with their bytes; removing a directory has changed it. */
	if (!node_has(n, "modified") || file_type(node_str(n, "type")) != S_IFDIR)
		return 0;
	get_end(n, &end);
	e = doc_check(r->doc, err);
	if (e < 0)
		return e;
	times[1] = end.modified;
	again = reopen(r, fd, O_RDONLY, err);
	if (again < 0)
		return again;
	return futimens(again, times) < 0 ? error_errno(err, -errno, "set its time") : 0;
}
