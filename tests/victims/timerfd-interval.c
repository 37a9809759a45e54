// SPDX-License-Identifier: Apache-2.0
/* A timer with an interval goes on in its rhythm, and what was not read is counted. */
#include "tests/victims/victim.h"

#include <sys/timerfd.h>

int main(void)
{
	struct itimerspec t = { { 0, 50000000 }, { 0, 50000000 } }, got;
	int read_late = CHECK_SYS(timerfd_create(CLOCK_MONOTONIC, 0));
	int rhythm = CHECK_SYS(timerfd_create(CLOCK_MONOTONIC, 0));
	int64_t began, since, before, expected, off = 200;
	uint64_t ticks, more;

	/* Both at one time, which is known: again where we did not run in between. */
	do {
		began = victim_now_ms();
		t.it_interval.tv_nsec = 50000000;
		CHECK_SYS(timerfd_settime(read_late, 0, &t, NULL));
		t.it_interval.tv_nsec = 200000000;
		CHECK_SYS(timerfd_settime(rhythm, 0, &t, NULL));
		since = victim_now_ms();
	} while (since - began > 5);
	CHECK_EQ(read(rhythm, &ticks, sizeof(ticks)), 8);
	victim_sleep_ms(200);
	victim_ready();
	before = victim_now_ms();
	CHECK_EQ(read(read_late, &ticks, sizeof(ticks)), 8);
	expected = (victim_now_ms() - began) / 50;
	if ((int64_t)ticks < (before - began) / 50 - 1 || (int64_t)ticks > expected + 1)
		VICTIM_FAIL("%lld ticks, expected %lld", (long long)ticks, (long long)expected);
	CHECK_EQ(read(read_late, &more, sizeof(more)), 8);
	CHECK(more >= 1);
	/* Its beats are 50 + n * 200 ms after it was set. */
	for (int i = 0; i < 200 && off > 20; i++) { /* a busy host may run us late */
		CHECK_EQ(read(rhythm, &ticks, sizeof(ticks)), 8);
		off = (victim_now_ms() - began + 200 - 50) % 200;
	}
	if (off > 20)
		VICTIM_FAIL("the beat is off by %lld ms", (long long)off);
	CHECK_SYS(timerfd_gettime(rhythm, &got));
	CHECK_EQ(got.it_interval.tv_nsec, 200000000);
	victim_pass();
}
