/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors sent through unix sockets: man 7 unix, SCM_RIGHTS. At most 4 at once. */
#pragma once
#include "tests/victims/victim.h"

#include <sys/socket.h>

static inline void rights_give(int s, const char *text, size_t len, const int *fds, size_t n)
{
	char control[CMSG_SPACE(4 * sizeof(int))] = { 0 };
	struct iovec iov = { (void *)text, len };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
			    .msg_controllen = CMSG_SPACE(n * sizeof(int)) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&h);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(n * sizeof(int));
	memcpy(CMSG_DATA(c), fds, n * sizeof(int));
	CHECK_EQ(sendmsg(s, &h, 0), (ssize_t)len);
}

/* Reads exactly `len` bytes in one go; the number of descriptors with them. */
static inline size_t rights_take(int s, char *text, size_t len, int *fds)
{
	char control[CMSG_SPACE(4 * sizeof(int))];
	struct iovec iov = { text, len };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
			    .msg_controllen = sizeof(control) };
	struct cmsghdr *c;
	size_t n;

	CHECK_EQ(recvmsg(s, &h, 0), (ssize_t)len);
	CHECK(!(h.msg_flags & MSG_CTRUNC));
	c = CMSG_FIRSTHDR(&h);
	if (!c)
		return 0;
	CHECK_EQ(c->cmsg_type, SCM_RIGHTS);
	n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	memcpy(fds, CMSG_DATA(c), n * sizeof(int));
	return n;
}
