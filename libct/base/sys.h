/* SPDX-License-Identifier: Apache-2.0 */
/* System calls that glibc 2.36 does not wrap; each returns 0 or more, or a negative errno. */
#pragma once
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#define SYS_RET(expression)                                                                        \
	({                                                                                         \
		long __r = (expression);                                                           \
		__r < 0 ? -errno : __r;                                                            \
	})

static inline int sys_pidfd_open(pid_t pid, unsigned int flags)
{
	return SYS_RET(syscall(SYS_pidfd_open, pid, flags));
}

/* A duplicate of descriptor `fd` of the process behind `pidfd`: man 2 pidfd_getfd. Close-on-exec. */
static inline int sys_pidfd_getfd(int pidfd, int fd)
{
	return SYS_RET(syscall(SYS_pidfd_getfd, pidfd, fd, 0));
}

static inline int sys_pidfd_send_signal(int pidfd, int sig)
{
	return SYS_RET(syscall(SYS_pidfd_send_signal, pidfd, sig, NULL, 0));
}

static inline int sys_openat2(int dirfd, const char *path, uint64_t flags, uint64_t mode,
			      uint64_t resolve)
{
	struct open_how how = { .flags = flags | O_CLOEXEC, .mode = mode, .resolve = resolve };

	return SYS_RET(syscall(SYS_openat2, dirfd, path, &how, sizeof(how)));
}

/* Back into a namespace that we were in: the memory that this takes may be short for a moment only. */
static inline int sys_setns_back(int fd, int type)
{
	int r = -ENOMEM;

	for (int i = 0; r == -ENOMEM && i < 3; i++)
		r = SYS_RET(setns(fd, type));
	return r;
}

/* man 2 kcmp: 0 same, 1 less, 2 greater, 3 unequal. */
static inline int sys_kcmp(pid_t a, pid_t b, int type, unsigned long x, unsigned long y)
{
	return SYS_RET(syscall(SYS_kcmp, a, b, type, x, y));
}

static inline pid_t sys_clone3(struct clone_args *args)
{
	return SYS_RET(syscall(SYS_clone3, args, sizeof(*args)));
}

static inline pid_t sys_gettid(void)
{
	return syscall(SYS_gettid);
}
