// SPDX-License-Identifier: Apache-2.0
/* build: -pthread -lrt */
/* A timer that signals one thread, and one of the C library that runs a function in a thread. */
#include "tests/victims/victim.h"

#include <pthread.h>

static volatile int up, fired, called;
static timer_t by_function;

static void on_call(union sigval v)
{
	called += v.sival_int;
}

static void *work(void *arg)
{
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1 };
	struct itimerspec t = { { 0, 0 }, { 900, 0 } };
	siginfo_t info;
	timer_t id;
	sigset_t set;

	event._sigev_un._tid = gettid();
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	CHECK_SYS(timer_create(CLOCK_MONOTONIC, &event, &id));
	CHECK_SYS(timer_settime(id, 0, &t, NULL));
	up = 1;
	victim_wait();
	CHECK_SYS(timer_gettime(id, &t));
	CHECK(t.it_value.tv_sec > 800 && t.it_value.tv_sec < 900);
	t.it_value = (struct timespec){ 0, 1000000 };
	CHECK_SYS(timer_settime(id, 0, &t, NULL));
	CHECK_EQ(sigwaitinfo(&set, &info), SIGUSR1);
	fired = 1;
	return arg;
}

int main(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_THREAD, .sigev_value.sival_int = 5,
				  .sigev_notify_function = on_call };
	struct itimerspec t = { { 0, 0 }, { 0, 2000000 } };
	pthread_t thread;
	sigset_t set;

	/* Only the thread that waits for it may get it. */
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	CHECK_SYS(timer_create(CLOCK_MONOTONIC, &event, &by_function));
	CHECK_EQ(pthread_create(&thread, NULL, work, NULL), 0);
	VICTIM_UNTIL(up);
	victim_ready();
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK(fired);
	CHECK_EQ(called, 0);
	CHECK_SYS(timer_settime(by_function, 0, &t, NULL));
	VICTIM_UNTIL(called == 5);
	victim_pass();
}
