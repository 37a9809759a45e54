/* SPDX-License-Identifier: Apache-2.0 */
/* build: -pthread */
/* A hundred threads, each with its own number, stack, thread-local data and errno. */
#include "victim.h"

#include <pthread.h>

#ifndef N_THREADS
#define N_THREADS 100
#endif

static __thread int mine;
static int ready, over;

static void *work(void *arg)
{
	int number = (int)(intptr_t)arg, local = number * 3;
	pid_t tid = (pid_t)syscall(SYS_gettid);

	mine = number;
	errno = number;
	__atomic_fetch_add(&ready, 1, __ATOMIC_SEQ_CST);
	while (!__atomic_load_n(&over, __ATOMIC_SEQ_CST)) {
		int e = errno;

		syscall(SYS_futex, &over, 0 /* FUTEX_WAIT */, 0, NULL, NULL, 0);
		errno = e;
	}
	CHECK_EQ(errno, number);
	CHECK_EQ(mine, number);
	CHECK_EQ(local, number * 3);
	CHECK_EQ(syscall(SYS_gettid), tid);
	return (void *)(intptr_t)number;
}

int main(void)
{
	static pthread_t threads[N_THREADS];
	pthread_attr_t attr;

	CHECK_EQ(pthread_attr_init(&attr), 0);
	CHECK_EQ(pthread_attr_setstacksize(&attr, 64 << 10), 0);
	for (int i = 0; i < N_THREADS; i++)
		CHECK_EQ(pthread_create(&threads[i], &attr, work, (void *)(intptr_t)(i + 1)), 0);
	VICTIM_UNTIL(__atomic_load_n(&ready, __ATOMIC_SEQ_CST) == N_THREADS);
	victim_ready();
	__atomic_store_n(&over, 1, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, &over, 1 /* FUTEX_WAKE */, INT32_MAX, NULL, NULL, 0);
	for (int i = 0; i < N_THREADS; i++) {
		void *number;

		CHECK_EQ(pthread_join(threads[i], &number), 0);
		CHECK_EQ((intptr_t)number, i + 1);
	}
	victim_pass();
}
