// SPDX-License-Identifier: Apache-2.0
#include "images/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "images/archive.h"
#include "libct/base/cleanup.h"
#include "libct/base/io.h"

#define BUFFER (1u << 20)
#define PIPE_PIECE 65536	/* where the kernel cannot be asked not to wait */
#define CACHE_WINDOW (8u << 20) /* of page data that may sit in the page cache */

/* A second open file of the same inode: the caller's own one, and its flags, stay as they are. */
static int open_direct(int fd)
{
	char path[32];
	int flags = fcntl(fd, F_GETFL);

	/* With O_APPEND pwrite(2) ignores its offset. */
	if (flags < 0 || (flags & O_APPEND))
		return -1;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, O_WRONLY | O_DIRECT | O_CLOEXEC);
}

int sink_init(struct sink *s, int fd)
{
	struct stat st;
	off_t at;

	*s = (struct sink){ .fd = fd, .direct = -1, .stop = -1 };
	if (fstat(fd, &st) < 0)
		return -errno;
	s->buf = malloc(BUFFER);
	s->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!s->buf || s->stop < 0) {
		sink_release(s);
		return -ENOMEM;
	}
	if (S_ISREG(st.st_mode)) {
		at = lseek(fd, 0, SEEK_CUR);
		s->file = 1;
		s->base = at < 0 ? 0 : (uint64_t)at;
		if (at >= 0 && at % IMAGE_PAGE == 0)
			s->direct = open_direct(fd);
	} else if (S_ISFIFO(st.st_mode)) {
		(void)fcntl(fd, F_SETPIPE_SZ, BUFFER);
	}
	return 0;
}

void sink_release(struct sink *s)
{
	free(s->buf);
	s->buf = NULL;
	s->direct = fd_close(s->direct);
	s->stop = fd_close(s->stop);
}

void sink_stop(struct sink *s)
{
	uint64_t one = 1;

	if (s->stop >= 0)
		(void)!write(s->stop, &one, sizeof(one));
}

/*
 * A pipe's reader may sleep for ever, and then sink_stop() must end this thread's wait. So we never
 * write more than the pipe takes at once, and wait in poll(2).
 */
static int write_pipe(struct sink *s, const char *data, size_t len)
{
	while (len) {
		struct pollfd fds[2] = { { .fd = s->fd, .events = POLLOUT },
					 { .fd = s->stop, .events = POLLIN } };
		struct iovec iov = { (void *)data, len };
		ssize_t n;

		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return -errno;
		if (fds[1].revents)
			return -ECANCELED;
		n = pwritev2(s->fd, &iov, 1, -1, RWF_NOWAIT);
		if (n < 0 && (errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL))
			n = write(s->fd, data, len < PIPE_PIECE ? len : PIPE_PIECE);
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return -errno;
		if (n > 0) {
			data += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

static int write_out(struct sink *s, const void *data, size_t len)
{
	return s->file ? io_write_all(s->fd, data, len) : write_pipe(s, data, len);
}

int sink_flush(struct sink *s)
{
	int r = s->used ? write_out(s, s->buf, s->used) : 0;

	s->used = 0;
	return r;
}

int sink_write(struct sink *s, const void *data, size_t len)
{
	int r;

	if (!len)
		return 0;
	s->offset += len;
	if (len > BUFFER - s->used) {
		r = sink_flush(s);
		if (r < 0)
			return r;
	}
	if (len >= BUFFER)
		return write_out(s, data, len);
	memcpy(s->buf + s->used, data, len);
	s->used += len;
	return 0;
}

int sink_skip(struct sink *s, uint64_t len)
{
	int r = s->file ? sink_flush(s) : -EOPNOTSUPP;

	if (r == 0 && lseek(s->fd, (off_t)len, SEEK_CUR) < 0)
		r = -errno;
	if (r == 0)
		s->offset += len;
	return r;
}

int sink_write_at(struct sink *s, const void *data, size_t len, uint64_t offset)
{
	return io_pwrite_all(s->fd, data, len, (off_t)(s->base + offset));
}

/* 0 and *ret_done where O_DIRECT took it all or gave up in between; -errno for real errors. */
static int write_direct(struct sink *s, const char *data, size_t len, size_t *ret_done)
{
	uint64_t at = s->base + s->offset;
	size_t done = 0;

	while (done < len) {
		ssize_t n = pwrite(s->direct, data + done, len - done, (off_t)(at + done));

		if (n < 0 && errno == EINTR)
			continue;
		/* A file system that refuses, or a short write that left us unaligned. */
		if (n < 0 && errno == EINVAL) {
			s->direct = fd_close(s->direct);
			break;
		}
		if (n < 0)
			return -errno;
		if (n == 0)
			return -ENOSPC;
		done += (size_t)n;
	}
	if (lseek(s->fd, (off_t)(at + done), SEEK_SET) < 0)
		return -errno;
	*ret_done = done;
	return 0;
}

/*
 * Nobody will read these pages soon, and others need the page cache. Writing back begins behind
 * every window, and a window leaves the cache when the next one is full: the disk always has work.
 */
static void drop_cache(struct sink *s, uint64_t begin, uint64_t end)
{
	if (!s->flushed || begin > s->flushed + CACHE_WINDOW)
		s->start = s->flushed = begin;
	if (end - s->flushed < CACHE_WINDOW)
		return;
	(void)sync_file_range(s->fd, (off_t)s->flushed, (off_t)(end - s->flushed),
			      SYNC_FILE_RANGE_WRITE);
	if (s->flushed > s->start) {
		(void)sync_file_range(s->fd, (off_t)s->start, (off_t)(s->flushed - s->start),
				      SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
					      SYNC_FILE_RANGE_WAIT_AFTER);
		(void)posix_fadvise(s->fd, (off_t)s->start, (off_t)(s->flushed - s->start),
				    POSIX_FADV_DONTNEED);
	}
	s->start = s->flushed;
	s->flushed = end;
}

int sink_write_pages(struct sink *s, const void *data, size_t len)
{
	size_t done = 0;
	int r = sink_flush(s);

	if (r == 0 && s->direct >= 0 && s->offset % IMAGE_PAGE == 0 && len % IMAGE_PAGE == 0)
		r = write_direct(s, data, len, &done);
	if (r == 0 && done < len) {
		uint64_t begin = s->base + s->offset + done;

		r = write_out(s, (const char *)data + done, len - done);
		if (r == 0 && s->file)
			drop_cache(s, begin, begin + len - done);
	}
	s->offset += len;
	return r;
}
