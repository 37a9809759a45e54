/* SPDX-License-Identifier: Apache-2.0 */
/* run: --cap-add sys_ptrace --seccomp unconfined */
/* refused: pid 3 (tree-traced): another program (a debugger, strace) is tracing it; end that first */
/* A process that another one of the pod traces. */
#include "victim.h"

#include <sys/ptrace.h>

int main(void)
{
	pid_t pid = victim_fork((void (*)(void *))(void (*)(void))victim_wait, NULL);

	CHECK_SYS(ptrace(PTRACE_SEIZE, pid, 0, 0));
	victim_ready();
	victim_join(pid);
	victim_pass();
}
