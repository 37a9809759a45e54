// SPDX-License-Identifier: Apache-2.0
/* build: -pthread */
/* Nice values and I/O priorities, which are of each thread. */
#include "tests/victims/victim.h"

#include <linux/ioprio.h>
#include <pthread.h>
#include <sys/resource.h>

static volatile int up;

static void *work(void *arg)
{
	CHECK_SYS(setpriority(PRIO_PROCESS, gettid(), 17));
	up = 1;
	victim_wait();
	CHECK_EQ(getpriority(PRIO_PROCESS, gettid()), 17);
	CHECK_EQ(syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, 0), 0);
	return arg;
}

int main(void)
{
	pthread_t thread;

	CHECK_EQ(pthread_create(&thread, NULL, work, NULL), 0);
	VICTIM_UNTIL(up);
	CHECK_SYS(setpriority(PRIO_PROCESS, 0, 5));
	CHECK_SYS(syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0,
			  IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, 6)));
	victim_ready();
	CHECK_EQ(getpriority(PRIO_PROCESS, 0), 5);
	CHECK_EQ(syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, 0),
		 IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, 6));
	CHECK_EQ(pthread_join(thread, NULL), 0);
	victim_pass();
}
