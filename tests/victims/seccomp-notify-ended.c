// SPDX-License-Identifier: Apache-2.0
/* run: --seccomp unconfined */
/* refused at the stop: pid 3 (seccomp-notify-): its seccomp filter asks a supervisor (SECCOMP_RET_USER_NOTIF), which is not carried */
/* A filter that asks a supervisor that has ended. */
#include "tests/victims/victim.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>

static void child(void *arg)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getpgrp, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(code) / sizeof(code[0]), code };

	int fd = CHECK_SYS(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
				   SECCOMP_FILTER_FLAG_NEW_LISTENER, &program));

	CHECK_SYS(close(fd));
	*(int *)arg = 1;
	victim_wait();
	CHECK_ERRNO(syscall(SYS_getpgrp), ENOSYS);
}

int main(void)
{
	int *up = CHECK_SYS(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	pid_t pid;

	CHECK_SYS(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	pid = victim_fork(child, up);
	VICTIM_UNTIL(*up);
	victim_ready();
	victim_join(pid);
	victim_pass();
}
