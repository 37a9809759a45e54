// SPDX-License-Identifier: Apache-2.0
/* build: -pthread */
/* Addresses that threads gave to the kernel: pthread_join works by the tid address, robust mutexes by the list. */
#include "tests/victims/victim.h"

#include <pthread.h>

static pthread_mutex_t mutex;
static volatile int locked;

static void *work(void *arg)
{
	CHECK_EQ(pthread_mutex_lock(&mutex), 0);
	locked = 1;
	victim_wait();
	return arg; /* ends with the mutex locked */
}

int main(void)
{
	size_t len_before, len;
	void *before, *now;
	int *tid_before, *tid_now;
	pthread_mutexattr_t attr;
	pthread_t thread;

	pthread_mutexattr_init(&attr);
	CHECK_EQ(pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST), 0);
	CHECK_EQ(pthread_mutex_init(&mutex, &attr), 0);
	CHECK_EQ(pthread_create(&thread, NULL, work, NULL), 0);
	VICTIM_UNTIL(locked);
	CHECK_SYS(syscall(SYS_get_robust_list, 0, &before, &len_before));
	CHECK_SYS(syscall(SYS_prctl, 40 /* PR_GET_TID_ADDRESS */, &tid_before, 0, 0, 0));
	victim_ready();
	CHECK_SYS(syscall(SYS_get_robust_list, 0, &now, &len));
	CHECK(now == before && len == len_before);
	CHECK_SYS(syscall(SYS_prctl, 40, &tid_now, 0, 0, 0));
	CHECK(tid_now == tid_before);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(pthread_mutex_lock(&mutex), EOWNERDEAD);
	victim_pass();
}
