/* SPDX-License-Identifier: Apache-2.0 */
/* build: -pthread */
/* run: --cap-add sys_admin --seccomp unconfined */
/* refused: pid 3 (tree-namespaces): it is in a mnt namespace of its own, which is not carried */
/* refused: pid 4 (tree-namespaces): it is in a net namespace of its own, which is not carried */
/* refused: pid 5 (tree-namespaces): it is in a ipc namespace of its own, which is not carried */
/* refused: pid 6 (tree-namespaces): it is in a uts namespace of its own, which is not carried */
/* refused: pid 7 (tree-namespaces): it is in a cgroup namespace of its own, which is not carried */
/* refused: pid 8 (tree-namespaces): it is in a pid namespace of its own, which is not carried */
/* refused: pid 9 (tree-namespaces): it is in a time namespace of its own, which is not carried */
/* refused: pid 10 (tree-namespaces): a thread of it is in a net namespace of its own, which is not carried */
/* Namespaces that a process has made, for itself, for its children, or for one thread. */
#include "victim.h"

#include <pthread.h>
#include <sched.h>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif

static int *ready;

static void say_ready(void)
{
	__atomic_fetch_add(ready, 1, __ATOMIC_SEQ_CST);
	victim_wait();
}

static void *work(void *arg)
{
	CHECK_SYS(unshare(CLONE_NEWNET));
	say_ready();
	return NULL;
}

static void child(int flag)
{
	if (CHECK_SYS(fork()))
		return;
	if (flag) {
		CHECK_SYS(unshare(flag));
		say_ready();
	} else {
		pthread_t thread;

		CHECK_EQ(pthread_create(&thread, NULL, work, NULL), 0);
		CHECK_EQ(pthread_join(thread, NULL), 0);
	}
	_exit(0);
}

int main(void)
{
	static const int flags[] = { CLONE_NEWNS, CLONE_NEWNET, CLONE_NEWIPC, CLONE_NEWUTS,
				     CLONE_NEWCGROUP, CLONE_NEWPID, CLONE_NEWTIME, 0 };

	ready = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(ready != MAP_FAILED);
	for (int i = 0; i < 8; i++)
		child(flags[i]);
	VICTIM_UNTIL(__atomic_load_n(ready, __ATOMIC_SEQ_CST) == 8);
	victim_ready();
	for (int i = 0; i < 8; i++)
		CHECK_SYS(wait(NULL));
	victim_pass();
}
