// SPDX-License-Identifier: Apache-2.0
/* build: -pthread */
/* Restartable sequences: registered with the C library's area; the kernel goes on writing the CPU to it. */
#include "tests/victims/victim.h"

#include <pthread.h>
#include <sched.h>
#include <sys/rseq.h>

static volatile int up;

static struct rseq *area(void)
{
	return (struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset);
}

static void check(void)
{
	int moved = 0;

	/* Still registered: neither can it be registered elsewhere, nor does the CPU number stand still. */
	static __thread struct rseq other __attribute__((aligned(64)));
	cpu_set_t all, one;

	CHECK_ERRNO(syscall(SYS_rseq, &other, 32, 0, RSEQ_SIG), EINVAL);
	CHECK_SYS(sched_getaffinity(0, sizeof(all), &all));
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &all))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		CHECK_SYS(sched_setaffinity(0, sizeof(one), &one));
		CHECK_EQ(*(volatile uint32_t *)&area()->cpu_id, (uint32_t)cpu);
		moved++;
	}
	CHECK(moved > 0);
}

static void *work(void *arg)
{
	CHECK(area()->cpu_id < CPU_SETSIZE);
	up = 1;
	victim_wait();
	check();
	return arg;
}

int main(void)
{
	pthread_t thread;

	CHECK(__rseq_size > 0);
	CHECK_EQ(pthread_create(&thread, NULL, work, NULL), 0);
	VICTIM_UNTIL(up);
	victim_ready();
	check();
	CHECK_EQ(pthread_join(thread, NULL), 0);
	victim_pass();
}
