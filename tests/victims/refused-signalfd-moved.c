/* SPDX-License-Identifier: Apache-2.0 */
/* A signalfd in an epoll set that nobody has under the number it was added by. */
/* refused at the stop: pid 2 (refused-signalf) fd 3: the epoll set watches a signalfd that no process has as descriptor 4 together with the set any more, which is not carried; remove it from the set first */
#include "victim.h"

#include <sys/epoll.h>
#include <sys/signalfd.h>

int main(void)
{
	int set = CHECK_SYS(epoll_create1(0)), fd;
	struct epoll_event e = { EPOLLIN, { .u64 = 7 } };
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGURG);
	CHECK_SYS(sigprocmask(SIG_BLOCK, &mask, NULL));
	fd = CHECK_SYS(signalfd(-1, &mask, SFD_NONBLOCK));
	CHECK_SYS(epoll_ctl(set, EPOLL_CTL_ADD, fd, &e));
	CHECK_EQ(dup2(fd, 9), 9);
	CHECK_SYS(close(fd));
	victim_ready();
	CHECK_SYS(raise(SIGURG));
	CHECK_EQ(epoll_wait(set, &e, 1, 0), 1);
	victim_pass();
}
