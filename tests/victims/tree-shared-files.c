/* SPDX-License-Identifier: Apache-2.0 */
/* refused: pid 4 (tree-shared-fil): it shares its descriptor table with pid 3, which is not carried */
/* refused: pid 6 (tree-shared-fil): it shares its working directory with pid 2, which is not carried */
/* Processes that share a descriptor table (two siblings) or their working directory. */
#include "victim.h"

#include <sched.h>

static pid_t child(int flags)
{
	pid_t pid = CHECK_SYS(syscall(SYS_clone, SIGCHLD | flags, 0, 0, 0, 0));

	if (pid)
		return pid;
	victim_wait();
	_exit(0);
}

int main(void)
{
	pid_t first = CHECK_SYS(fork()), fs;

	if (!first) {
		pid_t a = child(CLONE_FILES | CLONE_PARENT);

		(void)a;
		victim_wait();
		_exit(0);
	}
	VICTIM_UNTIL(access("/proc/4", F_OK) == 0);
	CHECK_EQ(child(0), 5);
	fs = child(CLONE_FS);
	CHECK_EQ(fs, 6);
	victim_ready();
	for (int i = 0; i < 4; i++)
		CHECK_SYS(wait(NULL));
	victim_pass();
}
