// SPDX-License-Identifier: Apache-2.0
/* A one-shot that has fired cannot be made to fire again when its descriptor is no longer ready. */
/* refused: pid 2 (epoll-oneshot-u) fd 3: EPOLLONESHOT has fired for its descriptor 4, which is not ready any more: that is not carried; try again when it waits for it again */
#include "tests/victims/victim.h"

#include <sys/epoll.h>

int main(void)
{
	int set = CHECK_SYS(epoll_create1(0)), fd[2];
	struct epoll_event e = { EPOLLIN | EPOLLONESHOT, { .u64 = 0 } };
	char c;

	CHECK_SYS(pipe(fd));
	CHECK_SYS(epoll_ctl(set, EPOLL_CTL_ADD, fd[0], &e));
	CHECK_EQ(write(fd[1], "x", 1), 1);
	CHECK_EQ(epoll_wait(set, &e, 1, 0), 1);
	CHECK_EQ(read(fd[0], &c, 1), 1);
	victim_ready();
	CHECK_EQ(epoll_wait(set, &e, 1, 0), 0);
	victim_pass();
}
