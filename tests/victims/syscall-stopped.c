// SPDX-License-Identifier: Apache-2.0
/* A process that was stopped (SIGSTOP) in a sleep stays stopped, and sleeps on until its time when it continues. */
#include "tests/victims/victim.h"

#define SPAN 6000
#define EARLY 2000 /* ms of it are over before the first checkpoint */

static int64_t *continued; /* when they were set going */

static void child(void *arg)
{
	struct timespec t = { SPAN / 1000, 0 };
	int64_t began = victim_now_ms(), passed;

	if (arg)
		CHECK_EQ(syscall(SYS_poll, NULL, 0, SPAN), 0);
	else
		CHECK_EQ(syscall(SYS_nanosleep, &t, NULL), 0);
	passed = victim_now_ms() - began;
	/* What begins anew takes the whole span from then on. */
	if (passed < SPAN - 1 || passed > *continued - began + SPAN - 500)
		VICTIM_FAIL("it slept %lld ms, and was set going after %lld", (long long)passed,
			    (long long)(*continued - began));
}

int main(void)
{
	pid_t pids[2];
	int status;

	continued = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(continued != MAP_FAILED);
	for (int i = 0; i < 2; i++)
		pids[i] = victim_fork(child, i ? "" : NULL);
	victim_sleep_ms(EARLY);
	for (int i = 0; i < 2; i++) {
		CHECK_SYS(kill(pids[i], SIGSTOP));
		CHECK_EQ(waitpid(pids[i], &status, WUNTRACED), pids[i]);
		CHECK(WIFSTOPPED(status));
	}
	victim_ready();
	for (int i = 0; i < 2; i++) {
		/* Still stopped, and told of only once. */
		CHECK_EQ(waitpid(pids[i], &status, WUNTRACED | WNOHANG), 0);
		*continued = victim_now_ms();
		CHECK_SYS(kill(pids[i], SIGCONT));
		victim_join(pids[i]);
	}
	victim_pass();
}
