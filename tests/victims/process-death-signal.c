// SPDX-License-Identifier: Apache-2.0
/* PR_SET_PDEATHSIG: the child learns of its parent's end, also one that has changed its user. */
#include "tests/victims/victim.h"

#include <sys/prctl.h>

static int *told;

static void on_signal(int sig)
{
	__atomic_add_fetch(&told[sig == SIGUSR1], 1, __ATOMIC_SEQ_CST);
}

static void grandchild(void *arg)
{
	if (arg)
		CHECK_SYS(setuid(1234));
	signal(SIGUSR1, on_signal);
	signal(SIGUSR2, on_signal);
	CHECK_SYS(prctl(PR_SET_PDEATHSIG, arg ? SIGUSR1 : SIGUSR2));
	__atomic_add_fetch(&told[2], 1, __ATOMIC_SEQ_CST);
	for (;;)
		pause();
}

static void child(void *arg)
{
	(void)arg;
	victim_fork(grandchild, NULL);
	victim_fork(grandchild, "");
	victim_wait();
}

int main(void)
{
	pid_t pid;

	told = CHECK_SYS(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	pid = victim_fork(child, NULL);
	VICTIM_UNTIL(told[2] == 2);
	victim_ready();
	victim_join(pid);
	VICTIM_UNTIL(told[0] == 1 && told[1] == 1);
	kill(-1, SIGKILL);
	victim_pass();
}
