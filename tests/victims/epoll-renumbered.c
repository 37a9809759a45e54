// SPDX-License-Identifier: Apache-2.0
/* Pairs of a set outlive the numbers they were added under: closed, reused, and two files of one number. */
#include "tests/victims/victim.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

static void add(int set, int fd, uint64_t data)
{
	struct epoll_event e = { EPOLLIN, { .u64 = data } };

	CHECK_SYS(epoll_ctl(set, EPOLL_CTL_ADD, fd, &e));
}

static void expect(int set, int fd, uint64_t data)
{
	struct epoll_event e[4];
	uint64_t v = 1;

	CHECK_EQ(write(fd, &v, sizeof(v)), 8);
	CHECK_EQ(epoll_wait(set, e, 4, 0), 1);
	CHECK_EQ(e[0].data.u64, data);
	CHECK_EQ(read(fd, &v, sizeof(v)), 8);
}

int main(void)
{
	int set = CHECK_SYS(epoll_create1(0)), moved, first, second;
	struct epoll_event e;
	uint64_t v = 1;

	/* 50 is added, duplicated to 60 and closed: the pair lives on as (50, first). */
	first = CHECK_SYS(eventfd(0, 0));
	CHECK_EQ(dup2(first, 50), 50);
	add(set, 50, 1);
	moved = CHECK_SYS(fcntl(50, F_DUPFD, 60));
	/* 50 is another file now, and added too. */
	second = CHECK_SYS(eventfd(0, 0));
	CHECK_EQ(dup2(second, 50), 50);
	add(set, 50, 2);
	CHECK_SYS(close(50));
	/* The same file under two numbers. */
	add(set, moved, 3);
	victim_ready();
	expect(set, second, 2);
	CHECK_EQ(dup2(second, 50), 50);
	CHECK_SYS(epoll_ctl(set, EPOLL_CTL_DEL, 50, NULL));
	CHECK_EQ(write(first, &v, sizeof(v)), 8);
	CHECK_EQ(epoll_wait(set, &e, 1, 0), 1);
	CHECK_EQ(dup2(first, 50), 50);
	CHECK_SYS(epoll_ctl(set, EPOLL_CTL_DEL, 50, NULL));
	CHECK_EQ(epoll_wait(set, &e, 1, 0), 1);
	CHECK_EQ(e.data.u64, 3);
	CHECK_SYS(epoll_ctl(set, EPOLL_CTL_DEL, moved, NULL));
	CHECK_EQ(epoll_wait(set, &e, 1, 0), 0);
	victim_pass();
}
