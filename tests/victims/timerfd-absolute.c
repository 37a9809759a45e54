// SPDX-License-Identifier: Apache-2.0
/* Timers that were set to a time, of the pod's clocks and of the wall clock, fire at it. */
#include "tests/victims/victim.h"

#include <sys/timerfd.h>

#define SECONDS 4

int main(void)
{
	const volatile int64_t *stalls = victim_watch_stalls();
	static const clockid_t clocks[] = { CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_REALTIME };
	struct itimerspec t[3] = { 0 };
	uint64_t ticks;
	int fd[3];

	for (int i = 0; i < 3; i++) {
		int flags = TFD_TIMER_ABSTIME | (clocks[i] == CLOCK_REALTIME ? TFD_TIMER_CANCEL_ON_SET : 0);

		fd[i] = CHECK_SYS(timerfd_create(clocks[i], 0));
		CHECK_SYS(clock_gettime(clocks[i], &t[i].it_value));
		t[i].it_value.tv_sec += SECONDS;
		CHECK_SYS(timerfd_settime(fd[i], flags, &t[i], NULL));
	}
	victim_ready();
	for (int i = 0; i < 3; i++) {
		struct timespec now;
		double late, waited;

		CHECK_SYS(clock_gettime(clocks[i], &now));
		waited = now.tv_sec - t[i].it_value.tv_sec + (now.tv_nsec - t[i].it_value.tv_nsec) / 1e9;
		CHECK_EQ(read(fd[i], &ticks, sizeof(ticks)), 8);
		CHECK_EQ(ticks, 1);
		CHECK_SYS(clock_gettime(clocks[i], &now));
		late = now.tv_sec - t[i].it_value.tv_sec + (now.tv_nsec - t[i].it_value.tv_nsec) / 1e9;
		/* It may have fired already where we were told late to go on. */
		if (waited > 0)
			late -= waited;
		if (late < -0.001 || late > 2 + *stalls / 1e3)
			VICTIM_FAIL("timer %d was %f seconds late", i, late);
	}
	victim_pass();
}
