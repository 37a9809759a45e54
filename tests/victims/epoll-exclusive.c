// SPDX-License-Identifier: Apache-2.0
/* EPOLLEXCLUSIVE: of the sets of two processes that wait for one event, one is woken. */
#include "tests/victims/victim.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

static int event, report[2];

static void wait_for(void *arg)
{
	struct epoll_event e = { EPOLLIN | EPOLLEXCLUSIVE, { .u64 = 5 } };
	int set = CHECK_SYS(epoll_create1(0));
	uint64_t v;

	CHECK_SYS(epoll_ctl(set, EPOLL_CTL_ADD, event, &e));
	CHECK_EQ(write(report[1], "r", 1), 1);
	while (1) {
		CHECK_EQ(epoll_wait(set, &e, 1, -1), 1);
		CHECK_EQ(e.data.u64, 5);
		CHECK_EQ(read(event, &v, sizeof(v)), 8);
		CHECK_EQ(write(report[1], "w", 1), 1);
		if (v == 100)
			return;
	}
}

int main(void)
{
	uint64_t one = 1, last = 100;
	pid_t child[2];
	char c;

	event = CHECK_SYS(eventfd(0, 0));
	CHECK_SYS(pipe(report));
	for (int i = 0; i < 2; i++) {
		child[i] = victim_fork(wait_for, NULL);
		CHECK_EQ(read(report[0], &c, 1), 1);
	}
	victim_ready();
	for (int i = 0; i < 20; i++) {
		CHECK_EQ(write(event, &one, sizeof(one)), 8);
		CHECK_EQ(read(report[0], &c, 1), 1);
		CHECK_EQ(c, 'w');
	}
	for (int i = 0; i < 2; i++) {
		CHECK_EQ(write(event, &last, sizeof(last)), 8);
		CHECK_EQ(read(report[0], &c, 1), 1);
	}
	for (int i = 0; i < 2; i++)
		victim_join(child[i]);
	victim_pass();
}
