/* SPDX-License-Identifier: Apache-2.0 */
/* See libct/kind/task-restart.c. */
#include <elf.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

#include "libct/kind.h"
#include "libct/kind/clock.h"
#include "libct/restore-steps.h"
#include "libct/task/restart.h"

static const struct node *call_of(const struct restore_thread *t)
{
	const struct node *n = node_object(t->node, "interrupted");

	return node_has(n, "call") ? n : NULL;
}

bool restore_enters(const struct restore_process *p)
{
	for (size_t i = 0; i < p->n_threads; i++)
		if (restart_kind(&p->threads[i].t.regs) == RESTART_BLOCK && call_of(&p->threads[i]))
			return true;
	return false;
}

static bool transfer(pid_t tid, uint64_t at, void *data, size_t len, bool write)
{
	struct iovec local = { data, len }, remote = { (void *)at, len };

	return (write ? process_vm_writev(tid, &local, 1, &remote, 1, 0)
		      : process_vm_readv(tid, &local, 1, &remote, 1, 0)) == (ssize_t)len;
}

/* Registers that make the call with `left` ns; the time itself lies at `room`, for as long as the call begins. */
static void set_call(struct user_regs_struct *regs, enum restart_call call, int64_t left, uint64_t room)
{
	regs->rip -= 2; /* the length of `syscall` */
	regs->rax = regs->orig_rax;
	regs->orig_rax = UINT64_MAX;
	if (call == RESTART_NANOSLEEP)
		regs->rdi = room;
	else if (call == RESTART_CLOCK_NANOSLEEP)
		regs->rdx = room;
	else if (call == RESTART_FUTEX)
		regs->r10 = room;
	else /* milliseconds, rounded up: not to wake too early */
		regs->rdx = (uint64_t)((left + 999999) / 1000000 > INT32_MAX ? INT32_MAX
									      : (left + 999999) / 1000000);
}

/* Lets it run to the next stop, which must be the entry or exit of a call, or the one we asked for. */
static int step(struct tracee *t, enum __ptrace_request how, bool event, struct ct_error *err)
{
	int status, r;

	do {
		r = tracee_next_stop(t, how, &status, err);
	} while (r == 0 && (status >> 16 != 0) != event);
	return r;
}

/*
 * Makes the call and interrupts it in the same moment: the interrupt is asked for at the entry, so
 * that the call finds it pending when it would go to sleep. It may also end by itself.
 */
static int make_call(struct tracee *t, const struct user_regs_struct *call, int64_t *ret_result,
		     struct ct_error *err)
{
	const uint64_t all = UINT64_MAX;
	struct user_regs_struct regs = *call;
	struct iovec io = { &regs, sizeof(regs) };
	int e;

	if (ptrace(PTRACE_SETREGSET, t->tid, NT_PRSTATUS, &io) < 0 ||
	    ptrace(PTRACE_SETSIGMASK, t->tid, sizeof(all), &all) < 0)
		return error_errno(err, -errno, "write registers");
	e = step(t, PTRACE_SYSCALL, false, err);
	if (e == 0 && ptrace(PTRACE_INTERRUPT, t->tid, 0, 0) < 0)
		e = error_errno(err, -errno, "ptrace interrupt");
	if (e == 0)
		e = step(t, PTRACE_SYSCALL, false, err);
	if (e < 0)
		return e;
	if (ptrace(PTRACE_GETREGSET, t->tid, NT_PRSTATUS, &io) < 0)
		return error_errno(err, -errno, "read registers");
	*ret_result = (int64_t)regs.rax;
	/* The stop at the exit has used up the interrupt. The next one is where calls are made anew from. */
	if (ptrace(PTRACE_INTERRUPT, t->tid, 0, 0) < 0)
		return error_errno(err, -errno, "ptrace interrupt");
	return step(t, PTRACE_CONT, true, err);
}

static int enter(struct restore_thread *t, const struct node *n, uint64_t room, struct ct_error *err)
{
	enum restart_call call = restart_by_name(node_str(n, "call"));
	int64_t deadline = node_i64(node_object(n, "volatile"), "deadline", INT64_MIN, INT64_MAX);
	struct restore *r = t->process->restore;
	struct user_regs_struct regs = t->t.regs;
	struct timespec ts;
	uint8_t code[2];
	int64_t offset, left, result = 0;
	int e = clock_offset(r->proc, r->pod->state.pid1, CLOCK_MONOTONIC, &offset, err);

	if (e < 0)
		return e;
	if (restart_timed(&regs) != call)
		return error_set(err, -EBADMSG, "its registers are not those of an interrupted %s",
				 restart_name(call));
	left = deadline - offset - clock_now(CLOCK_MONOTONIC);
	left = left < 0 ? 0 : left;
	if (restart_kind(&regs) != RESTART_BLOCK)
		return restart_set_left(t->t.tid, call, &t->t.regs, left)
			       ? tracee_write(&t->t, err)
			       : error_set(err, -EFAULT, "cannot write to it");
	if (!transfer(t->t.tid, regs.rip - 2, code, 2, false) || code[0] != 0x0f || code[1] != 0x05)
		return error_set(err, -EBADMSG, "there is no system call where it was interrupted");
	ts = (struct timespec){ left / NSEC_PER_SEC, left % NSEC_PER_SEC };
	if (call != RESTART_POLL && !transfer(t->t.tid, room, &ts, sizeof(ts), true))
		return error_set(err, -EFAULT, "cannot write to it");
	set_call(&regs, call, left, room);
	e = make_call(&t->t, &regs, &result, err);
	if (e < 0)
		return e;
	/* With its own registers from before the call, it returns to what comes after it. */
	t->t.regs.rax = (uint64_t)result;
	if (!restart_kind(&t->t.regs))
		t->t.regs.orig_rax = UINT64_MAX;
	return tracee_write(&t->t, err);
}

int restore_enter(struct restore_process *p, uint64_t room, struct ct_error *err)
{
	for (size_t i = 0; i < p->n_threads; i++) {
		const struct node *n = call_of(&p->threads[i]);
		int e = n ? enter(&p->threads[i], n, room, err) : 0;

		if (e < 0)
			return error_prefix(err, e, "thread %d", p->threads[i].vtid);
	}
	return 0;
}
