/* SPDX-License-Identifier: Apache-2.0 */
#include "libct/image-file.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "images/pipeline.h"
#include "libct/base/cleanup.h"
#include "libct/base/error.h"

#define BIG (1 << 20) /* bytes: more than a thread is worth */

/*
 * For file systems without O_TMPFILE. The name is always the same, so that what a killed one left behind is
 * overwritten; the lock keeps two that write at the same time apart.
 */
static int open_temporary(struct image_file *f, const char *path, struct ct_error *err)
{
	struct stat ours, named;

	if (asprintf(&f->temporary, ".%.200s.partial", f->name) < 0) {
		f->temporary = NULL;
		return error_errno(err, -ENOMEM, "'%s'", path);
	}
	f->fd = openat(f->dirfd, f->temporary, O_CREAT | O_NOFOLLOW | O_RDWR | O_CLOEXEC, 0600);
	if (f->fd >= 0 && !flock(f->fd, LOCK_EX | LOCK_NB) && !fstat(f->fd, &ours) &&
	    !fstatat(f->dirfd, f->temporary, &named, AT_SYMLINK_NOFOLLOW) &&
	    ours.st_ino == named.st_ino && !ftruncate(f->fd, 0))
		return 0;
	/* It is another's, or cannot be made: not for image_file_release() to remove. */
	free(take_ptr(f->temporary));
	if (f->fd >= 0)
		return error_set(err, -EBUSY, "another checkpoint is writing '%s'", path);
	return error_errno(err, -errno, "create '%s'", path);
}

static int open_nameless(struct image_file *f, const char *path, struct ct_error *err)
{
	f->fd = openat(f->dirfd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (f->fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == ENOENT))
		return open_temporary(f, path, err);
	return f->fd < 0 ? error_errno(err, -errno, "create '%s'", path) : 0;
}

int image_file_open(const char *path, struct image_file *ret, struct ct_error *err)
{
	__cleanup(image_file_release) struct image_file f = IMAGE_FILE_NONE;
	cleanup_free char *real = NULL, *dir = NULL;
	const char *slash;
	struct stat st;
	int r;

	/* A link to another disk is there to be followed: a rename would replace it. */
	if (!lstat(path, &st) && S_ISLNK(st.st_mode))
		real = realpath(path, NULL);
	if (real)
		path = real;
	slash = strrchr(path, '/');
	dir = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
	f.name = strdup(slash ? slash + 1 : path);
	if (!dir || !f.name)
		return error_errno(err, -ENOMEM, "'%s'", path);
	f.dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (f.dirfd < 0)
		return error_errno(err, -errno, "open directory '%s'", dir);
	if (!*f.name || (fstatat(f.dirfd, f.name, &st, 0) == 0 && !S_ISREG(st.st_mode)))
		return error_set(err, -EISDIR, "'%s' is not a regular file; -o - writes to standard output",
				 path);
	/* The rename at the end comes too late to find that out. */
	if (fstatat(f.dirfd, f.name, &st, 0) < 0 && errno == ENAMETOOLONG)
		return error_errno(err, -ENAMETOOLONG, "create '%s'", path);
	r = open_nameless(&f, path, err);
	if (r < 0)
		return r;
	*ret = f;
	f = (struct image_file)IMAGE_FILE_NONE;
	return 0;
}

/*
 * A link cannot replace a name, a rename can: so where the name is in use a nameless file gets a temporary one in
 * between. Elsewhere whoever is killed leaves nothing.
 */
static int give_name(struct image_file *f)
{
	char from[64], *name;
	uint64_t unique;

	if (f->temporary)
		return 0;
	snprintf(from, sizeof(from), "/proc/self/fd/%d", f->fd);
	if (linkat(AT_FDCWD, from, f->dirfd, f->name, AT_SYMLINK_FOLLOW) == 0) {
		f->standing = true;
		return 0;
	}
	if (errno != EEXIST)
		return -errno;
	if (getrandom(&unique, sizeof(unique), 0) != sizeof(unique))
		return -errno;
	if (asprintf(&name, ".podckpt-%016llx.partial", (unsigned long long)unique) < 0)
		return -ENOMEM;
	if (linkat(AT_FDCWD, from, f->dirfd, name, AT_SYMLINK_FOLLOW) < 0) {
		int e = -errno;

		free(name);
		return e;
	}
	f->temporary = name;
	return 0;
}

int image_file_settle(struct image_file *f, struct ct_error *err)
{
	return fsync(f->fd) < 0 ? error_errno(err, -errno, "write '%s' to the disk", f->name) : 0;
}

static void *close_replaced(void *fd)
{
	fd_close((int)(intptr_t)fd);
	return NULL;
}

/*
 * Giving back the room of a big file takes its time (0.2 s for 1 GB, and a file system that discards what is free waits for that), in which a pod could already be ended. So what
 * the rename replaces is kept open, and its last close goes on beside us.
 */
static int replace(struct image_file *f)
{
	int replaced = openat(f->dirfd, f->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (renameat(f->dirfd, f->temporary, f->dirfd, f->name) < 0) {
		fd_close(replaced);
		return -errno;
	}
	if (replaced < 0)
		return 0;
	if (fstat(replaced, &st) == 0 && st.st_size >= BIG &&
	    helper_thread_start(&f->closer, close_replaced, (void *)(intptr_t)replaced) == 0)
		f->closing = true;
	else
		fd_close(replaced);
	return 0;
}

/* Where the file system cannot exchange two names, what had the name is gone. */
static int take_name(struct image_file *f, bool revocable)
{
	struct stat before;

	if (!revocable || renameat2(f->dirfd, f->temporary, f->dirfd, f->name, RENAME_EXCHANGE) < 0)
		return replace(f);
	/* It would exchange a directory, too. */
	if (fstatat(f->dirfd, f->temporary, &before, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(before.st_mode)) {
		f->exchanged = true;
		return 0;
	}
	return renameat2(f->dirfd, f->temporary, f->dirfd, f->name, RENAME_EXCHANGE) < 0 ? -errno : -EISDIR;
}

int image_file_commit(struct image_file *f, bool revocable, struct ct_error *err)
{
	int r = give_name(f);

	if (r < 0)
		return error_errno(err, r, "name '%s'", f->name);
	r = f->standing ? 0 : take_name(f, revocable);
	if (r < 0)
		return error_errno(err, r, "rename to '%s'", f->name);
	f->standing = true;
	if (fsync(f->dirfd) < 0)
		return error_errno(err, -errno, "write the directory of '%s' to the disk", f->name);
	return 0;
}

void image_file_revoke(struct image_file *f)
{
	if (f->exchanged)
		renameat(f->dirfd, f->temporary, f->dirfd, f->name);
	else if (f->standing)
		unlinkat(f->dirfd, f->name, 0);
	if (f->standing) {
		fsync(f->dirfd);
		free(take_ptr(f->temporary));
	}
	f->standing = f->exchanged = false;
}

void image_file_release(struct image_file *f)
{
	if (f->closing)
		pthread_join(f->closer, NULL);
	f->closing = false;
	if (f->temporary && (!f->standing || f->exchanged))
		unlinkat(f->dirfd, f->temporary, 0);
	f->fd = fd_close(f->fd);
	f->dirfd = fd_close(f->dirfd);
	free(take_ptr(f->temporary));
	free(take_ptr(f->name));
}
