/* SPDX-License-Identifier: Apache-2.0 */
/* What podckpt-init has in place of a library. */
#pragma once
#include <asm/unistd.h>

#define SYNC_FD 3  /* POD_SYNC_FD */
#define GO_FD 5	   /* POD_GO_FD */
#define WAIT_FD 3  /* COMMAND_WAIT_FD */
#define ERROR_FD 4 /* COMMAND_ERROR_FD */

#define CODE_GIVEN_UP 125 /* never let go */
#define CODE_NOT_EXECUTABLE 126
#define CODE_NOT_FOUND 127

#define ENOENT 2
#define EINTR 4
#define ENOEXEC 8
#define ECHILD 10
#define EACCES 13
#define ENOTDIR 20
#define ENAMETOOLONG 36

static inline long sys(long number, long a, long b, long c, long d)
{
	register long r10 __asm__("r10") = d;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10)
			 : "rcx", "r11", "memory");
	return ret;
}

static inline void __attribute__((noreturn)) leave(int code)
{
	for (;;)
		sys(__NR_exit_group, code, 0, 0, 0);
}

/* Reads exactly that, or ends: nobody will let us go any more. */
static inline void await(int fd, void *buf, unsigned long len)
{
	long n;

	do
		n = sys(__NR_read, fd, (long)buf, (long)len, 0);
	while (n == -EINTR);
	if (n != (long)len)
		leave(CODE_GIVEN_UP);
}

/* init-exec.c: argv is what command_execute() passes. */
void __attribute__((noreturn)) execute(char **argv, char **env);
