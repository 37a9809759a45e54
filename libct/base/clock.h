/* SPDX-License-Identifier: Apache-2.0 */
/* What time it is: clock_gettime(2). */
#pragma once
#include <stdint.h>
#include <time.h>

#define NSEC_PER_SEC 1000000000LL
#define NSEC_PER_MSEC 1000000LL
#define NSEC_PER_USEC 1000LL

/* Nanoseconds of that clock. */
static inline int64_t clock_now(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * NSEC_PER_SEC + t.tv_nsec;
}

/* Of the monotonic clock, for time limits and statistics. */
static inline int64_t monotonic_us(void)
{
	return clock_now(CLOCK_MONOTONIC) / NSEC_PER_USEC;
}

static inline int64_t monotonic_ms(void)
{
	return clock_now(CLOCK_MONOTONIC) / NSEC_PER_MSEC;
}
