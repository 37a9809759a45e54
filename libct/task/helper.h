/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process of our own for the few things that must not be left half done: what it began it ends, even when
 * podckpt is killed meanwhile. It shares our descriptors and has a copy of our memory, so results travel in
 * shared memory. Only async-signal-safe functions may be used in it.
 */
#pragma once
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "libct/base/sys.h"

/* 0 in the helper, which _exit()s; every signal is blocked in it. Negative errno. */
static inline pid_t helper_spawn(void)
{
	sigset_t all, old;
	pid_t pid;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pid = (pid_t)SYS_RET(syscall(SYS_clone, CLONE_FILES, 0, 0, 0, 0));
	if (pid != 0)
		pthread_sigmask(SIG_SETMASK, &old, NULL);
	return pid;
}

/* Its status, as waitpid(2) gives it. */
static inline int helper_await(pid_t pid)
{
	int status = 0;

	while (waitpid(pid, &status, __WALL) < 0 && errno == EINTR)
		;
	return status;
}

/* Zeroed memory that a helper and we both see; NULL. munmap(2) it. */
static inline void *helper_memory(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}
