/* SPDX-License-Identifier: Apache-2.0 */
/* POSIX timers of threads of which nobody can tell which, or that have ended. */
/* build: -pthread -lrt */
/* refused: pid 2 (refused-timers): its timer 0 counts the CPU time of one of several threads, and of which the kernel does not tell (CLOCK_THREAD_CPUTIME_ID), so it is not carried; pthread_getcpuclockid(3) gives a clock that does */
/* refused: pid 2 (refused-timers): its timer 1 counts the CPU time of a thread that has ended, which is not carried; delete it first */
/* refused: pid 2 (refused-timers): its timer 2 signals a thread that has ended, which is not carried; delete it first */
#include "tests/victims/victim.h"

#include <pthread.h>

static void *make(void *arg)
{
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1 };
	clockid_t mine;
	timer_t *ids = arg;

	event._sigev_un._tid = gettid();
	CHECK_EQ(pthread_getcpuclockid(pthread_self(), &mine), 0);
	CHECK_SYS(timer_create(CLOCK_THREAD_CPUTIME_ID, NULL, &ids[0]));
	CHECK_SYS(timer_create(mine, NULL, &ids[1]));
	CHECK_SYS(timer_create(CLOCK_MONOTONIC, &event, &ids[2]));
	return NULL;
}

static void *wait_on(void *arg)
{
	victim_wait();
	return arg;
}

int main(void)
{
	pthread_t maker, other;
	timer_t ids[3];

	CHECK_EQ(pthread_create(&maker, NULL, make, ids), 0);
	CHECK_EQ(pthread_join(maker, NULL), 0);
	CHECK_EQ(pthread_create(&other, NULL, wait_on, NULL), 0);
	victim_ready();
	CHECK_EQ(pthread_join(other, NULL), 0);
	for (int i = 0; i < 3; i++)
		CHECK_SYS(timer_delete(ids[i]));
	victim_pass();
}
