// SPDX-License-Identifier: Apache-2.0
/* run: --seccomp unconfined */
/* System call filters that a process installed itself, several on top of each other. */
#include "tests/victims/victim.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>

static void deny(int nr, int error, unsigned int flags)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned int)nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned int)error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(code) / sizeof(code[0]), code };

	CHECK_SYS(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program));
}

static void child(void *arg)
{
	(void)arg;
	deny(SYS_getitimer, 44, 0); /* a call that podckpt itself makes in it */
	deny(SYS_rt_sigaction, 45, 0);
	victim_wait();
	CHECK_ERRNO(syscall(SYS_getppid), 42);
	CHECK_ERRNO(syscall(SYS_getitimer, 0, NULL), 44);
	CHECK_ERRNO(syscall(SYS_rt_sigaction, SIGUSR1, NULL, NULL, 8), 45);
}

int main(void)
{
	pid_t pid;

	CHECK_SYS(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	deny(SYS_getppid, 42, 0);
	deny(SYS_getpgrp, 43, SECCOMP_FILTER_FLAG_LOG);
	pid = victim_fork(child, NULL);
	victim_ready();
	CHECK_EQ(prctl(PR_GET_SECCOMP), 2);
	CHECK_ERRNO(syscall(SYS_getppid), 42);
	CHECK_ERRNO(syscall(SYS_getpgrp), 43);
	CHECK_SYS(syscall(SYS_getpid));
	victim_join(pid);
	victim_pass();
}
