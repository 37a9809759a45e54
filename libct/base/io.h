/* SPDX-License-Identifier: Apache-2.0 */
/* Exact I/O: all of it or an error. Every function restarts after EINTR and returns negative errnos. */
#pragma once
#include <dirent.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Reads exactly `len` bytes; -ENODATA where the file ends before the first byte, -EBADMSG within. */
int io_read_exact(int fd, void *buf, size_t len);
int io_pread_exact(int fd, void *buf, size_t len, off_t offset);

/* Writes all of it. */
int io_write_all(int fd, const void *buf, size_t len);
int io_pwrite_all(int fd, const void *buf, size_t len, off_t offset);

/*
 * Reads a whole file below `dirfd` (AT_FDCWD allowed) into a new buffer with a NUL behind it, for
 * files without a usable size (/proc). More than `max` bytes is -EFBIG. The caller frees *ret.
 * Returns the length.
 */
ssize_t io_read_file(int dirfd, const char *path, size_t max, char **ret);

/* Writes a string to an existing file in one write(2), as the files of /proc and cgroupfs want it. */
int io_write_file(int dirfd, const char *path, const char *text);

/* readlinkat(2) into a new string that the caller frees. */
int io_readlink(int dirfd, const char *path, char **ret);

/* mkdir -p with `mode`; components that exist are left alone. */
int io_mkdir_p(const char *path, mode_t mode);

/*
 * For readdir(3), from its beginning: the descriptor itself stays as it is. NULL and errno. The caller closes it.
 */
DIR *io_open_dir(int dirfd);

/* Removes a file or a tree without following symlinks and without crossing into other mounts; absent is fine. */
int io_remove_tree(int dirfd, const char *path);
