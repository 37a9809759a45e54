/* SPDX-License-Identifier: Apache-2.0 */
/* Epoll sets with a signalfd that would have to be looked into by others, or whose process is not known. */
/* refused: pid 2 (refused-signalf) fd 30: the epoll set watches a signalfd (descriptor 20) edge-triggered, and signals are pending: that is not carried; try again when they have been read */
/* refused: pid 2 (refused-signalf) fd 31: EPOLLONESHOT has fired for descriptor 21 of an epoll set with a signalfd, which is not carried; try again when it waits again */
/* refused: pid 2 (refused-signalf) fd 31: descriptor 22 is watched edge-triggered and has events, in an epoll set with a signalfd: that is not carried; use level-triggered events or a set of its own for the signalfd */
/* refused: pid 3 (refused-signalf) fd 32: the epoll set watches a signalfd (descriptor 23) that unrelated processes have, and whose signals it reports is not to be seen; close it in all but one */
#include "victim.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>

static int put(int fd, int number)
{
	CHECK_SYS(fd);
	CHECK_EQ(dup2(fd, number), number);
	CHECK_SYS(close(fd));
	return number;
}

static int signals(int number)
{
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGURG);
	CHECK_SYS(sigprocmask(SIG_BLOCK, &mask, NULL));
	return put(signalfd(-1, &mask, SFD_NONBLOCK), number);
}

static void watch(int set, int fd, uint32_t events)
{
	struct epoll_event e = { events, { .u64 = (uint64_t)fd } };

	CHECK_SYS(epoll_ctl(set, EPOLL_CTL_ADD, fd, &e));
}

static void heir(void *arg)
{
	close(20);
	close(30);
	close(31);
	victim_wait();
	CHECK_EQ(fcntl(32, F_GETFD), 0);
}

int main(void)
{
	struct epoll_event e;
	pid_t child[2];

	for (int i = 30; i < 33; i++)
		put(epoll_create1(0), i);
	watch(30, signals(20), EPOLLIN | EPOLLET);
	watch(31, 20, EPOLLIN);
	watch(31, put(eventfd(1, 0), 21), EPOLLIN | EPOLLONESHOT);
	CHECK_EQ(epoll_wait(31, &e, 1, 0), 1);
	CHECK_EQ(e.data.u64, 21);
	watch(31, put(eventfd(1, 0), 22), EPOLLIN | EPOLLET);
	watch(32, signals(23), EPOLLIN);
	/* Two who have inherited it, from one who has closed it. */
	child[0] = victim_fork(heir, NULL);
	child[1] = victim_fork(heir, NULL);
	CHECK_SYS(close(23));
	CHECK_SYS(close(32));
	CHECK_SYS(raise(SIGURG));
	victim_ready();
	CHECK_EQ(epoll_wait(30, &e, 1, 0), 1);
	CHECK_EQ(epoll_wait(30, &e, 1, 0), 0);
	victim_join(child[0]);
	victim_join(child[1]);
	victim_pass();
}
