// SPDX-License-Identifier: Apache-2.0
/* build: -pthread */
/* Sleeps go on where they were: relative ones with and without a place for the rest, absolute ones. */
#include "tests/victims/victim.h"

#include <pthread.h>

#define SPAN 6000 /* ms: longer than two checkpoints and restores take, mostly */
#define EARLY 2000 /* ms of it are over before the first checkpoint: what begins anew is late by them */

static const volatile int64_t *stalls;
static volatile int up;

static void *work(void *arg)
{
	struct timespec t = { SPAN / 1000, 0 }, rest = { 77, 77 };
	int64_t began = victim_now_ms(), passed;
	long r = -1;

	__atomic_add_fetch(&up, 1, __ATOMIC_SEQ_CST);
	switch ((intptr_t)arg) {
	case 0:
		r = syscall(SYS_nanosleep, &t, &rest);
		break;
	case 1:
		r = syscall(SYS_nanosleep, &t, NULL);
		break;
	case 2:
		r = syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &t, &rest);
		break;
	case 3:
		r = syscall(SYS_clock_nanosleep, CLOCK_BOOTTIME, 0, &t, NULL);
		break;
	case 4:
		r = syscall(SYS_clock_nanosleep, CLOCK_REALTIME, 0, &t, NULL);
		break;
	case 5:
		CHECK_SYS(clock_gettime(CLOCK_MONOTONIC, &t));
		t.tv_sec += SPAN / 1000;
		r = syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
		break;
	case 6:
		r = syscall(SYS_nanosleep, &t, &t);
		break;
	}
	passed = victim_now_ms() - began;
	CHECK_EQ(r, 0);
	if (passed < SPAN || passed > SPAN + EARLY - 500 + *stalls)
		VICTIM_FAIL("sleep %d took %lld ms", (int)(intptr_t)arg, (long long)passed);
	return arg;
}

int main(void)
{
	pthread_t threads[7];

	stalls = victim_watch_stalls();
	for (intptr_t i = 0; i < 7; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, work, (void *)i), 0);
	VICTIM_UNTIL(up == 7);
	victim_sleep_ms(EARLY);
	victim_ready();
	for (int i = 0; i < 7; i++)
		CHECK_EQ(pthread_join(threads[i], NULL), 0);
	victim_pass();
}
