// SPDX-License-Identifier: Apache-2.0
/* build: -pthread */
/* Futexes: with a span, with a point of time, without limit; woken and not woken. */
#include "tests/victims/victim.h"

#include <linux/futex.h>
#include <pthread.h>

#define SPAN 6000
#define EARLY 2000 /* ms of it are over before the first checkpoint: what begins anew is late by them */

static const volatile int64_t *stalls;
static volatile int up;
static uint32_t word[4];

static void *work(void *arg)
{
	struct timespec t = { SPAN / 1000, 0 };
	int64_t began = victim_now_ms(), passed;
	long r;

	__atomic_add_fetch(&up, 1, __ATOMIC_SEQ_CST);
	switch ((intptr_t)arg) {
	case 0:
		CHECK_ERRNO(syscall(SYS_futex, &word[0], FUTEX_WAIT_PRIVATE, 0, &t, NULL, 0), ETIMEDOUT);
		break;
	case 1:
		CHECK_SYS(clock_gettime(CLOCK_MONOTONIC, &t));
		t.tv_sec += SPAN / 1000;
		CHECK_ERRNO(syscall(SYS_futex, &word[1], FUTEX_WAIT_BITSET_PRIVATE, 0, &t, NULL,
				    FUTEX_BITSET_MATCH_ANY), ETIMEDOUT);
		break;
	case 2:
		t.tv_sec = 100;
		r = syscall(SYS_futex, &word[2], FUTEX_WAIT, 0, &t, NULL, 0);
		CHECK(r == 0 || errno == EAGAIN);
		return arg;
	case 3:
		r = syscall(SYS_futex, &word[3], FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
		CHECK(r == 0 || errno == EAGAIN);
		return arg;
	}
	passed = victim_now_ms() - began;
	if (passed < SPAN || passed > SPAN + EARLY - 500 + *stalls)
		VICTIM_FAIL("futex %d took %lld ms", (int)(intptr_t)arg, (long long)passed);
	return arg;
}

int main(void)
{
	pthread_t threads[4];

	stalls = victim_watch_stalls();
	for (intptr_t i = 0; i < 4; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, work, (void *)i), 0);
	VICTIM_UNTIL(up == 4);
	victim_sleep_ms(EARLY);
	victim_ready();
	for (int i = 2; i < 4; i++) {
		__atomic_store_n(&word[i], 1, __ATOMIC_SEQ_CST);
		CHECK_SYS(syscall(SYS_futex, &word[i], i == 2 ? FUTEX_WAKE : FUTEX_WAKE_PRIVATE, 1, NULL,
				  NULL, 0));
	}
	for (int i = 0; i < 4; i++)
		CHECK_EQ(pthread_join(threads[i], NULL), 0);
	victim_pass();
}
