/* SPDX-License-Identifier: Apache-2.0 */
#include "libct/image-file.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "libct/base/cleanup.h"
#include "libct/base/error.h"

int image_file_open(const char *path, struct image_file *ret, struct ct_error *err)
{
	const char *slash = strrchr(path, '/');
	struct image_file f = { -1, -1, NULL, NULL };
	cleanup_free char *dir = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path))
				       : strdup(".");
	struct stat st;

	f.name = strdup(slash ? slash + 1 : path);
	if (!dir || !f.name) {
		free(f.name);
		return error_errno(err, -ENOMEM, "'%s'", path);
	}
	f.dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (f.dirfd < 0) {
		free(f.name);
		return error_errno(err, -errno, "open directory '%s'", dir);
	}
	if (!*f.name || (fstatat(f.dirfd, f.name, &st, 0) == 0 && !S_ISREG(st.st_mode))) {
		image_file_release(&f);
		return error_set(err, -EISDIR, "'%s' is not a regular file", path);
	}
	f.fd = openat(f.dirfd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (f.fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == ENOENT)) {
		if (asprintf(&f.temporary, ".%s.partial", f.name) < 0)
			f.temporary = NULL;
		if (f.temporary)
			f.fd = openat(f.dirfd, f.temporary, O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0600);
	}
	if (f.fd < 0) {
		int e = -errno;

		image_file_release(&f);
		return error_errno(err, e, "create '%s'", path);
	}
	*ret = f;
	return 0;
}

/* A link cannot replace a name, a rename can: so a nameless file gets a temporary name in between. */
static int give_temporary_name(struct image_file *f)
{
	char from[64], *name;

	if (f->temporary)
		return 0;
	if (asprintf(&name, ".%s.partial", f->name) < 0)
		return -ENOMEM;
	snprintf(from, sizeof(from), "/proc/self/fd/%d", f->fd);
	unlinkat(f->dirfd, name, 0);
	if (linkat(AT_FDCWD, from, f->dirfd, name, AT_SYMLINK_FOLLOW) < 0) {
		int e = -errno;

		free(name);
		return e;
	}
	f->temporary = name;
	return 0;
}

int image_file_commit(struct image_file *f, struct ct_error *err)
{
	int r;

	if (fsync(f->fd) < 0)
		return error_errno(err, -errno, "write '%s' to the disk", f->name);
	r = give_temporary_name(f);
	if (r < 0)
		return error_errno(err, r, "name '%s'", f->name);
	if (renameat(f->dirfd, f->temporary, f->dirfd, f->name) < 0)
		return error_errno(err, -errno, "rename to '%s'", f->name);
	free(take_ptr(f->temporary));
	if (fsync(f->dirfd) < 0)
		return error_errno(err, -errno, "write the directory of '%s' to the disk", f->name);
	return 0;
}

void image_file_release(struct image_file *f)
{
	if (f->temporary)
		unlinkat(f->dirfd, f->temporary, 0);
	f->fd = fd_close(f->fd);
	f->dirfd = fd_close(f->dirfd);
	free(take_ptr(f->temporary));
	free(take_ptr(f->name));
}
