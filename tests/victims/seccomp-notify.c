// SPDX-License-Identifier: Apache-2.0
/* run: --seccomp unconfined */
/* refused: pid 3 (seccomp-notify) fd 3: a listener of seccomp notifications is not carried; end the supervised program first */
/* A filter that asks a supervisor. */
#include "tests/victims/notify.h"

static void child(void *arg)
{
	int fd = notify_listen();

	*(int *)arg = 1;
	victim_wait();
	CHECK_SYS(close(fd));
	CHECK_ERRNO(syscall(SYS_getpgrp), ENOSYS);
}

int main(void)
{
	int *up = CHECK_SYS(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	pid_t pid;

	pid = victim_fork(child, up);
	VICTIM_UNTIL(*up);
	victim_ready();
	victim_join(pid);
	victim_pass();
}
