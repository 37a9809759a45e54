/* SPDX-License-Identifier: Apache-2.0 */
#include "libct/task/restart.h"

#include <errno.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>

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
	case SYS_readv:
	case SYS_write:
	case SYS_writev:
	case SYS_sendmmsg:
	case SYS_sendfile:
	case SYS_splice:
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
	[RESTART_PPOLL] = "ppoll",
	[RESTART_PSELECT] = "pselect6",
	[RESTART_SELECT] = "select",
	[RESTART_EPOLL] = "epoll_wait",
	[RESTART_EPOLL_TIMESPEC] = "epoll_pwait2",
	[RESTART_SIGTIMEDWAIT] = "rt_sigtimedwait",
	[RESTART_SEMTIMEDOP] = "semtimedop",
	[RESTART_GETEVENTS] = "io_getevents",
};

#define NSEC_PER_SEC 1000000000LL
#define MOST (INT64_MAX / 4)
/* Below the red zone, where nothing is that anybody has a use for before a signal handler runs. */
#define BELOW_STACK 512

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

enum restart_call restart_forgetful(long number, const uint64_t args[5])
{
	switch (number) {
	case SYS_epoll_wait:
	case SYS_epoll_pwait:
		return (int)args[3] > 0 ? RESTART_EPOLL : RESTART_NONE;
	case SYS_epoll_pwait2:
		return args[3] ? RESTART_EPOLL_TIMESPEC : RESTART_NONE;
	case SYS_rt_sigtimedwait:
		return args[2] ? RESTART_SIGTIMEDWAIT : RESTART_NONE;
	case SYS_semtimedop:
		return args[3] ? RESTART_SEMTIMEDOP : RESTART_NONE;
	case SYS_io_getevents:
	case SYS_io_pgetevents:
		return args[4] ? RESTART_GETEVENTS : RESTART_NONE;
	default:
		return RESTART_NONE;
	}
}

enum restart_call restart_timed(const struct user_regs_struct *regs)
{
	if (restart_kind(regs) == RESTART_BLOCK)
		return restart_call((long)regs->orig_rax, regs);
	if (restart_kind(regs) != RESTART_NOHAND)
		return RESTART_NONE;
	switch ((int64_t)regs->orig_rax) {
	case SYS_ppoll:
		return regs->rdx ? RESTART_PPOLL : RESTART_NONE;
	case SYS_pselect6:
		return regs->r8 ? RESTART_PSELECT : RESTART_NONE;
	case SYS_select:
		return regs->r8 ? RESTART_SELECT : RESTART_NONE;
	default:
		return restart_forgetful((long)regs->orig_rax,
					 (uint64_t[5]){ regs->rdi, regs->rsi, regs->rdx, regs->r10, regs->r8 });
	}
}

static bool transfer(pid_t tid, uint64_t at, void *data, size_t len, bool write)
{
	struct iovec local = { data, len }, remote = { (void *)at, len };

	return (write ? process_vm_writev(tid, &local, 1, &remote, 1, 0)
		      : process_vm_readv(tid, &local, 1, &remote, 1, 0)) == (ssize_t)len;
}

/* The register that holds the address of the time. */
static unsigned long long *time_register(enum restart_call call, struct user_regs_struct *regs)
{
	switch (call) {
	case RESTART_PPOLL:
	case RESTART_SIGTIMEDWAIT:
		return &regs->rdx;
	case RESTART_EPOLL_TIMESPEC:
	case RESTART_SEMTIMEDOP:
		return &regs->r10;
	default:
		return &regs->r8;
	}
}

/* Seconds and their parts, of which a nanosecond or a microsecond is this many ns. */
static int64_t unit_of(enum restart_call call)
{
	return call == RESTART_SELECT ? 1000 : 1;
}

int64_t restart_left(pid_t tid, enum restart_call call, const struct user_regs_struct *regs)
{
	struct user_regs_struct copy = *regs;
	int64_t unit = unit_of(call), t[2];
	uint64_t at;

	if (call == RESTART_EPOLL)
		return (int64_t)(int)regs->r10 * 1000000;
	at = *time_register(call, &copy);
	if (!transfer(tid, at, t, sizeof(t), false) || t[0] < 0 || t[1] < 0 || t[1] * unit >= NSEC_PER_SEC)
		return -1;
	return t[0] > MOST / NSEC_PER_SEC ? MOST : t[0] * NSEC_PER_SEC + t[1] * unit;
}

bool restart_set_left(pid_t tid, enum restart_call call, struct user_regs_struct *regs, int64_t left)
{
	int64_t unit = unit_of(call), t[2];
	uint64_t at;

	if (left >= restart_left(tid, call, regs))
		return true;
	left = left < 0 ? 0 : left;
	if (call == RESTART_EPOLL) {
		/* Rounded up: not to wake too early. */
		regs->r10 = (uint64_t)((left + 999999) / 1000000);
		return true;
	}
	at = *time_register(call, regs);
	if (call > RESTART_EPOLL)
		at = (regs->rsp - BELOW_STACK) & ~15ULL;
	t[0] = left / NSEC_PER_SEC;
	t[1] = left % NSEC_PER_SEC / unit;
	if (!transfer(tid, at, t, sizeof(t), true))
		return call > RESTART_EPOLL; /* with the caller's own time, then */
	*time_register(call, regs) = at;
	return true;
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
