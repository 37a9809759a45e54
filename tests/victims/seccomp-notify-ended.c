// SPDX-License-Identifier: Apache-2.0
/* run: --seccomp unconfined */
/* refused at the stop: pid 3 (seccomp-notify-): its seccomp filter asks a supervisor (SECCOMP_RET_USER_NOTIF), which is not carried */
/* A filter that asks a supervisor that has ended. */
#include "tests/victims/notify.h"

static void child(void *arg)
{
	int fd = notify_listen();

	CHECK_SYS(close(fd));
	*(int *)arg = 1;
	victim_wait();
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
