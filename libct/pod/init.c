/* SPDX-License-Identifier: Apache-2.0 */
/*
 * podckpt-init: PID 1 of a pod. It waits to be let go, then reaps, passes signals on to the main
 * process, and ends with that one's code when the last process has ended.
 *
 * Freestanding, a page of code and a page of data: it is embedded in the library, it must run in
 * whatever root a pod has, and a restorer clones the pod's processes from its address space, so
 * every byte less is a byte less to unmap.
 *
 * Only system calls below; see libct/pod/pod.h for the descriptors.
 */
#include "libct/pod/init-sys.h"

#define SIGCHLD 17
#define SIG_BLOCK 0
#define PR_SET_NAME 15
#define WNOHANG 1
#define __WALL 0x40000000

/*
 * A checkpoint reads it from outside: in a page of its own, at an address that the linker is
 * told.
 */
static volatile struct init_state {
	int main_vpid, ended, code;
} state __attribute__((section(".data"))) = { .main_vpid = -1 };

static void wait_until_let_go(void)
{
	struct {
		int main_vpid, code;
	} go;

	sys(__NR_write, SYNC_FD, (long)"r", 1, 0); /* in front of our work */
	await(SYNC_FD, &go, sizeof(go));
	state.ended = go.main_vpid < 0;
	state.code = go.main_vpid < 0 ? go.code : 0;
	/* 0: the command that was forked before we were executed, the first PID after ours. */
	state.main_vpid = go.main_vpid ? go.main_vpid : 2;
}

static void reaped(long pid, int status)
{
	if (pid != state.main_vpid || state.ended)
		return;
	state.code = status & 0x7f ? 128 + (status & 0x7f) : status >> 8 & 0xff;
	state.ended = 1;
}

static void __attribute__((noreturn)) run(void)
{
	const unsigned long all = ~0UL;
	int status;

	for (;;) {
		long pid, signal;

		while ((pid = sys(__NR_wait4, -1, (long)&status, WNOHANG | __WALL, 0)) > 0)
			reaped(pid, status);
		if (pid == -ECHILD)
			leave(state.code);
		signal = sys(__NR_rt_sigtimedwait, (long)&all, 0, 0, sizeof(all));
		if (signal > 0 && signal != SIGCHLD && !state.ended)
			sys(__NR_kill, state.main_vpid, signal, 0, 0);
	}
}

static void __attribute__((noreturn)) init(void)
{
	const unsigned long all = ~0UL;

	/* Blocked signals are kept for rt_sigtimedwait() even where PID 1's default is to ignore. */
	sys(__NR_rt_sigprocmask, SIG_BLOCK, (long)&all, 0, sizeof(all));
	sys(__NR_prctl, PR_SET_NAME, (long)"podckpt-init", 0, 0);
	wait_until_let_go();
	sys(__NR_write, GO_FD, (long)"g", 1, 0); /* in a restore nobody waits for it: EBADF */
	sys(__NR_close_range, SYNC_FD, ~0U, 0, 0);
	run();
}

/* The stack as the kernel leaves it: argc, argv, NULL, environment, NULL. */
__asm__(".globl _start\n"
	"_start:\n"
	"	xorl	%ebp, %ebp\n"
	"	movq	%rsp, %rdi\n"
	"	andq	$-16, %rsp\n"
	"	call	begin\n"
	"	hlt\n");

void begin(long *stack);
void __attribute__((noreturn, used)) begin(long *stack)
{
	char **argv = (char **)(stack + 1);

	if (stack[0] > 2)
		execute(argv, argv + stack[0] + 1);
	init();
}
