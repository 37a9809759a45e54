// SPDX-License-Identifier: Apache-2.0
/* refused at the stop: pid 3 (refused-dispatc): its system calls are dispatched to itself (PR_SET_SYSCALL_USER_DISPATCH), which is not carried */
/* A process that has its system calls sent to a handler of its own, as emulators do. */
#include "tests/victims/victim.h"

#include <sys/prctl.h>

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#define PR_SYS_DISPATCH_ON 1
#endif

static volatile char selector; /* 1: they are sent */
static volatile sig_atomic_t sent;

static void handler(int sig)
{
	selector = 0;
	sent = sent + 1;
}

/* Spins: no call that could be sent. */
static void child(void *arg)
{
	volatile int *state = arg;

	CHECK(signal(SIGSYS, handler) != SIG_ERR);
	CHECK_SYS(prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, 0, 0, &selector));
	selector = 1;
	*state = 1;
	while (*state != 2)
		;
	CHECK_EQ(sent, 0);
	syscall(SYS_getpid);
	CHECK_EQ(sent, 1);
}

int main(void)
{
	volatile int *state = CHECK_SYS(
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	pid_t pid = victim_fork(child, (void *)state);

	VICTIM_UNTIL(*state == 1);
	victim_ready();
	*state = 2;
	victim_join(pid);
	victim_pass();
}
