/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SYN_SENT: a listening socket that takes no packet from so near (IP_MINTTL) answers nobody. Once it does,
 * the connection comes to be, for a program that waits in connect(2) and for one that polls.
 */
#include "tcp.h"

static void waits(void *a)
{
	int fd = CHECK_SYS(socket(AF_INET, SOCK_STREAM, 0));

	CHECK_SYS(connect(fd, a, sizeof(struct sockaddr_in)));
	CHECK_EQ(write(fd, "x", 1), 1);
	CHECK_SYS(close(fd));
}

int main(void)
{
	struct sockaddr_storage a;
	socklen_t len;
	int l = tcp_listen(AF_INET, &a, &len), polls = CHECK_SYS(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
	struct pollfd ready = { polls, POLLOUT, 0 };
	int error = -1, child, n = 0, far = 255;
	char byte;

	CHECK_SYS(setsockopt(l, SOL_IP, IP_MINTTL, &far, sizeof(far)));
	CHECK_ERRNO(connect(polls, (struct sockaddr *)&a, len), EINPROGRESS);
	child = victim_fork(waits, &a);
	CHECK_EQ(tcp_state_of(polls), TCP_SYN_SENT);
	victim_ready();
	CHECK_EQ(tcp_state_of(polls), TCP_SYN_SENT);
	CHECK_ERRNO(connect(polls, (struct sockaddr *)&a, len), EALREADY);
	CHECK_SYS(setsockopt(l, SOL_IP, IP_MINTTL, &n, sizeof(n)));
	CHECK_EQ(poll(&ready, 1, 200000), 1);
	len = sizeof(error);
	CHECK_SYS(getsockopt(polls, SOL_SOCKET, SO_ERROR, &error, &len));
	CHECK_EQ(error, 0);
	CHECK_EQ(write(polls, "x", 1), 1);
	for (n = 0; n < 2; n++) {
		int s = CHECK_SYS(accept(l, NULL, NULL));

		CHECK_EQ(read(s, &byte, 1), 1);
		CHECK_SYS(close(s));
	}
	victim_join(child);
	victim_pass();
}
