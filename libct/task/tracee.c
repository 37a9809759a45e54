/* SPDX-License-Identifier: Apache-2.0 */
#include "libct/task/tracee.h"

#include <elf.h>
#include <sched.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

#include "libct/base/cleanup.h"
#include "libct/base/clock.h"
#include "libct/base/error.h"

#define STOP_TIMEOUT_MS 10000
#define SPIN_MS 2

int tracee_seize(struct tracee *t, unsigned long options, struct ct_error *err)
{
	if (ptrace(PTRACE_SEIZE, t->tid, 0, options | PTRACE_O_TRACESYSGOOD) < 0)
		return errno == EPERM
			       ? error_set(err, -EOPNOTSUPP,
					   "another program (a debugger, strace) is tracing it; end that first")
			       : error_errno(err, -errno, "ptrace seize");
	t->seized = true;
	if (ptrace(PTRACE_INTERRUPT, t->tid, 0, 0) < 0)
		return error_errno(err, -errno, "ptrace interrupt");
	return 0;
}

static bool is_stop_signal(int sig)
{
	return sig == SIGSTOP || sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU;
}

/*
 * waitpid(2) with a limit: a task that sleeps in the kernel (a file system that does not answer) stops when that ends,
 * or never, and all others wait with it. No descriptor tells of a stop, and SIGCHLD is the program's that called us, so
 * this asks: at first all the time, since a stop mostly takes microseconds, then each millisecond.
 */
static int wait_limited(struct tracee *t, int *ret_status, struct ct_error *err)
{
	static const struct timespec pause = { .tv_nsec = 1000000 };
	int64_t began = monotonic_ms();

	for (;;) {
		pid_t pid = waitpid(t->tid, ret_status, __WALL | WNOHANG);
		int64_t ms;

		if (pid > 0)
			return 0;
		if (pid < 0 && errno != EINTR)
			return error_errno(err, -errno, "waitpid");
		ms = monotonic_ms() - began;
		if (ms >= STOP_TIMEOUT_MS)
			return error_set(err, -ETIMEDOUT,
					 "thread %d sleeps in the kernel and does not stop (a file system that does "
					 "not answer, perhaps); try again", t->vtid);
		if (ms < SPIN_MS)
			sched_yield();
		else
			nanosleep(&pause, NULL);
	}
}

/* The next stop's wait status. */
static int next_stop(struct tracee *t, struct ct_error *err)
{
	int status, r = wait_limited(t, &status, err);

	if (r < 0)
		return r;
	if (WIFSTOPPED(status))
		return status;
	t->seized = false;
	return error_set(err, -ESRCH, "it ended");
}

static int go_on(struct tracee *t, int sig, struct ct_error *err)
{
	return ptrace(PTRACE_CONT, t->tid, 0, sig) < 0 ? error_errno(err, -errno, "ptrace cont") : 0;
}

int tracee_wait_stop(struct tracee *t, struct ct_error *err)
{
	for (;;) {
		int r = next_stop(t, err);

		if (r < 0)
			return r;
		if (r >> 16 == PTRACE_EVENT_STOP) {
			t->stop_signal = is_stop_signal(WSTOPSIG(r)) ? WSTOPSIG(r) : 0;
			return 0;
		}
		/*
		 * A signal was on its way: it must not be lost, and no handler may run now. The
		 * signal goes on (its frame is built when the task runs next), the interrupt that we
		 * asked for comes first.
		 */
		r = go_on(t, WSTOPSIG(r), err);
		if (r < 0)
			return r;
	}
}

int tracee_join_stop(struct tracee *t, struct ct_error *err)
{
	int r = 0;

	while (r == 0 && !t->stop_signal) {
		r = go_on(t, 0, err);
		if (r == 0)
			r = tracee_wait_stop(t, err);
	}
	return r;
}

int tracee_leave_stop(struct tracee *t, struct ct_error *err)
{
	int r = 0;

	while (r == 0 && t->stop_signal) {
		r = go_on(t, 0, err);
		if (r == 0)
			r = tracee_wait_stop(t, err);
	}
	return r;
}

int tracee_group_stop(struct tracee *t, int sig, struct ct_error *err)
{
	const uint64_t all = ~0ULL, none = 0;
	int r;

	/* Only what cannot be blocked gets through. */
	t->dirty = true;
	if (ptrace(PTRACE_SETSIGMASK, t->tid, sizeof(all), &all) < 0)
		return error_errno(err, -errno, "write the signal mask");
	do {
		r = go_on(t, 0, err);
		if (r == 0)
			r = next_stop(t, err);
		if (r < 0)
			return r;
	} while (r >> 16 || WSTOPSIG(r) != SIGSTOP);
	/* SIGSTOP is about to be delivered: here any other can take its place. */
	if (ptrace(PTRACE_SETSIGMASK, t->tid, sizeof(none), &none) < 0)
		return error_errno(err, -errno, "write the signal mask");
	r = go_on(t, sig, err);
	return r < 0 ? r : tracee_wait_stop(t, err);
}

static int get_regset(pid_t tid, unsigned long type, void *buf, size_t *len)
{
	struct iovec io = { buf, *len };

	if (ptrace(PTRACE_GETREGSET, tid, type, &io) < 0)
		return -errno;
	*len = io.iov_len;
	return 0;
}

static int set_regset(pid_t tid, unsigned long type, const void *buf, size_t len)
{
	struct iovec io = { (void *)buf, len };

	return ptrace(PTRACE_SETREGSET, tid, type, &io) < 0 ? -errno : 0;
}

/* Thousands of threads are stopped at once: none keeps more than its state takes. */
static int read_xstate(struct tracee *t)
{
	char state[XSTATE_MAX];
	size_t len = sizeof(state);
	int r = get_regset(t->tid, NT_X86_XSTATE, state, &len);
	void *kept = r < 0 ? NULL : realloc(t->xstate, len);

	if (!kept)
		return r < 0 ? r : -ENOMEM;
	t->xstate = memcpy(kept, state, len);
	t->xstate_len = len;
	return 0;
}

int tracee_read(struct tracee *t, struct ct_error *err)
{
	size_t len = sizeof(t->regs);
	int r;

	r = get_regset(t->tid, NT_PRSTATUS, &t->regs, &len);
	if (r < 0)
		return error_errno(err, r, "read registers");
	if (t->regs.cs != 0x33)
		return error_set(err, -EOPNOTSUPP, "it runs 32-bit code, which is not carried");
	r = read_xstate(t);
	if (r < 0)
		return error_errno(err, r, "read the extended state");
	if (ptrace(PTRACE_GETSIGMASK, t->tid, sizeof(t->sigmask), &t->sigmask) < 0)
		return error_errno(err, -errno, "read the signal mask");
	return 0;
}

static int write_general(const struct tracee *t, struct ct_error *err)
{
	int r = set_regset(t->tid, NT_PRSTATUS, &t->regs, sizeof(t->regs));

	if (r < 0)
		return error_errno(err, r, "write registers");
	if (ptrace(PTRACE_SETSIGMASK, t->tid, sizeof(t->sigmask), &t->sigmask) < 0)
		return error_errno(err, -errno, "write the signal mask");
	return 0;
}

int tracee_put_back(struct tracee *t, struct ct_error *err)
{
	int r;

	if (!t->dirty)
		return 0;
	r = write_general(t, err);
	if (r == 0)
		t->dirty = false;
	return r;
}

int tracee_write(const struct tracee *t, struct ct_error *err)
{
	int r = set_regset(t->tid, NT_X86_XSTATE, t->xstate, t->xstate_len);

	if (r < 0)
		return error_errno(err, r, "write the extended state");
	return write_general(t, err);
}

int tracee_detach(struct tracee *t, struct ct_error *err)
{
	int r;

	if (!t->seized)
		return 0;
	r = tracee_put_back(t, err);
	/* A signal that came while a tape ran goes on its way, with all it says. */
	if (t->late && ptrace(PTRACE_SETSIGINFO, t->tid, 0, &t->late_info) < 0)
		t->late = false;
	if (t->stop_later)
		kill(t->pid, SIGSTOP);
	if (ptrace(PTRACE_DETACH, t->tid, 0, t->late ? t->late_info.si_signo : 0) == 0)
		t->seized = false;
	else if (r == 0)
		r = error_errno(err, -errno, "ptrace detach");
	return r;
}

void tracee_release(struct tracee *t)
{
	tracee_detach(t, NULL);
	free(t->xstate);
	t->xstate = NULL;
}

int tracee_next_stop(struct tracee *t, enum __ptrace_request how, int *ret_status, struct ct_error *err)
{
	if (ptrace(how, t->tid, 0, 0) < 0)
		return error_errno(err, -errno, "ptrace");
	while (waitpid(t->tid, ret_status, __WALL) < 0)
		if (errno != EINTR)
			return error_errno(err, -errno, "waitpid");
	if (WIFSTOPPED(*ret_status))
		return 0;
	t->seized = false;
	return error_set(err, -ESRCH, "it ended");
}

/*
 * To the entry and to the exit of a system call. Not by single-stepping: its SIGTRAP is forced upon
 * the task, which makes the kernel reset the action of SIGTRAP where that is blocked or ignored.
 */
static int wait_syscall(struct tracee *t, int64_t *ret, struct ct_error *err)
{
	enum __ptrace_request how = PTRACE_SYSCALL;
	struct user_regs_struct regs;
	size_t len = sizeof(regs);
	int status, r, stops = 0;

	for (;;) {
		r = tracee_next_stop(t, how, &status, err);
		if (r < 0)
			return r;
		if (status >> 16) {
			if (stops == 2)
				return 0;
			continue;
		}
		if (WSTOPSIG(status) != TRACEE_CALL_STOP)
			return error_set(err, -EIO, "signal %d in an injected system call",
					 WSTOPSIG(status));
		if (++stops < 2)
			continue;
		r = get_regset(t->tid, NT_PRSTATUS, &regs, &len);
		if (r < 0)
			return error_errno(err, r, "read registers");
		*ret = (int64_t)regs.rax;
		/* On to a stop from which the kernel would make an interrupted call anew. */
		if (ptrace(PTRACE_INTERRUPT, t->tid, 0, 0) < 0)
			return error_errno(err, -errno, "ptrace interrupt");
		how = PTRACE_CONT;
	}
}

int64_t tracee_syscall(struct tracee *t, uint64_t syscall_at, long nr, const uint64_t args[6],
		       struct ct_error *err)
{
	const uint64_t all = UINT64_MAX;
	struct user_regs_struct regs = t->regs;
	int64_t result = 0;
	int r;

	regs.rip = syscall_at;
	regs.rax = (uint64_t)nr;
	regs.orig_rax = UINT64_MAX;
	regs.rdi = args[0];
	regs.rsi = args[1];
	regs.rdx = args[2];
	regs.r10 = args[3];
	regs.r8 = args[4];
	regs.r9 = args[5];
	t->dirty = true;
	r = set_regset(t->tid, NT_PRSTATUS, &regs, sizeof(regs));
	if (r < 0)
		return error_errno(err, r, "write registers");
	if (ptrace(PTRACE_SETSIGMASK, t->tid, sizeof(all), &all) < 0)
		return error_errno(err, -errno, "write the signal mask");
	r = wait_syscall(t, &result, err);
	return r < 0 ? r : result;
}
