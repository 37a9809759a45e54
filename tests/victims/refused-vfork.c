/* SPDX-License-Identifier: Apache-2.0 */
/* A child of vfork(2) that neither ends nor execs: its parent cannot be stopped. Refused soon, and nothing hangs. */
/* refused: pid 2 (refused-vfork): it is in the middle of vfork and cannot be stopped before its child executes a program or ends; try again */
/* refused: pid 3 (refused-vfork): it shares its address space with pid 2, which is not carried (a vfork in progress? try again) */
#include "tests/victims/victim.h"

int main(void)
{
	pid_t pid = CHECK_SYS(vfork());

	if (!pid) {
		victim_ready();
		_exit(7);
	}
	int status;

	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(WEXITSTATUS(status), 7);
	victim_pass();
}
