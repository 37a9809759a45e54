// SPDX-License-Identifier: Apache-2.0
/* run: --seccomp unconfined */
/* Strict mode: only read, write, exit and sigreturn are left, and anything else is death. */
#include "tests/victims/victim.h"

#include <linux/seccomp.h>
#include <sys/prctl.h>

int main(void)
{
	int to[2], from[2], status;
	char c = 'x';
	pid_t pid;

	CHECK_SYS(pipe(to));
	CHECK_SYS(pipe(from));
	pid = CHECK_SYS(fork());
	if (!pid) {
		CHECK_SYS(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT));
		if (syscall(SYS_write, from[1], &c, 1) != 1 || syscall(SYS_read, to[0], &c, 1) != 1 ||
		    syscall(SYS_write, from[1], &c, 1) != 1)
			syscall(SYS_exit, 1);
		syscall(SYS_read, to[0], &c, 1);
		syscall(SYS_getpid);
		syscall(SYS_exit, 2);
	}
	CHECK_EQ(read(from[0], &c, 1), 1);
	victim_ready();
	CHECK_EQ(write(to[1], "y", 1), 1);
	CHECK_EQ(read(from[0], &c, 1), 1);
	CHECK_EQ(c, 'y');
	CHECK_EQ(write(to[1], "z", 1), 1);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFSIGNALED(status));
	CHECK_EQ(WTERMSIG(status), SIGKILL);
	victim_pass();
}
