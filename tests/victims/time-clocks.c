// SPDX-License-Identifier: Apache-2.0
/* The pod's clocks go on without a jump: neither back nor ahead by the time it lay in the image. */
#include "tests/victims/victim.h"

static int64_t now_ms(clockid_t clock)
{
	struct timespec t;

	CHECK_SYS(clock_gettime(clock, &t));
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Between the two clocks; read again where we did not run in between. */
static int64_t difference(void)
{
	int64_t from, boot, to;

	do {
		from = now_ms(CLOCK_MONOTONIC);
		boot = now_ms(CLOCK_BOOTTIME);
		to = now_ms(CLOCK_MONOTONIC);
	} while (to - from > 10);
	return boot - from;
}

static int64_t *last;

/* Notes every 10 ms what the clock says; the parent sees the largest step. */
static void child(void *arg)
{
	(void)arg;
	for (;;) {
		int64_t mono = now_ms(CLOCK_MONOTONIC), boot = now_ms(CLOCK_BOOTTIME);

		if (last[0] && mono - last[0] > last[2])
			last[2] = mono - last[0];
		if (last[0] && (mono < last[0] || boot < last[1]))
			last[3]++;
		last[0] = mono;
		last[1] = boot;
		victim_sleep_ms(10);
	}
}

int main(void)
{
	int64_t before;
	pid_t pid;

	last = CHECK_SYS(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	before = difference();
	pid = victim_fork(child, NULL);
	VICTIM_UNTIL(last[0]);
	victim_ready();
	CHECK_SYS(kill(pid, SIGKILL));
	CHECK_EQ(waitpid(pid, NULL, 0), pid);
	CHECK_EQ(last[3], 0);
	if (last[2] > 30000)
		VICTIM_FAIL("the clock jumped by %lld ms", (long long)last[2]);
	CHECK(llabs(difference() - before) < 50);
	victim_pass();
}
