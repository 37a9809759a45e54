// SPDX-License-Identifier: Apache-2.0
/* A timer that was running fires when it should by the pod's own clock, no earlier and hardly later. */
#include "tests/victims/victim.h"

#include <poll.h>
#include <sys/timerfd.h>

#define SECONDS 4

static double now(clockid_t clock)
{
	struct timespec t;

	CHECK_SYS(clock_gettime(clock, &t));
	return t.tv_sec + t.tv_nsec / 1e9;
}

int main(void)
{
	const volatile int64_t *stalls = victim_watch_stalls();
	static const clockid_t clocks[] = { CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_REALTIME };
	struct itimerspec t = { .it_value.tv_sec = SECONDS }, left;
	double began[3], late, due;
	int fd[3], idle;
	uint64_t ticks;

	idle = CHECK_SYS(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
	for (int i = 0; i < 3; i++) {
		fd[i] = CHECK_SYS(timerfd_create(clocks[i], TFD_CLOEXEC));
		began[i] = now(clocks[i] == CLOCK_REALTIME ? CLOCK_MONOTONIC : clocks[i]);
		CHECK_SYS(timerfd_settime(fd[i], 0, &t, NULL));
	}
	victim_ready();
	for (int i = 0; i < 3; i++) {
		clockid_t clock = clocks[i] == CLOCK_REALTIME ? CLOCK_MONOTONIC : clocks[i];

		/* It may have fired already where we were told late to go on. */
		due = began[i] + SECONDS;
		if (now(clock) > due)
			due = now(clock);
		CHECK_EQ(read(fd[i], &ticks, sizeof(ticks)), 8);
		CHECK_EQ(ticks, 1);
		CHECK(now(clock) >= began[i] + SECONDS);
		late = now(clock) - due;
		if (late < 0 || late > 2 + *stalls / 1e3)
			VICTIM_FAIL("timer %d was %f seconds late", i, late);
		CHECK_SYS(timerfd_gettime(fd[i], &left));
		CHECK_EQ(left.it_value.tv_sec + left.it_value.tv_nsec, 0);
	}
	CHECK_ERRNO(read(idle, &ticks, sizeof(ticks)), EAGAIN);
	victim_pass();
}
