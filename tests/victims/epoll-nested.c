// SPDX-License-Identifier: Apache-2.0
/*
 * Sets within sets, the outer one older than the inner one and the other way round. With a pipe: before
 * Linux 6.5 a checkpoint tries eventfds out, which is an edge.
 */
#include "tests/victims/victim.h"

#include <sys/epoll.h>

static void add(int set, int fd, uint32_t events)
{
	struct epoll_event e = { events, { .fd = fd } };

	CHECK_SYS(epoll_ctl(set, EPOLL_CTL_ADD, fd, &e));
}

int main(void)
{
	int outer = CHECK_SYS(epoll_create1(0)), middle = CHECK_SYS(epoll_create1(0));
	int inner = CHECK_SYS(epoll_create1(0)), other = CHECK_SYS(epoll_create1(0));
	struct epoll_event e;
	uint64_t v = 1;
	int ends[2], fd, in;

	CHECK_SYS(pipe2(ends, O_CLOEXEC));
	fd = ends[0];
	in = ends[1];
	add(inner, fd, EPOLLIN);
	add(middle, inner, EPOLLIN);
	add(outer, middle, EPOLLIN | EPOLLET);
	add(other, outer, EPOLLIN);
	add(outer, fd, EPOLLIN | EPOLLONESHOT);
	CHECK_EQ(write(in, &v, sizeof(v)), 8);
	CHECK_EQ(epoll_wait(outer, &e, 1, 0), 1);
	CHECK_EQ(epoll_wait(outer, &e, 1, 0), 1);
	CHECK_EQ(epoll_wait(outer, &e, 1, 0), 0);
	victim_ready();
	CHECK_EQ(epoll_wait(outer, &e, 1, 0), 0);
	CHECK_EQ(epoll_wait(middle, &e, 1, 0), 1);
	CHECK_EQ(e.data.fd, inner);
	CHECK_EQ(epoll_wait(inner, &e, 1, 0), 1);
	CHECK_EQ(e.data.fd, fd);
	CHECK_EQ(write(in, &v, sizeof(v)), 8);
	CHECK_EQ(epoll_wait(other, &e, 1, 0), 1);
	CHECK_EQ(e.data.fd, outer);
	CHECK_EQ(epoll_wait(outer, &e, 1, 0), 1);
	CHECK_EQ(e.data.fd, middle);
	victim_pass();
}
