// SPDX-License-Identifier: Apache-2.0
/* Interval timers: one that is far away, one that ticks all the time, one of CPU time. */
#include "tests/victims/victim.h"

#include <sys/time.h>

#define EARLY 1000 /* ms that pass before the first checkpoint: what begins anew is late by them */

static volatile sig_atomic_t alarms, ticks, profiled;

static void on_signal(int sig)
{
	if (sig == SIGALRM)
		alarms++;
	else
		profiled++;
}

static int64_t remaining(int which)
{
	struct itimerval t;

	CHECK_SYS(getitimer(which, &t));
	return t.it_value.tv_sec * 1000 + t.it_value.tv_usec / 1000;
}

static void child(void *arg)
{
	struct itimerval t = { { 0, 7000 }, { 0, 7000 } };
	int before;

	(void)arg;
	signal(SIGALRM, on_signal);
	CHECK_SYS(setitimer(ITIMER_REAL, &t, NULL));
	victim_wait();
	before = alarms;
	VICTIM_UNTIL(alarms > before + 3);
	CHECK_SYS(getitimer(ITIMER_REAL, &t));
	CHECK_EQ(t.it_interval.tv_usec, 7000);
}

int main(void)
{
	struct itimerval t = { { 0, 0 }, { 1000, 0 } };
	struct itimerval cpu = { { 3, 500000 }, { 0, 200000 } };
	int64_t before, least, most, left;
	pid_t pid = victim_fork(child, NULL);

	signal(SIGALRM, on_signal);
	signal(SIGPROF, on_signal);
	before = victim_now_ms();
	CHECK_SYS(setitimer(ITIMER_REAL, &t, NULL));
	most = 1000000 + victim_now_ms();
	CHECK_SYS(setitimer(ITIMER_PROF, &cpu, NULL));
	victim_sleep_ms(EARLY);
	victim_ready();
	most -= victim_now_ms();
	left = remaining(ITIMER_REAL);
	least = 1000000 + before - victim_now_ms();
	CHECK_EQ(alarms, 0);
	/* By the pod's own clock it went down all the time. */
	if (left < least - EARLY / 2 || left > most + EARLY / 2)
		VICTIM_FAIL("%lld ms are left, not %lld to %lld", (long long)left, (long long)least,
			    (long long)most);
	t = (struct itimerval){ { 0, 0 }, { 0, 0 } };
	CHECK_SYS(getitimer(ITIMER_PROF, &t));
	CHECK_EQ(t.it_interval.tv_sec, 3);
	CHECK_EQ(t.it_interval.tv_usec, 500000);
	while (!profiled)
		;
	CHECK_EQ(remaining(ITIMER_VIRTUAL), 0);
	victim_join(pid);
	victim_pass();
}
