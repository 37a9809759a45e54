// SPDX-License-Identifier: Apache-2.0
/* EPOLLONESHOT: one that has fired stays silent, even when its peer hangs up; one that waits fires once. */
#include "tests/victims/victim.h"

#include <sys/epoll.h>

static void ctl(int set, int op, int fd)
{
	struct epoll_event e = { EPOLLIN | EPOLLONESHOT, { .fd = fd } };

	CHECK_SYS(epoll_ctl(set, op, fd, &e));
}

int main(void)
{
	int set = CHECK_SYS(epoll_create1(0)), fired[2], waits[2];
	struct epoll_event e[4];

	CHECK_SYS(pipe(fired));
	CHECK_SYS(pipe(waits));
	ctl(set, EPOLL_CTL_ADD, fired[0]);
	ctl(set, EPOLL_CTL_ADD, waits[0]);
	CHECK_EQ(write(fired[1], "x", 1), 1);
	CHECK_EQ(epoll_wait(set, e, 4, 0), 1);
	CHECK_EQ(e[0].data.fd, fired[0]);
	victim_ready();
	CHECK_EQ(epoll_wait(set, e, 4, 0), 0);
	CHECK_EQ(write(fired[1], "x", 1), 1);
	CHECK_SYS(close(fired[1]));
	CHECK_EQ(epoll_wait(set, e, 4, 0), 0);
	CHECK_EQ(write(waits[1], "x", 1), 1);
	CHECK_EQ(epoll_wait(set, e, 4, 0), 1);
	CHECK_EQ(e[0].data.fd, waits[0]);
	CHECK_EQ(epoll_wait(set, e, 4, 0), 0);
	ctl(set, EPOLL_CTL_MOD, fired[0]);
	CHECK_EQ(epoll_wait(set, e, 4, 0), 1);
	CHECK_EQ(e[0].data.fd, fired[0]);
	CHECK_EQ(e[0].events, EPOLLIN | EPOLLHUP);
	victim_pass();
}
