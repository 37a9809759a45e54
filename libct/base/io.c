/* SPDX-License-Identifier: Apache-2.0 */
#include "libct/base/io.h"

#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include "libct/base/cleanup.h"

/* One loop for the four exact transfers; `offset` < 0 means the file's own position. */
static int transfer(int fd, void *buf, size_t len, off_t offset, bool writing)
{
	size_t done = 0;

	while (done < len) {
		char *at = (char *)buf + done;
		size_t left = len - done;
		ssize_t n;

		if (writing)
			n = offset < 0 ? write(fd, at, left) : pwrite(fd, at, left, offset + (off_t)done);
		else
			n = offset < 0 ? read(fd, at, left) : pread(fd, at, left, offset + (off_t)done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return writing ? -ENOSPC : done ? -EBADMSG : -ENODATA;
		done += (size_t)n;
	}
	return 0;
}

int io_read_exact(int fd, void *buf, size_t len)
{
	return transfer(fd, buf, len, -1, false);
}

int io_pread_exact(int fd, void *buf, size_t len, off_t offset)
{
	return transfer(fd, buf, len, offset, false);
}

int io_write_all(int fd, const void *buf, size_t len)
{
	return transfer(fd, (void *)buf, len, -1, true);
}

int io_pwrite_all(int fd, const void *buf, size_t len, off_t offset)
{
	return transfer(fd, (void *)buf, len, offset, true);
}

ssize_t io_read_file(int dirfd, const char *path, size_t max, char **ret)
{
	cleanup_fd int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);
	cleanup_free char *buf = NULL;
	size_t size = 0, len = 0;

	if (fd < 0)
		return -errno;
	for (;;) {
		ssize_t n;

		if (len + 1 >= size) {
			char *grown = realloc(buf, size = size ? size * 2 : 4096);

			if (!grown)
				return -ENOMEM;
			buf = grown;
		}
		n = read(fd, buf + len, size - len - 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
		if (len > max)
			return -EFBIG;
	}
	buf[len] = '\0';
	*ret = take_ptr(buf);
	return (ssize_t)len;
}

int io_write_file(int dirfd, const char *path, const char *text)
{
	cleanup_fd int fd = openat(dirfd, path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	for (;;) {
		ssize_t n = write(fd, text, strlen(text));

		if (n >= 0)
			return 0;
		if (errno != EINTR)
			return -errno;
	}
}

int io_readlink(int dirfd, const char *path, char **ret)
{
	char buf[PATH_MAX + 1];
	ssize_t n = readlinkat(dirfd, path, buf, sizeof(buf) - 1);
	char *copy;

	if (n < 0)
		return -errno;
	buf[n] = '\0';
	copy = strdup(buf);
	if (!copy)
		return -ENOMEM;
	*ret = copy;
	return 0;
}

int io_mkdir_p(const char *path, mode_t mode)
{
	char part[PATH_MAX];
	size_t n = strlen(path);

	if (n >= sizeof(part))
		return -ENAMETOOLONG;
	for (size_t i = 1; i <= n; i++) {
		if (path[i] != '/' && path[i] != '\0')
			continue;
		memcpy(part, path, i);
		part[i] = '\0';
		if (mkdir(part, mode) < 0 && errno != EEXIST)
			return -errno;
	}
	return 0;
}

DIR *io_open_dir(int dirfd)
{
	cleanup_fd int copy = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);

	if (dir)
		take_fd(&copy);
	return dir;
}

static int remove_below(int dirfd, const char *name, dev_t dev)
{
	cleanup_dir DIR *dir = NULL;
	struct dirent *entry;
	struct stat st;
	int fd, r;

	fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	dir = fdopendir(fd);
	if (!dir) {
		fd_close(fd);
		return -ENOMEM;
	}
	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_dev != dev)
		return -EXDEV;
	while ((entry = readdir(dir))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		if (!unlinkat(fd, entry->d_name, 0) || errno == ENOENT)
			continue;
		if (errno != EISDIR && errno != EPERM)
			return -errno;
		r = remove_below(fd, entry->d_name, dev);
		if (r < 0)
			return r;
	}
	return unlinkat(dirfd, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}

int io_remove_tree(int dirfd, const char *path)
{
	struct stat st;

	if (fstatat(dirfd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISDIR(st.st_mode))
		return unlinkat(dirfd, path, 0) < 0 ? -errno : 0;
	return remove_below(dirfd, path, st.st_dev);
}
