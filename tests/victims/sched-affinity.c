// SPDX-License-Identifier: Apache-2.0
/* build: -pthread */
/* needs: [ "$(nproc)" -gt 1 ] */
/* A thread that is bound to one CPU, and one that may run anywhere. */
#include "tests/victims/victim.h"

#include <pthread.h>
#include <sched.h>

static cpu_set_t all;
static volatile int up;

static void *work(void *arg)
{
	cpu_set_t now;

	up = 1;
	victim_wait();
	CHECK_SYS(sched_getaffinity(0, sizeof(now), &now));
	CHECK(CPU_EQUAL(&now, &all));
	return arg;
}

int main(void)
{
	cpu_set_t one, now;
	pthread_t thread;
	int cpu = 0;

	CHECK_SYS(sched_getaffinity(0, sizeof(all), &all));
	CHECK_EQ(pthread_create(&thread, NULL, work, NULL), 0);
	VICTIM_UNTIL(up);
	for (int i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, &all))
			cpu = i; /* the last one */
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	CHECK_SYS(sched_setaffinity(0, sizeof(one), &one));
	victim_ready();
	CHECK_SYS(sched_getaffinity(0, sizeof(now), &now));
	CHECK(CPU_EQUAL(&now, &one));
	CHECK_EQ(sched_getcpu(), cpu);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	victim_pass();
}
