/* SPDX-License-Identifier: Apache-2.0 */
/* needs: grep -qv '^|' /proc/sys/kernel/core_pattern */
/* refused: pid 3 (tree-core): a zombie that dumped core is not carried; its parent should wait for it */
/* A zombie whose status says that it dumped core. */
#include "victim.h"

#include <sys/resource.h>

int main(void)
{
	const struct rlimit no_limit = { RLIM_INFINITY, RLIM_INFINITY };
	siginfo_t info;
	pid_t pid;
	int status;

	CHECK_SYS(chdir("/run"));
	CHECK_SYS(setrlimit(RLIMIT_CORE, &no_limit));
	pid = CHECK_SYS(fork());
	if (!pid)
		raise(SIGABRT);
	CHECK_SYS(waitid(P_PID, pid, &info, WEXITED | WNOWAIT));
	CHECK_EQ(info.si_code, CLD_DUMPED);
	victim_ready();
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WCOREDUMP(status));
	victim_pass();
}
