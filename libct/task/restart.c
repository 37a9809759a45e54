/* SPDX-License-Identifier: Apache-2.0 */
#include "libct/task/restart.h"

#include <errno.h>
#include <stdint.h>
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

void restart_rewind(struct user_regs_struct *regs)
{
	if (!restart_kind(regs))
		return;
	regs->rip -= 2; /* the length of `syscall` */
	regs->rax = regs->orig_rax;
	regs->orig_rax = UINT64_MAX;
}
