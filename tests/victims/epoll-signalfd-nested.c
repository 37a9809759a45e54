// SPDX-License-Identifier: Apache-2.0
/* A set with a signalfd that is in another set would lose its event, so it is refused. */
/* refused: pid 2 (epoll-signalfd-) fd 15: the epoll set watches another one (descriptor 14) that watches a signalfd, which is not carried; put the signalfd into the outer set */
#include "tests/victims/victim.h"

#include <sys/epoll.h>
#include <sys/signalfd.h>

int main(void)
{
	struct epoll_event e = { EPOLLIN, { .u64 = 7 } };
	int signals, inner, outer;
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGURG);
	CHECK_SYS(sigprocmask(SIG_BLOCK, &mask, NULL));
	signals = CHECK_SYS(signalfd(-1, &mask, SFD_NONBLOCK));
	inner = CHECK_SYS(epoll_create1(0));
	outer = CHECK_SYS(epoll_create1(0));
	CHECK_EQ(dup2(signals, 13), 13);
	CHECK_EQ(dup2(inner, 14), 14);
	CHECK_EQ(dup2(outer, 15), 15);
	CHECK_SYS(epoll_ctl(14, EPOLL_CTL_ADD, 13, &e));
	CHECK_SYS(epoll_ctl(15, EPOLL_CTL_ADD, 14, &e));
	close(signals);
	close(inner);
	close(outer);
	/* Pending, and nobody may take the event away meanwhile. */
	CHECK_SYS(raise(SIGURG));
	victim_ready();
	CHECK_EQ(epoll_wait(15, &e, 1, 0), 1);
	CHECK_EQ(epoll_wait(14, &e, 1, 0), 1);
	victim_pass();
}
