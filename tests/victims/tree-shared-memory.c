/* SPDX-License-Identifier: Apache-2.0 */
/* refused: pid 3 (tree-shared-mem): it shares its address space with pid 2, which is not carried (a vfork in progress? try again) */
/* Processes that share their memory without being threads of one another. */
#include "victim.h"

#include <sched.h>

static char stack[64 << 10] __attribute__((aligned(16)));
static int seen;

static int work(void *arg)
{
	while (!__atomic_load_n(&seen, __ATOMIC_SEQ_CST))
		syscall(SYS_futex, &seen, 0, 0, NULL, NULL, 0);
	return 7;
}

int main(void)
{
	pid_t pid = CHECK_SYS(clone(work, stack + sizeof(stack), CLONE_VM | SIGCHLD, NULL));
	int status;

	victim_ready();
	__atomic_store_n(&seen, 1, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, &seen, 1, 1, NULL, NULL, 0);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 7 << 8);
	victim_pass();
}
