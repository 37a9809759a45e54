// SPDX-License-Identifier: Apache-2.0
/* run: --cap-add sys_nice */
/* Scheduling policies: batch, idle, real time, deadline. */
#include "tests/victims/victim.h"

#include <sched.h>

struct attr {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};

static struct attr cases[] = {
	{ .policy = SCHED_BATCH, .nice = 7 },
	{ .policy = SCHED_IDLE },
	{ .policy = SCHED_FIFO, .priority = 3 },
	{ .policy = SCHED_RR, .priority = 9, .flags = 1 /* reset on fork */ },
	{ .policy = 6, .runtime = 2000000, .deadline = 50000000, .period = 100000000 },
};
#define N (sizeof(cases) / sizeof(cases[0]))

static int up[2];

static void child(void *arg)
{
	struct attr *want = arg, now = { .size = sizeof(now) };

	want->size = sizeof(*want);
	/* With real-time groups in the kernel a new cgroup has no real-time budget; a deadline wants all CPUs: EPERM then. */
	if (syscall(SYS_sched_setattr, 0, want, 0) < 0) {
		CHECK(errno == EPERM && (want->priority || want->runtime));
		return;
	}
	CHECK_SYS(close(up[1]));
	victim_wait();
	CHECK_SYS(syscall(SYS_sched_getattr, 0, &now, sizeof(now), 0));
	CHECK_EQ(now.policy, want->policy);
	CHECK_EQ(now.nice, want->nice);
	CHECK_EQ(now.priority, want->priority);
	CHECK_EQ(now.flags, want->flags);
	if (want->runtime) {
		CHECK_EQ(now.runtime, want->runtime);
		CHECK_EQ(now.deadline, want->deadline);
		CHECK_EQ(now.period, want->period);
	}
}

int main(void)
{
	pid_t pids[N];
	char c;

	CHECK_SYS(pipe(up));
	for (size_t i = 0; i < N; i++)
		pids[i] = victim_fork(child, &cases[i]);
	CHECK_SYS(close(up[1]));
	CHECK_EQ(read(up[0], &c, 1), 0); /* all have set theirs */
	victim_ready();
	for (size_t i = 0; i < N; i++)
		victim_join(pids[i]);
	victim_pass();
}
