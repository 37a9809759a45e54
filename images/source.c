// SPDX-License-Identifier: Apache-2.0
#include "images/source.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libct/base/cleanup.h"

#define BUFFER (64u << 10)

int source_init(struct source *s, int fd)
{
	struct stat st;

	*s = (struct source){ .fd = fd, .stop = -1 };
	if (fstat(fd, &st) < 0)
		return -errno;
	s->buf = malloc(BUFFER);
	s->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!s->buf || s->stop < 0) {
		source_release(s);
		return -ENOMEM;
	}
	s->file = S_ISREG(st.st_mode);
	if (s->file)
		(void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	else if (S_ISFIFO(st.st_mode))
		(void)fcntl(fd, F_SETPIPE_SZ, 1 << 20);
	return 0;
}

void source_release(struct source *s)
{
	free(s->buf);
	s->buf = NULL;
	s->stop = fd_close(s->stop);
}

void source_stop(struct source *s)
{
	uint64_t one = 1;

	if (s->stop >= 0)
		(void)!write(s->stop, &one, sizeof(one));
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
		n = read(s->fd, data, len);
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
			n = read_some(s, s->buf, BUFFER);
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
