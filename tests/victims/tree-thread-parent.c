/* SPDX-License-Identifier: Apache-2.0 */
/* build: -pthread */
/*
 * The children of a thread: alive and zombie. That it is the thread's shows in __WNOTHREAD and in
 * the parent-death signal, which comes when the thread ends.
 */
#include "victim.h"

#include <pthread.h>
#include <sys/prctl.h>

#ifndef __WNOTHREAD
#define __WNOTHREAD 0x20000000
#endif

static pid_t alive, zombie, tied;
static int stage;

static pid_t child(int ends, int tied_to)
{
	pid_t pid = CHECK_SYS(fork());

	if (pid)
		return pid;
	if (tied_to)
		CHECK_SYS(prctl(PR_SET_PDEATHSIG, SIGTERM));
	if (ends)
		_exit(42);
	victim_wait();
	if (tied_to)
		for (;;)
			pause();
	_exit(0);
}

static void *parent(void *arg)
{
	siginfo_t info;
	int status;

	alive = child(0, 0);
	zombie = child(1, 0);
	tied = child(0, 1);
	CHECK_SYS(waitid(P_PID, zombie, &info, WEXITED | WNOWAIT));
	victim_sleep_ms(50);
	__atomic_store_n(&stage, 1, __ATOMIC_SEQ_CST);
	victim_wait();
	while (__atomic_load_n(&stage, __ATOMIC_SEQ_CST) != 2)
		victim_sleep_ms(5);
	CHECK_EQ(waitpid(zombie, &status, __WNOTHREAD), zombie);
	CHECK_EQ(status, 42 << 8);
	CHECK_EQ(waitpid(alive, &status, __WNOTHREAD), alive);
	return NULL;
}

int main(void)
{
	pthread_t thread;
	int status;

	CHECK_EQ(pthread_create(&thread, NULL, parent, NULL), 0);
	VICTIM_UNTIL(__atomic_load_n(&stage, __ATOMIC_SEQ_CST) == 1);
	victim_ready();
	CHECK_ERRNO(waitpid(zombie, NULL, __WNOTHREAD | WNOHANG), ECHILD);
	CHECK_ERRNO(waitpid(alive, NULL, __WNOTHREAD | WNOHANG), ECHILD);
	CHECK_EQ(waitpid(tied, NULL, WNOHANG), 0);
	__atomic_store_n(&stage, 2, __ATOMIC_SEQ_CST);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(waitpid(tied, &status, 0), tied);
	CHECK_EQ(status, SIGTERM);
	victim_pass();
}
