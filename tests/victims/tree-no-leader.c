/* SPDX-License-Identifier: Apache-2.0 */
/* build: -pthread */
/* refused: pid 2 (tree-no-leader): its main thread has ended before the others, which is not carried */
/* A process whose main thread has ended. */
#include "victim.h"

#include <pthread.h>

static void *work(void *arg)
{

	/* The main thread is gone, and with it what /proc/PID shows of the process. */
	victim_sleep_ms(100);
	victim_ready();
	victim_pass();
}

int main(void)
{
	pthread_t thread;

	CHECK_EQ(pthread_create(&thread, NULL, work, NULL), 0);
	syscall(SYS_exit, 0);
}
