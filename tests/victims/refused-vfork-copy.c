/* SPDX-License-Identifier: Apache-2.0 */
/* A parent that waits as in vfork(2) for a child with memory of its own (CLONE_VFORK alone). Refused soon, and nothing hangs. */
/* refused: pid 2 (refused-vfork-c): it is in the middle of vfork and cannot be stopped before its child executes a program or ends; try again */
#include "tests/victims/victim.h"

#include <sched.h>

int main(void)
{
	long pid = CHECK_SYS(syscall(SYS_clone, CLONE_VFORK | SIGCHLD, 0, 0, 0, 0));
	int status;

	if (!pid) {
		victim_ready();
		_exit(7);
	}
	CHECK_EQ(waitpid((pid_t)pid, &status, 0), (pid_t)pid);
	CHECK_EQ(WEXITSTATUS(status), 7);
	victim_pass();
}
