/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Binding to a path as it was once bound: bind(2) makes the file, so what the file tree was restored with stands aside for it;
 * and getsockname(2) tells the very bytes that bind(2) got, so a relative path is bound from the
 * right directory and a file that was renamed since is renamed again.
 *
 * A name whose file was removed is bound in an empty file system of our own, made for that, and removed there:
 * nothing of the pod's tree is touched by it.
 */
#include <fcntl.h>
#include <linux/mount.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "libct/base/cleanup.h"
#include "libct/base/io.h"
#include "libct/base/sys.h"
#include "libct/kind/unix.h"

#define ASIDE ".podckpt-aside"

static int bind_here(int fd, const struct unix_name *name, struct ct_error *err)
{
	struct sockaddr_un a;
	socklen_t len = unix_name_to(name, &a);

	if (bind(fd, (struct sockaddr *)&a, len) < 0)
		return error_errno(err, -errno, "bind to '%s%s'", name->bytes[0] ? "" : "@",
				   name->bytes + !name->bytes[0]);
	return 0;
}

/* ---- names of removed files ---- */

static int make_mount(struct unix_world *w, struct ct_error *err)
{
	cleanup_fd int fs = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC);

	if (fs < 0 || syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return error_errno(err, -errno, "make a tmpfs");
	w->mount = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, 0);
	return w->mount < 0 ? error_errno(err, -errno, "make a tmpfs") : 0;
}

/* The directories above a path, each in turn: it may have any form. */
static void make_parents(const char *path)
{
	char part[sizeof(struct unix_name)];

	for (const char *at = strchr(path + 1, '/'); at; at = strchr(at + 1, '/')) {
		memcpy(part, path, (size_t)(at - path));
		part[at - path] = '\0';
		mkdir(part, 0700);
	}
}

static int go_back(struct unix_world *w, struct ct_error *err)
{
	if (fchdir(w->root) < 0 || chroot(".") < 0 || fchdir(w->cwd) < 0)
		return error_errno(err, -errno, "leave the directory of removed sockets");
	return 0;
}

static int bind_removed(struct unix_world *w, int fd, const struct unix_name *name,
			struct ct_error *err)
{
	int e = w->mount < 0 ? make_mount(w, err) : 0, back;

	if (e < 0)
		return e;
	if (fchdir(w->mount) < 0 || chroot(".") < 0)
		e = error_errno(err, -errno, "enter the directory of removed sockets");
	if (e == 0) {
		make_parents(name->bytes);
		e = bind_here(fd, name, err);
	}
	if (e == 0 && unlink(name->bytes) < 0)
		e = error_errno(err, -errno, "remove '%s' again", name->bytes);
	back = go_back(w, e < 0 ? NULL : err);
	return e < 0 ? e : back;
}

/* ---- names of files that are there ---- */

static int split_path(const char *path, char *directory, size_t size)
{
	const char *slash = strrchr(path, '/');
	size_t len = slash ? (size_t)(slash - path) : 0;

	if (!slash || len >= size)
		return -ENAMETOOLONG;
	memcpy(directory, path, len);
	strcpy(directory + len, len ? "" : "/");
	return 0;
}

/* The directory from which the name leads to the file; for an absolute one it does not matter. */
static int enter_directory(const struct unix_name *name, const char *file, struct ct_error *err)
{
	size_t len = strlen(file);
	char directory[4096];
	int e;

	if (name->bytes[0] == '/')
		return 0;
	e = split_path(file, directory, sizeof(directory));
	if (e == 0 && len > name->len && file[len - name->len - 1] == '/' &&
	    !strcmp(file + len - name->len, name->bytes)) {
		memcpy(directory, file, len - name->len - 1);
		directory[len - name->len - 1] = '\0';
		if (!directory[0])
			strcpy(directory, "/");
	}
	if (e < 0 || chdir(directory) < 0)
		return error_errno(err, e < 0 ? e : -errno, "the directory of '%s'", file);
	return 0;
}

/* Puts the times of a directory back in which we made and removed files. */
struct directory_times {
	char path[4096];
	struct timespec times[2];
	bool known;
};

static void times_keep(struct directory_times *t, const char *file)
{
	struct stat st;

	t->known = split_path(file, t->path, sizeof(t->path)) == 0 && stat(t->path, &st) == 0;
	if (t->known) {
		t->times[0] = st.st_atim;
		t->times[1] = st.st_mtim;
	}
}

static void times_restore(const struct directory_times *t)
{
	if (t->known)
		utimensat(AT_FDCWD, t->path, t->times, 0);
}

static bool same_file(int fd, const char *path)
{
	cleanup_fd int file = unix_open_file(fd);
	struct stat a, b;

	return file >= 0 && fstat(file, &a) == 0 && lstat(path, &b) == 0 && a.st_ino == b.st_ino &&
	       a.st_dev == b.st_dev;
}

/* Nothing but a socket is ever replaced. */
static bool is_socket(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISSOCK(st.st_mode);
}

static int bind_file(int fd, const struct unix_name *name, const char *file, struct ct_error *err)
{
	char aside[sizeof(struct unix_name) + sizeof(ASIDE)];
	bool moved;
	int e = enter_directory(name, file, err);

	if (e < 0)
		return e;
	snprintf(aside, sizeof(aside), "%s%s", name->bytes, ASIDE);
	moved = renameat2(AT_FDCWD, name->bytes, AT_FDCWD, aside, RENAME_NOREPLACE) == 0;
	e = bind_here(fd, name, err);
	if (e < 0) {
		if (moved)
			rename(aside, name->bytes);
		return e;
	}
	if (same_file(fd, file)) {
		if (moved && is_socket(aside) && unlink(aside) < 0)
			return error_errno(err, -errno, "replace '%s'", file);
		if (moved && !is_socket(aside) && access(aside, F_OK) == 0)
			return error_set(err, -EEXIST, "'%s' is no socket", file);
		return 0;
	}
	/* It was bound under that name and then renamed to where it is. */
	if (access(file, F_OK) == 0 && !is_socket(file))
		return error_set(err, -EEXIST, "'%s' is no socket", file);
	if (rename(name->bytes, file) < 0)
		return error_errno(err, -errno, "rename '%s' to '%s'", name->bytes, file);
	if (moved && rename(aside, name->bytes) < 0)
		return error_errno(err, -errno, "put '%s' back", name->bytes);
	return 0;
}

int unix_bind(struct unix_world *w, int fd, const struct unix_name *name, const char *file,
	      struct ct_error *err)
{
	struct directory_times at_file, at_name;
	int e, back;

	if (!name->len)
		return 0;
	if (!name->bytes[0])
		return bind_here(fd, name, err);
	if (!file)
		return bind_removed(w, fd, name, err);
	times_keep(&at_file, file);
	times_keep(&at_name, name->bytes[0] == '/' ? name->bytes : file);
	e = bind_file(fd, name, file, err);
	times_restore(&at_file);
	times_restore(&at_name);
	back = fchdir(w->cwd) < 0 ? error_errno(e < 0 ? NULL : err, -errno, "fchdir") : 0;
	return e < 0 ? e : back;
}

int unix_file_own(struct unix_world *w, const struct unix_socket *s, struct ct_error *err)
{
	const struct node *n;
	cleanup_fd int file = -1;
	char link[64];
	uid_t uid;
	gid_t gid;
	mode_t mode;

	if (!s->file)
		return 0;
	n = node_object(s->n, "file");
	uid = (uid_t)node_u64(n, "uid", UINT32_MAX - 1);
	gid = (gid_t)node_u64(n, "gid", UINT32_MAX - 1);
	mode = (mode_t)node_hex(n, "mode") & 07777;
	file = unix_open_file(s->fd);
	if (file < 0)
		return error_errno(err, file, "SIOCUNIXFILE");
	/* From the host's /proc, where we are: it is the working directory of all this. */
	snprintf(link, sizeof(link), "%d/fd/%d", getpid(), file);
	if (fchownat(file, "", uid, gid, AT_EMPTY_PATH) < 0 || fchmodat(AT_FDCWD, link, mode, 0) < 0)
		return error_errno(err, -errno, "owner and mode of '%s'", s->file);
	return 0;
}
