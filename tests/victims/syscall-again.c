// SPDX-License-Identifier: Apache-2.0
/* Sleeps that were interrupted before the checkpoint, by a stop: the kernel shows them as restart_syscall. */
#include "tests/victims/victim.h"

#include <linux/futex.h>
#include <poll.h>

#define SPAN 6000
#define EARLY 2000 /* ms of it are over before the first checkpoint: what begins anew is late by them */
#define N 6

static const volatile int64_t *stalls;
static uint32_t word;
static int fds[2];

static void child(void *arg)
{
	struct timespec t = { SPAN / 1000, 0 };
	struct pollfd p = { fds[0], POLLIN, 0 };
	int64_t began = victim_now_ms(), passed;

	switch ((intptr_t)arg) {
	case 0:
		CHECK_EQ(syscall(SYS_nanosleep, &t, NULL), 0);
		break;
	case 1:
		CHECK_EQ(syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &t, &t), 0);
		break;
	case 2:
		CHECK_EQ(syscall(SYS_poll, &p, 1, SPAN), 0);
		break;
	case 3:
		CHECK_ERRNO(syscall(SYS_futex, &word, FUTEX_WAIT, 0, &t, NULL, 0), ETIMEDOUT);
		break;
	case 4:
		CHECK_SYS(clock_gettime(CLOCK_MONOTONIC, &t));
		t.tv_sec += SPAN / 1000;
		CHECK_ERRNO(syscall(SYS_futex, &word, FUTEX_WAIT_BITSET, 0, &t, NULL,
				    FUTEX_BITSET_MATCH_ANY), ETIMEDOUT);
		break;
	case 5: /* no limit at all */
		CHECK_EQ(syscall(SYS_poll, &p, 1, -1), 1);
		return;
	}
	passed = victim_now_ms() - began;
	if (passed < SPAN - 1 || passed > SPAN + EARLY - 500 + *stalls)
		VICTIM_FAIL("call %d took %lld ms", (int)(intptr_t)arg, (long long)passed);
}

int main(void)
{
	pid_t pids[N];
	int status;

	stalls = victim_watch_stalls();
	CHECK_SYS(pipe(fds));
	for (intptr_t i = 0; i < N; i++)
		pids[i] = victim_fork(child, (void *)i);
	victim_sleep_ms(100);
	for (int i = 0; i < N; i++) {
		CHECK_SYS(kill(pids[i], SIGSTOP));
		CHECK_EQ(waitpid(pids[i], &status, WUNTRACED), pids[i]);
		CHECK_SYS(kill(pids[i], SIGCONT));
		CHECK_EQ(waitpid(pids[i], &status, WCONTINUED), pids[i]);
	}
	victim_sleep_ms(EARLY);
	victim_ready();
	for (int i = 0; i < 5; i++)
		victim_join(pids[i]);
	CHECK_EQ(write(fds[1], "x", 1), 1);
	victim_join(pids[5]);
	victim_pass();
}
