/* SPDX-License-Identifier: Apache-2.0 */
/* For victims with connections that nobody has accepted yet: bytes that are different at every place of every client. */
#pragma once
#include "victim.h"

#include <stddef.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/un.h>

static inline socklen_t pending_name(struct sockaddr_un *a, const char *name, size_t len)
{
	*a = (struct sockaddr_un){ .sun_family = AF_UNIX };
	memcpy(a->sun_path, name, len);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (*name != 0));
}

static inline int pending_listen(int type, const char *name, size_t len, int backlog, struct sockaddr_un *ret,
				 socklen_t *ret_len)
{
	int fd = CHECK_SYS(socket(AF_UNIX, type, 0));

	*ret_len = pending_name(ret, name, len);
	CHECK_SYS(bind(fd, (struct sockaddr *)ret, *ret_len));
	CHECK_SYS(listen(fd, backlog));
	return fd;
}

/* `own`: an abstract name, or NULL. */
static inline int pending_connect(int type, const char *own, const struct sockaddr_un *to, socklen_t len)
{
	int fd = CHECK_SYS(socket(AF_UNIX, type | SOCK_CLOEXEC, 0));

	if (own) {
		struct sockaddr_un a = { .sun_family = AF_UNIX };

		strcpy(a.sun_path + 1, own);
		CHECK_SYS(bind(fd, (struct sockaddr *)&a, (socklen_t)(sizeof(sa_family_t) + 1 + strlen(own))));
	}
	CHECK_SYS(connect(fd, (const struct sockaddr *)to, len));
	return fd;
}

static inline unsigned char pending_byte(int who, size_t at)
{
	return (unsigned char)(who * 31 + at + at / 251);
}

static inline void pending_send(int fd, int who, size_t at, size_t len)
{
	static unsigned char bytes[200000];

	CHECK_EQ(len <= sizeof(bytes), true);
	for (size_t i = 0; i < len; i++)
		bytes[i] = pending_byte(who, at + i);
	CHECK_EQ(send(fd, bytes, len, MSG_DONTWAIT), (ssize_t)len);
}

/* By sendfile(2): the pages of a file, which is gone by then. */
static inline void pending_send_file(int fd, int who, size_t at, size_t len)
{
	int file = CHECK_SYS(open("/run", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
	off_t begin = 1000;

	for (size_t i = 0; i < len; i++) {
		unsigned char byte = pending_byte(who, at + i);

		CHECK_EQ(pwrite(file, &byte, 1, begin + (off_t)i), 1);
	}
	CHECK_EQ(sendfile(fd, file, &begin, len), (ssize_t)len);
	CHECK_SYS(close(file));
}

static inline void pending_expect(int fd, int who, size_t at, size_t len)
{
	while (len) {
		unsigned char bytes[4096];
		ssize_t n = CHECK_SYS(read(fd, bytes, len < sizeof(bytes) ? len : sizeof(bytes)));

		CHECK_EQ(n > 0, true);
		for (ssize_t i = 0; i < n; i++, at++)
			CHECK_EQ(bytes[i], pending_byte(who, at));
		len -= (size_t)n;
	}
}
