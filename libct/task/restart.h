/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System calls that a stop interrupted: man 7 signal, "Interruption of system calls and library
 * functions by stop signals". A task stopped inside one shows -ERESTART* in rax and the call's
 * number in orig_rax; the kernel goes back into the call when the task runs on, unless a handler
 * runs first. The numbers are the kernel's own (include/linux/errno.h) and never reach a program.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>

enum {
	RESTART_SYS = 512,
	RESTART_NOINTR = 513,
	RESTART_NOHAND = 514,
	RESTART_BLOCK = 516,
};

/* The -ERESTART* in rax as a positive number, 0 where no call was interrupted. */
int restart_kind(const struct user_regs_struct *regs);

/*
 * A few calls are not restarted by the kernel after a mere stop but give EINTR, which no program
 * could see without podckpt: epoll_wait and its kin, sigtimedwait, semtimedop and some. Where
 * no signal explains the EINTR, it becomes RESTART_NOHAND. True: *regs was changed.
 */
bool restart_mend_eintr(struct user_regs_struct *regs, bool signal_pending);

/* An interrupted call with a time limit. */
enum restart_call {
	RESTART_NONE, /* it is made anew as it is: it has no limit, or one at a point of time */
	/*
	 * The kernel itself remembers the limit (RESTART_BLOCK). The registers say the whole time, and once
	 * it was interrupted not even which call it is.
	 */
	RESTART_NANOSLEEP,
	RESTART_CLOCK_NANOSLEEP,
	RESTART_POLL,
	RESTART_FUTEX,
	/* The kernel (from epoll_wait on we) has put what remains where the argument is (RESTART_NOHAND). */
	RESTART_PPOLL,
	RESTART_PSELECT,
	RESTART_SELECT,
	RESTART_EPOLL,
	/* The argument is the caller's own memory, so what remains lies below its stack: restart_set_left(). */
	RESTART_EPOLL_TIMESPEC,
	RESTART_SIGTIMEDWAIT,
	RESTART_SEMTIMEDOP,
	RESTART_GETEVENTS, /* io_pgetevents, too */
	RESTART_UNKNOWN,
};

/* Which call of the first sort, by its number and arguments; UNKNOWN for one that was interrupted before. */
enum restart_call restart_call(long number, const struct user_regs_struct *regs);
/* Which call of either sort, by registers of an interrupted call. */
enum restart_call restart_timed(const struct user_regs_struct *regs);

/* What remains, in ns, of a call of the second sort that `tid` is in; -1: it cannot be read. */
int64_t restart_left(pid_t tid, enum restart_call call, const struct user_regs_struct *regs);
/* Puts what remains into memory or registers, never more than there is. */
bool restart_set_left(pid_t tid, enum restart_call call, struct user_regs_struct *regs, int64_t left);

/* Its name, and back; UNKNOWN: none of them. */
const char *restart_name(enum restart_call call);
enum restart_call restart_by_name(const char *name);
/* The argument (an address) where the kernel has written what remained when it was interrupted; 0: nowhere. */
uint64_t restart_remainder_at(enum restart_call call, const struct user_regs_struct *regs);

/* Which of those that forget how long they have waited begins with these arguments; NONE: none, or no limit. */
enum restart_call restart_forgetful(long number, const uint64_t args[5]);

/* Registers such that the call is made anew if the task merely goes on with them. */
void restart_rewind(struct user_regs_struct *regs);
