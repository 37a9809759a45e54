// SPDX-License-Identifier: Apache-2.0
/* build: -pthread */
/* Names of threads, as people see them in top, with characters that are special somewhere. */
#include "tests/victims/victim.h"

#include <pthread.h>

static const char *const names[] = { "worker) R 1 (", "\xff\xfe\"\\", "fifteen letters", "" };
#define N (sizeof(names) / sizeof(names[0]))
static volatile int up;

static void *work(void *arg)
{
	const char *name = arg;
	char now[16];

	CHECK_EQ(pthread_setname_np(pthread_self(), name), 0);
	__atomic_add_fetch(&up, 1, __ATOMIC_SEQ_CST);
	victim_wait();
	CHECK_EQ(pthread_getname_np(pthread_self(), now, sizeof(now)), 0);
	CHECK_STR(now, name);
	return NULL;
}

int main(void)
{
	pthread_t threads[N];
	char now[16];

	for (size_t i = 0; i < N; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, work, (void *)names[i]), 0);
	VICTIM_UNTIL(up == N);
	victim_ready();
	CHECK_EQ(pthread_getname_np(pthread_self(), now, sizeof(now)), 0);
	CHECK_STR(now, "thread-names");
	for (size_t i = 0; i < N; i++)
		CHECK_EQ(pthread_join(threads[i], NULL), 0);
	victim_pass();
}
