// SPDX-License-Identifier: Apache-2.0
/* build: -pthread */
/* Threads with masks of their own, and a signal pending for each of them. */
#include "tests/victims/victim.h"

#include <pthread.h>

#define N 8
static volatile int up;

static void *work(void *arg)
{
	int own = SIGRTMIN + 1 + (int)(intptr_t)arg;
	struct timespec none = { 0 };
	siginfo_t info;
	sigset_t set, now;

	sigemptyset(&set);
	sigaddset(&set, own);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_SETMASK, &set, NULL);
	pthread_kill(pthread_self(), own);
	pthread_sigqueue(pthread_self(), own, (union sigval){ .sival_int = own * 3 });
	__atomic_add_fetch(&up, 1, __ATOMIC_SEQ_CST);
	victim_wait();
	pthread_sigmask(SIG_SETMASK, NULL, &now);
	for (int sig = 1; sig < 65; sig++)
		CHECK_EQ(sigismember(&now, sig), sig == own || sig == SIGUSR1);
	CHECK_EQ(sigtimedwait(&now, &info, &none), own);
	CHECK_EQ(info.si_pid, getpid());
	CHECK_EQ(sigtimedwait(&now, &info, &none), own);
	CHECK_EQ(info.si_value.sival_int, own * 3);
	CHECK_ERRNO(sigtimedwait(&now, &info, &none), EAGAIN);
	return NULL;
}

int main(void)
{
	pthread_t threads[N];

	for (intptr_t i = 0; i < N; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, work, (void *)i), 0);
	VICTIM_UNTIL(up == N);
	victim_ready();
	for (int i = 0; i < N; i++)
		CHECK_EQ(pthread_join(threads[i], NULL), 0);
	victim_pass();
}
