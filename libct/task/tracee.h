/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thread under ptrace(2), and the address space that its tapes run in.
 *
 * All functions must be called from the thread that seized.
 */
#pragma once
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/user.h>

#include "libct/libct.h"

/* The largest extended state we carry: AVX-512 is 2.7 KB, AMX tiles 11 KB. */
#define XSTATE_MAX 16384

struct tracee {
	pid_t pid, tid;	  /* on the host */
	pid_t vpid, vtid; /* in the pod */
	bool seized;	  /* ours until tracee_detach() */
	int stop_signal;  /* job control has stopped it, by this (man 2 ptrace, "Group-stop"); 0: not */
	bool stop_later;  /* a SIGSTOP of somebody else arrived while a tape ran: it is sent on */
	bool dirty;	  /* its registers or mask are not its own just now */
	struct user_regs_struct regs; /* its own */
	uint64_t sigmask;	      /* its own */
	void *xstate;		      /* NT_X86_XSTATE, xstate_len bytes */
	size_t xstate_len;
	uint64_t avoid; /* signals that a tape will make pending: not to be used for its end */
	int tape_signal; /* what ends the tape that runs */
	bool late;	/* a signal of that number from somebody else arrived meanwhile: it is sent on */
	siginfo_t late_info;
};

/*
 * Stops at the entry and exit of a call are reported as this. A plain SIGTRAP, the default, would be sent to the task
 * by the kernel as a signal, and kill it, if the tracer dies while it is in such a stop.
 */
#define TRACEE_CALL_STOP (SIGTRAP | 0x80)

/* PTRACE_SEIZE and PTRACE_INTERRUPT with `options` (PTRACE_O_*). -ESRCH: it is gone. */
int tracee_seize(struct tracee *t, unsigned long options, struct ct_error *err);

/*
 * Waits for the stop that tracee_seize() asked for. -ESRCH: it ended instead. -ETIMEDOUT: it sleeps in the kernel; it
 * cannot be let go then, but goes its way as soon as the calling process ends.
 */
int tracee_wait_stop(struct tracee *t, struct ct_error *err);

/*
 * Lets job control stop the process of a stopped tracee, for which a SIGSTOP is pending, as by signal
 * `sig`. The other threads have to join: tracee_join_stop(). Leaves the tracee dirty.
 */
int tracee_group_stop(struct tracee *t, int sig, struct ct_error *err);
int tracee_join_stop(struct tracee *t, struct ct_error *err);
/* SIGCONT was sent meanwhile: out of the stop, into the next one of ours. */
int tracee_leave_stop(struct tracee *t, struct ct_error *err);

/* Reads registers, extended state and signal mask into *t. */
int tracee_read(struct tracee *t, struct ct_error *err);

/* Writes back registers and signal mask where a tape changed them. */
int tracee_put_back(struct tracee *t, struct ct_error *err);

/* Writes all of *t: registers, extended state, mask. For restore. */
int tracee_write(const struct tracee *t, struct ct_error *err);

/*
 * Puts back what is dirty and lets go. What fails (the task was killed) is told; after that it is still `seized`,
 * until it is released or we end.
 */
int tracee_detach(struct tracee *t, struct ct_error *err);

/* Detaches if seized, frees what it owns. */
void tracee_release(struct tracee *t);

/*
 * Lets a stopped tracee go on, `how` (PTRACE_CONT, PTRACE_SYSCALL), and waits for its next stop; *ret_status
 * is that of waitpid(2). -ESRCH: it ended.
 */
int tracee_next_stop(struct tracee *t, enum __ptrace_request how, int *ret_status, struct ct_error *err);

/*
 * Executes one system call in a stopped tracee at the instruction at
 * `syscall_at`, and returns its result or negative errno. For restore only: if podckpt dies meanwhile
 * the task is lost.
 */
int64_t tracee_syscall(struct tracee *t, uint64_t syscall_at, long nr, const uint64_t args[6],
		       struct ct_error *err);
