// SPDX-License-Identifier: Apache-2.0
/* A set of many descriptors, shared with a child that waits in epoll_wait(2); events, data, removal. */
#include "tests/victims/victim.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>

#define COUNT 300

static int fd[COUNT];

/* struct epoll_params of Linux 6.9. */
struct busy_poll {
	uint32_t usecs;
	uint16_t budget;
	uint8_t prefer, unused;
};
#define GET_BUSY_POLL _IOR(0x8a, 2, struct busy_poll)
#define SET_BUSY_POLL _IOW(0x8a, 1, struct busy_poll)

static void add(int set, int i)
{
	struct epoll_event e = { EPOLLIN, { .u64 = 0x123456789abc0000ULL + i } };

	fd[i] = CHECK_SYS(eventfd(0, EFD_NONBLOCK));
	CHECK_SYS(epoll_ctl(set, EPOLL_CTL_ADD, fd[i], &e));
}

static void expect(int set, int i)
{
	struct epoll_event e;

	CHECK_EQ(epoll_wait(set, &e, 1, 120000), 1);
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
	struct busy_poll busy = { 50, 16, 1, 0 };
	bool has_busy_poll = ioctl(set, SET_BUSY_POLL, &busy) == 0;
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
	memset(&busy, 0, sizeof(busy));
	if (has_busy_poll) {
		CHECK_SYS(ioctl(set, GET_BUSY_POLL, &busy));
		CHECK_EQ(busy.usecs, 50u);
		CHECK_EQ(busy.budget, 16);
		CHECK_EQ(busy.prefer, 1);
	}
	victim_pass();
}
