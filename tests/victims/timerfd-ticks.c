// SPDX-License-Identifier: Apache-2.0
/* A timer that has fired and was not read, and one whose interval was set while it stands still. */
#include "tests/victims/victim.h"

#include <poll.h>
#include <sys/timerfd.h>

int main(void)
{
	struct itimerspec t = { .it_value.tv_nsec = 1000000 }, still = { .it_interval.tv_sec = 5 };
	int fired = CHECK_SYS(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
	int stands = CHECK_SYS(timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK));
	struct pollfd p = { .fd = fired, .events = POLLIN };
	uint64_t ticks;

	CHECK_SYS(timerfd_settime(fired, 0, &t, NULL));
	CHECK_SYS(timerfd_settime(stands, 0, &still, NULL));
	CHECK_EQ(poll(&p, 1, 120000), 1);
	victim_ready();
	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK_EQ(read(fired, &ticks, sizeof(ticks)), 8);
	CHECK_EQ(ticks, 1);
	CHECK_ERRNO(read(fired, &ticks, sizeof(ticks)), EAGAIN);
	CHECK_SYS(timerfd_gettime(stands, &t));
	CHECK_EQ(t.it_interval.tv_sec, 5);
	CHECK_EQ(t.it_value.tv_sec + t.it_value.tv_nsec, 0);
	victim_pass();
}
