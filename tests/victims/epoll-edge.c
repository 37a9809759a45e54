// SPDX-License-Identifier: Apache-2.0
/* An edge that was reported is not reported again, one that was not still is. */
#include "tests/victims/victim.h"

#include <sys/epoll.h>

static int edge_of(int set, int fd)
{
	struct epoll_event e = { EPOLLIN | EPOLLET, { .fd = fd } };

	return CHECK_SYS(epoll_ctl(set, EPOLL_CTL_ADD, fd, &e));
}

int main(void)
{
	int known = CHECK_SYS(epoll_create1(0)), fresh = CHECK_SYS(epoll_create1(0)), a[2], b[2];
	struct epoll_event e;

	CHECK_SYS(pipe(a));
	CHECK_SYS(pipe(b));
	edge_of(known, a[0]);
	edge_of(fresh, b[0]);
	CHECK_EQ(write(a[1], "x", 1), 1);
	CHECK_EQ(write(b[1], "x", 1), 1);
	CHECK_EQ(epoll_wait(known, &e, 1, 0), 1);
	victim_ready();
	CHECK_EQ(epoll_wait(known, &e, 1, 0), 0);
	CHECK_EQ(epoll_wait(fresh, &e, 1, 0), 1);
	CHECK_EQ(e.data.fd, b[0]);
	CHECK_EQ(epoll_wait(fresh, &e, 1, 0), 0);
	CHECK_EQ(write(a[1], "x", 1), 1);
	CHECK_EQ(epoll_wait(known, &e, 1, 0), 1);
	CHECK_EQ(e.data.fd, a[0]);
	victim_pass();
}
