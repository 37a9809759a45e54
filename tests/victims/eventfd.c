// SPDX-License-Identifier: Apache-2.0
/* Event counters of any size, one shared with a child that waits for it. */
#include "tests/victims/victim.h"

#include <sys/eventfd.h>

static void wait_for(void *arg)
{
	uint64_t v;

	CHECK_EQ(read(*(int *)arg, &v, sizeof(v)), 8);
	CHECK_EQ(v, 99);
}

int main(void)
{
	int small = CHECK_SYS(eventfd(7, EFD_NONBLOCK | EFD_CLOEXEC));
	int large = CHECK_SYS(eventfd(0, 0)), shared = CHECK_SYS(eventfd(0, 0));
	uint64_t v = 0xfffffffffffffffeULL;
	pid_t child;

	CHECK_EQ(write(large, &v, sizeof(v)), 8);
	child = victim_fork(wait_for, &shared);
	victim_ready();
	CHECK_EQ(read(small, &v, sizeof(v)), 8);
	CHECK_EQ(v, 7);
	CHECK_ERRNO(read(small, &v, sizeof(v)), EAGAIN);
	CHECK_EQ(fcntl(small, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(fcntl(large, F_GETFL) & O_NONBLOCK, 0);
	CHECK_EQ(read(large, &v, sizeof(v)), 8);
	CHECK_EQ(v, 0xfffffffffffffffeULL);
	v = 99;
	CHECK_EQ(write(shared, &v, sizeof(v)), 8);
	victim_join(child);
	victim_pass();
}
