// SPDX-License-Identifier: Apache-2.0
/* run: --net none -v /proc/timer_list:/mnt/timer_list:ro */
/* restore: -v /proc/timer_list:/mnt/timer_list:ro */
/*
 * POSIX timers of the wall clock: one that is set to a time of day keeps it, one that is set to a span
 * goes on with what remains, whatever the wall clock does. The kernel's list shows which it is.
 */
#include "tests/victims/victim.h"

/* Is a timer for this moment in the kernel's list of the wall clock? */
static bool listed(int64_t expires)
{
	FILE *f = fopen("/mnt/timer_list", "re");
	char line[256], want[64];
	bool wall = false, found = false;
	int clock;

	if (!f)
		VICTIM_FAIL("%s", strerror(errno));
	snprintf(want, sizeof(want), "expires at %lld-", (long long)expires);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, " clock %d:", &clock) == 1)
			wall = clock % 4 == 1;
		found |= wall && strstr(line, want);
	}
	fclose(f);
	return found;
}

static int64_t now(void)
{
	struct timespec t;

	CHECK_SYS(clock_gettime(CLOCK_REALTIME, &t));
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static struct itimerspec after(int64_t ns)
{
	return (struct itimerspec){ { 0, 0 }, { ns / 1000000000, ns % 1000000000 } };
}

int main(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN };
	int64_t far = now() + 1000000000123, soon = now() + 6000000000;
	struct itimerspec to_far = after(far), to_soon = after(soon), span = after(500000000123), left;
	timer_t timers[3];
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	CHECK_SYS(sigprocmask(SIG_BLOCK, &set, NULL));
	for (int i = 0; i < 3; i++)
		CHECK_SYS(timer_create(CLOCK_REALTIME, &event, &timers[i]));
	CHECK_SYS(timer_settime(timers[0], TIMER_ABSTIME, &to_far, NULL));
	CHECK_SYS(timer_settime(timers[1], TIMER_ABSTIME, &to_soon, NULL));
	CHECK_SYS(timer_settime(timers[2], 0, &span, NULL));
	CHECK(listed(far));
	victim_ready();
	CHECK(listed(far));
	CHECK_SYS(timer_gettime(timers[2], &left));
	CHECK(!listed(now() + left.it_value.tv_sec * 1000000000LL + left.it_value.tv_nsec));
	CHECK(left.it_value.tv_sec > 400 && left.it_value.tv_sec < 500);
	CHECK_EQ(sigwaitinfo(&set, NULL), SIGRTMIN);
	CHECK(now() >= soon);
	victim_pass();
}
