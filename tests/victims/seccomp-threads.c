// SPDX-License-Identifier: Apache-2.0
/* run: --seccomp unconfined */
/* build: -pthread */
/* Threads with a common filter and one of their own; one more for all of them can be installed afterwards. */
#include "tests/victims/victim.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/prctl.h>

static volatile int up, checked, synced;

static long deny(int nr, int error, unsigned int flags)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned int)nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned int)error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(code) / sizeof(code[0]), code };

	return CHECK_SYS(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program));
}

static void *same(void *arg)
{
	up++;
	victim_wait();
	CHECK_ERRNO(syscall(SYS_getppid), 42);
	CHECK_SYS(syscall(SYS_getpgrp));
	checked = 1;
	VICTIM_UNTIL(synced);
	CHECK_ERRNO(syscall(SYS_getpgid, 0), 43);
	return arg;
}

int main(void)
{
	pthread_t thread;

	CHECK_SYS(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	deny(SYS_getppid, 42, 0);
	CHECK_EQ(pthread_create(&thread, NULL, same, NULL), 0);
	VICTIM_UNTIL(up == 1);
	deny(SYS_getpgrp, 44, 0); /* this thread alone */
	victim_ready();
	CHECK_ERRNO(syscall(SYS_getppid), 42);
	CHECK_ERRNO(syscall(SYS_getpgrp), 44);
	/* Only if the other's filters are these very ones, not merely equal. */
	VICTIM_UNTIL(checked);
	CHECK_EQ(deny(SYS_getpgid, 43, SECCOMP_FILTER_FLAG_TSYNC), 0);
	synced = 1;
	CHECK_EQ(pthread_join(thread, NULL), 0);
	victim_pass();
}
