// SPDX-License-Identifier: Apache-2.0
/* build: -lrt */
/* A POSIX timer of the process's CPU time: what remains is not spent by lying in an image. */
#include "tests/victims/victim.h"

static volatile sig_atomic_t fired;

static void on_signal(int sig)
{
	fired = sig;
}

int main(void)
{
	struct itimerspec t = { { 0, 0 }, { 0, 900000000 } };
	timer_t id;

	signal(SIGALRM, on_signal);
	CHECK_SYS(timer_create(CLOCK_PROCESS_CPUTIME_ID, NULL, &id));
	CHECK_SYS(timer_settime(id, 0, &t, NULL));
	victim_ready();
	CHECK_EQ(fired, 0);
	CHECK_SYS(timer_gettime(id, &t));
	CHECK(t.it_value.tv_nsec > 450000000 && t.it_value.tv_nsec < 900000000);
	while (!fired)
		;
	CHECK_EQ(fired, SIGALRM);
	victim_pass();
}
