/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System calls with a time limit that a thread was stopped in: nanosleep, clock_nanosleep, poll and
 * FUTEX_WAIT. The kernel goes on with such a call from a record of its own; here it is given one
 * again: right before the pod is let go, the thread makes its call once more with what remains of
 * the time, is interrupted in it, and gets its own registers back. See dump-restart.c for how the
 * deadline is found out.
 *
 * select, pselect, ppoll, epoll_wait, epoll_pwait2, rt_sigtimedwait, semtimedop and io_getevents are made anew from
 * their arguments, which say what remained when the pod was stopped (see dump-sleep.c for the last five); in
 * the last moment what has passed since is taken off, because the pod's clocks go on while it is
 * restored. The limits of sockets (SO_RCVTIMEO, SO_SNDTIMEO) and of recvmmsg begin anew, as the kernel does it.
 */
#include "libct/kind.h"
#include "libct/kind/clock.h"

static int thread_dump(struct dump *d, struct dump_thread *t, const struct tape *tape,
		       struct tape_mark mark, struct node *n, struct ct_error *err)
{
	bool block = restart_kind(&t->t.regs) == RESTART_BLOCK;
	enum restart_call call = block && !d->verify ? t->restart : restart_timed(&t->t.regs);
	int64_t offset, deadline = t->deadline;
	struct node *state;
	int r;

	if (call == RESTART_NONE || call == RESTART_UNKNOWN)
		return 0;
	if (!block)
		deadline = d->frozen_at + restart_left(t->t.tid, call, &t->t.regs);
	r = clock_offset(d->proc, d->pod->state.pid1, CLOCK_MONOTONIC, &offset, err);
	if (r < 0)
		return r;
	node_put_str(n, "call", restart_name(call));
	state = node_put_object(n, "volatile");
	node_put_i64(state, "deadline", deadline + offset);
	return 0;
}

/* Everything happens in the last moment: restart_enter(). */
static int thread_restore(struct restore *r, struct restore_thread *t, const struct node *n,
			  struct tape *tape, struct ct_error *err)
{
	const struct node *state;

	if (!node_has(n, "call"))
		return 0;
	if (restart_by_name(node_str(n, "call")) == RESTART_UNKNOWN)
		node_complain(n, "a system call '%s' that this version does not know", node_str(n, "call"));
	state = node_object(n, "volatile");
	node_i64(state, "deadline", INT64_MIN, INT64_MAX);
	return 0;
}

const struct kind kind_interrupted = {
	.name = "interrupted",
	.carries = "system calls that a thread sleeps in, with what remains of their time (that of SO_RCVTIMEO, "
		   "SO_SNDTIMEO and recvmmsg begins anew)",
	.victims = "syscall-nanosleep syscall-poll syscall-futex syscall-again syscall-thread syscall-untimed syscall-stopped "
		   "syscall-forgetful",
	.thread_dump = thread_dump,
	.thread_restore = thread_restore,
};
