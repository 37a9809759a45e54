// SPDX-License-Identifier: Apache-2.0
/* A set of many descriptors, shared with a child that waits in epoll_wait(2); events, data, removal. */
#include "tests/victims/victim.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#define COUNT 300

static int fd[COUNT];

static void add(int set, int i)
{
	struct epoll_event e = { EPOLLIN, { .u64 = 0x123456789abc0000ULL + i } };

	fd[i] = CHECK_SYS(eventfd(0, EFD_NONBLOCK));
	CHECK_SYS(epoll_ctl(set, EPOLL_CTL_ADD, fd[i], &e));
}

static void expect(int set, int i)
{
	struct epoll_event e;

	CHECK_EQ(epoll_wait(set, &e, 1, 10000), 1);
	CHECK_EQ(e.events, EPOLLIN);
	CHECK_EQ(e.data.u64, 0x123456789abc0000ULL + i);
}

static void wait_for(void *arg)
{
	expect(*(int *)arg, 1);
}

int main(void)
{
	int set = CHECK_SYS(epoll_create1(EPOLL_CLOEXEC));
	struct epoll_event e;
	uint64_t v = 1;
	pid_t child;

	for (int i = 0; i < COUNT; i++)
		add(set, i);
	child = victim_fork(wait_for, &set);
	victim_ready();
	CHECK_EQ(epoll_wait(set, &e, 1, 0), 0);
	CHECK_EQ(write(fd[1], &v, sizeof(v)), 8);
	victim_join(child);
	expect(set, 1);
	CHECK_EQ(read(fd[1], &v, sizeof(v)), 8);
	CHECK_EQ(epoll_wait(set, &e, 1, 0), 0);
	for (int i = 0; i < COUNT; i += 7) {
		CHECK_EQ(write(fd[i], &v, sizeof(v)), 8);
		expect(set, i);
		CHECK_SYS(epoll_ctl(set, EPOLL_CTL_DEL, fd[i], NULL));
	}
	CHECK_EQ(epoll_wait(set, &e, 1, 0), 0);
	CHECK_EQ(fcntl(set, F_GETFD), FD_CLOEXEC);
	victim_pass();
}
