/* SPDX-License-Identifier: Apache-2.0 */
#include "libct/task/restart.h"

#include <errno.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>

int restart_kind(const struct user_regs_struct *regs)
{
	int64_t rax = (int64_t)regs->rax;

	if ((int64_t)regs->orig_rax < 0)
		return 0;
	if (rax == -RESTART_SYS || rax == -RESTART_NOINTR || rax == -RESTART_NOHAND ||
	    rax == -RESTART_BLOCK)
		return (int)-rax;
	return 0;
}

bool restart_mend_eintr(struct user_regs_struct *regs, bool signal_pending)
{
	if ((int64_t)regs->rax != -EINTR || signal_pending)
		return false;
	switch ((int64_t)regs->orig_rax) {
	case SYS_epoll_wait:
	case SYS_epoll_pwait:
	case SYS_epoll_pwait2:
	case SYS_rt_sigtimedwait:
	case SYS_semop:
	case SYS_semtimedop:
	case SYS_io_getevents:
	case SYS_io_pgetevents:
	/* With SO_RCVTIMEO or SO_SNDTIMEO set: man 7 signal. */
	case SYS_accept:
	case SYS_accept4:
	case SYS_recvfrom:
	case SYS_recvmsg:
	case SYS_recvmmsg:
	case SYS_sendto:
	case SYS_sendmsg:
	case SYS_connect:
	case SYS_read:
	case SYS_write:
		regs->rax = (uint64_t)-RESTART_NOHAND;
		return true;
	default:
		return false;
	}
}

static const char *const names[] = {
	[RESTART_NANOSLEEP] = "nanosleep",
	[RESTART_CLOCK_NANOSLEEP] = "clock_nanosleep",
	[RESTART_POLL] = "poll",
	[RESTART_FUTEX] = "futex",
};

enum restart_call restart_call(long number, const struct user_regs_struct *regs)
{
	switch (number) {
	case SYS_nanosleep:
		return RESTART_NANOSLEEP;
	case SYS_clock_nanosleep:
		return RESTART_CLOCK_NANOSLEEP;
	case SYS_poll:
		return (int)regs->rdx < 0 ? RESTART_NONE : RESTART_POLL;
	case SYS_futex:
		/* FUTEX_WAIT has a span, the others a point of time. */
		return (regs->rsi & FUTEX_CMD_MASK) == FUTEX_WAIT ? RESTART_FUTEX : RESTART_NONE;
	default:
		return RESTART_UNKNOWN;
	}
}

const char *restart_name(enum restart_call call)
{
	return names[call];
}

enum restart_call restart_by_name(const char *name)
{
	for (enum restart_call i = RESTART_NANOSLEEP; i < RESTART_UNKNOWN; i++)
		if (!strcmp(names[i], name))
			return i;
	return RESTART_UNKNOWN;
}

uint64_t restart_remainder_at(enum restart_call call, const struct user_regs_struct *regs)
{
	return call == RESTART_NANOSLEEP	? regs->rsi
	       : call == RESTART_CLOCK_NANOSLEEP ? regs->r10
						 : 0;
}

void restart_rewind(struct user_regs_struct *regs)
{
	if (!restart_kind(regs))
		return;
	regs->rip -= 2; /* the length of `syscall` */
	regs->rax = regs->orig_rax;
	regs->orig_rax = UINT64_MAX;
}
