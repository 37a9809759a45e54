// SPDX-License-Identifier: Apache-2.0
#include "images/source.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "libct/base/cleanup.h"

#define BUFFER (64u << 10)
#define BLOCK 4096u /* what direct reads are aligned to */

#ifndef SYS_cachestat /* Linux 6.5 */
#define SYS_cachestat 451
#endif

/* Is most of the file in the page cache? Then it is read from there. */
static bool is_cached(int fd, uint64_t size)
{
	const struct {
		uint64_t offset, len;
	} range = { 0, size };
	struct {
		uint64_t cache, dirty, writeback, evicted, recently_evicted;
	} stat;

	return syscall(SYS_cachestat, fd, &range, &stat, 0) == 0 && stat.cache > size / BLOCK / 2;
}

/* Another open file of the same inode: pages that nobody reads again need not pass through the cache. */
static int open_direct(int fd, uint64_t size)
{
	char path[32];

	if (is_cached(fd, size))
		return -1;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
}

int source_init(struct source *s, int fd)
{
	struct stat st;

	off_t at;

	*s = (struct source){ .fd = fd, .direct = -1, .stop = -1 };
	if (fstat(fd, &st) < 0)
		return -errno;
	s->buf = aligned_alloc(BLOCK, BUFFER);
	s->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!s->buf || s->stop < 0) {
		source_release(s);
		return -ENOMEM;
	}
	at = S_ISREG(st.st_mode) ? lseek(fd, 0, SEEK_CUR) : -1;
	s->file = at >= 0;
	if (s->file) {
		s->at = (uint64_t)at;
		if (s->at % BLOCK == 0)
			s->direct = open_direct(fd, (uint64_t)st.st_size);
		(void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	} else if (S_ISFIFO(st.st_mode))
		(void)fcntl(fd, F_SETPIPE_SZ, 1 << 20);
	return 0;
}

void source_release(struct source *s)
{
	free(s->buf);
	s->buf = NULL;
	s->direct = fd_close(s->direct);
	s->stop = fd_close(s->stop);
}

void source_stop(struct source *s)
{
	uint64_t one = 1;

	if (s->stop >= 0)
		(void)!write(s->stop, &one, sizeof(one));
}

static ssize_t read_file(struct source *s, void *data, size_t len)
{
	/* Whole blocks to and from aligned places; a read that was short at the end of the file is not. */
	bool direct = s->direct >= 0 && s->at % BLOCK == 0 && (uintptr_t)data % BLOCK == 0 &&
		      len >= BLOCK;
	ssize_t n = pread(direct ? s->direct : s->fd, data, direct ? len - len % BLOCK : len,
			  (off_t)s->at);

	if (n < 0 && direct && errno == EINVAL) {
		s->direct = fd_close(s->direct);
		n = pread(s->fd, data, len, (off_t)s->at);
	}
	s->at += n > 0 ? (uint64_t)n : 0;
	return n;
}

/* One read(2): some bytes, 0 at the end, or -errno. */
static ssize_t read_some(struct source *s, void *data, size_t len)
{
	for (;;) {
		struct pollfd fds[2] = { { .fd = s->fd, .events = POLLIN },
					 { .fd = s->stop, .events = POLLIN } };
		ssize_t n;

		if (!s->file) {
			if (poll(fds, 2, -1) < 0 && errno != EINTR)
				return -errno;
			if (fds[1].revents)
				return -ECANCELED;
			if (!fds[0].revents)
				continue;
		}
		n = s->file ? read_file(s, data, len) : read(s->fd, data, len);
		if (n >= 0)
			return n;
		if (errno != EINTR && errno != EAGAIN)
			return -errno;
	}
}

int source_read(struct source *s, void *data, size_t len)
{
	unsigned char *at = data;

	while (len) {
		size_t have = s->len - s->pos;
		ssize_t n;

		if (have) {
			have = have < len ? have : len;
			memcpy(at, s->buf + s->pos, have);
			s->pos += have;
			n = (ssize_t)have;
		} else if (len >= BUFFER) {
			n = read_some(s, at, len);
		} else {
			/* Up to a border, so that what follows can be read directly. */
			n = read_some(s, s->buf, BUFFER - (s->file ? s->at % BLOCK : 0));
			s->pos = 0;
			s->len = n > 0 ? (size_t)n : 0;
			if (n > 0)
				continue;
		}
		if (n < 0)
			return (int)n;
		if (n == 0)
			return -ENODATA;
		at += n;
		len -= (size_t)n;
		s->offset += (uint64_t)n;
	}
	return 0;
}
