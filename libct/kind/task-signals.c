/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signals: the actions of a process, the alternate stacks of its threads, and what is pending for
 * either, with its siginfo: man 7 signal, man 2 rt_sigaction, sigaltstack, rt_sigqueueinfo.
 *
 * Actions and stacks only the task itself can ask for; the queues are read by ptrace
 * (PTRACE_PEEKSIGINFO). A task may queue any siginfo for itself, the kernel's own codes too, so the
 * queues come back as they were. The blocked mask is with the registers.
 *
 * A signal of a POSIX timer that is pending becomes an ordinary queued one: the expirations that
 * the timer counts while it waits begin at zero again.
 */
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

#include "libct/kind.h"

#define N_SIGNALS 64
#define SIGSET_BYTES 8
#define PEEK_BATCH 32
#define MAX_ATTEMPTS 20
#define MAX_PENDING 100000 /* RLIMIT_SIGPENDING bounds it in the kernel; an image may claim anything */

/* The kernel's own struct sigaction on x86-64. */
struct kernel_action {
	uint64_t handler, flags, restorer, mask;
};

/* siginfo_t behind its three numbers. */
#define INFO_HEAD 16
#define INFO_DATA (sizeof(siginfo_t) - INFO_HEAD)

/* ---- dump ---- */

static int process_ask(struct dump *d, struct dump_process *p, struct tape *tape)
{
	for (int sig = 1; sig <= N_SIGNALS; sig++)
		tape_call(tape, SYS_rt_sigaction, (uint64_t)sig, 0,
			  tape_room(tape, sizeof(struct kernel_action)), SIGSET_BYTES, 0, 0);
	return 0;
}

static void put_actions(const struct tape *tape, struct tape_mark mark, struct node *n)
{
	const struct kernel_action *actions = tape_at(tape, mark.data);
	struct node *list = node_put_array(n, "actions");

	for (int sig = 1; sig <= N_SIGNALS; sig++) {
		const struct kernel_action *a = &actions[sig - 1];
		struct node *one;

		if (!a->handler && !a->flags && !a->restorer && !a->mask)
			continue;
		one = node_put_object(list, NULL);
		node_put_i64(one, "signal", sig);
		node_put_hex(one, "handler", a->handler);
		node_put_hex(one, "flags", a->flags);
		node_put_hex(one, "restorer", a->restorer);
		node_put_hex(one, "mask", a->mask);
	}
}

static void put_info(struct node *list, const siginfo_t *info)
{
	struct node *one = node_put_object(list, NULL);

	node_put_i64(one, "signal", info->si_signo);
	node_put_i64(one, "error", info->si_errno);
	node_put_i64(one, "code", info->si_code);
	node_put_blob(one, "data", (const char *)info + INFO_HEAD, INFO_DATA);
}

static int append(struct task_pending *to, const siginfo_t *infos, size_t n)
{
	siginfo_t *grown;

	if (!n)
		return 0;
	grown = realloc(to->infos, (to->n + n) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	memcpy(grown + to->n, infos, n * sizeof(*grown));
	to->infos = grown;
	to->n += n;
	return 0;
}

/* Reads one queue. `set`: what /proc shows; a signal can be in it without a siginfo in the queue. */
static int peek(const struct tracee *t, uint32_t flags, uint64_t set, struct task_pending *ret,
		struct ct_error *err)
{
	struct __ptrace_peeksiginfo_args args = { .flags = flags, .nr = PEEK_BATCH };
	siginfo_t batch[PEEK_BATCH];
	int r = 0;
	long got;

	ret->n = 0;
	do {
		args.off = ret->n;
		got = ptrace(PTRACE_PEEKSIGINFO, t->tid, &args, batch);
		if (got < 0)
			return error_errno(err, -errno, "read pending signals");
		r = append(ret, batch, (size_t)got);
	} while (r == 0 && got == PEEK_BATCH);
	for (size_t i = 0; i < ret->n; i++)
		set &= ~(1ULL << (ret->infos[i].si_signo - 1));
	/* The kernel had no memory for its siginfo then; it delivers such a one as from kill(2). */
	for (int sig = 1; r == 0 && sig <= N_SIGNALS; sig++)
		if (set & 1ULL << (sig - 1)) {
			siginfo_t info = { .si_signo = sig };

			r = append(ret, &info, 1);
		}
	return r < 0 ? error_errno(err, r, "pending signals") : 0;
}

/* The queues of a process and its threads, and a number that changes when a signal joins them. */
static int peek_all(struct dump_process *p, uint64_t *ret_count, struct ct_error *err)
{
	*ret_count = 0;
	for (size_t i = 0; i < p->n_threads; i++) {
		__cleanup(proc_status_release) struct proc_status now = { 0 };
		struct dump_thread *t = &p->threads[i];
		int r = proc_status(p->dump->proc, p->pid, t->t.tid, &now);

		if (r < 0)
			return error_errno(err, r, "read pending signals");
		r = peek(&t->t, 0, now.sig_pending, &t->pending, err);
		if (r == 0 && i == 0)
			r = peek(&t->t, PTRACE_PEEKSIGINFO_SHARED, now.sig_shared_pending, &p->pending,
				 err);
		if (r < 0)
			return r;
		*ret_count += t->pending.n;
	}
	*ret_count += p->pending.n;
	return 0;
}

/*
 * Timers go on while the process is stopped. One that expires between the reading of its time and
 * that of the queues would be there twice or not at all: so the queues are read before and after
 * the timers, until nothing came in between.
 */
static int read_pending(struct dump_process *p, struct ct_error *err)
{
	for (int attempt = 0;; attempt++) {
		uint64_t before, after;
		int r = peek_all(p, &before, err);

		if (r == 0)
			r = task_timers_read(p->dump, p, err);
		if (r == 0)
			r = peek_all(p, &after, err);
		if (r < 0)
			return r;
		if (before == after)
			return 0;
		if (attempt == MAX_ATTEMPTS)
			return error_set(err, -EAGAIN,
					 "signals keep arriving from outside; try again when they do not");
	}
}

static void put_pending(const struct task_pending *pending, struct node *n)
{
	struct node *list = node_put_array(n, "pending");

	for (size_t i = 0; i < pending->n; i++)
		put_info(list, &pending->infos[i]);
}

static int process_dump(struct dump *d, struct dump_process *p, const struct tape *tape,
			struct tape_mark mark, struct node *n, struct ct_error *err)
{
	int r = read_pending(p, err);

	if (r < 0)
		return r;
	put_actions(tape, mark, n);
	put_pending(&p->pending, n);
	return 0;
}

static int thread_ask(struct dump *d, struct dump_thread *t, struct tape *tape)
{
	tape_call(tape, SYS_sigaltstack, 0, tape_room(tape, sizeof(stack_t)), 0, 0, 0, 0);
	return 0;
}

static int thread_dump(struct dump *d, struct dump_thread *t, const struct tape *tape,
		       struct tape_mark mark, struct node *n, struct ct_error *err)
{
	const stack_t *stack = tape_at(tape, mark.data);

	if (tape->entries[mark.entry].result < 0)
		return error_errno(err, (int)tape->entries[mark.entry].result, "sigaltstack");
	if (!(stack->ss_flags & SS_DISABLE)) {
		struct node *s = node_put_object(n, "alternate_stack");

		node_put_hex(s, "address", (uint64_t)(uintptr_t)stack->ss_sp);
		node_put_u64(s, "size", stack->ss_size);
		node_put_hex(s, "flags", (uint32_t)stack->ss_flags);
	}
	put_pending(&t->pending, n); /* read for all threads at once above */
	return 0;
}

/* ---- restore ---- */

static void set_action(struct tape *tape, int sig, const struct kernel_action *a)
{
	tape_must(tape, "rt_sigaction", SYS_rt_sigaction, (uint64_t)sig,
		  tape_data(tape, a, sizeof(*a)), 0, SIGSET_BYTES, 0, 0);
}

static int restore_actions(const struct node *n, struct tape *tape, struct ct_error *err)
{
	static const struct kernel_action ignore = { .handler = (uint64_t)(uintptr_t)SIG_IGN };
	const struct node *list = node_array(n, "actions");
	struct kernel_action actions[N_SIGNALS + 1] = { 0 };
	int e = tape_need(tape, N_SIGNALS + 1, (N_SIGNALS + 1) * sizeof(ignore), err);

	if (e < 0)
		return e;
	for (size_t i = 0; i < node_count(list); i++) {
		const struct node *one = node_at(list, i);
		int sig = (int)node_i64(one, "signal", 0, N_SIGNALS);

		actions[sig] = (struct kernel_action){
			.handler = node_hex(one, "handler"),
			.flags = node_hex(one, "flags"),
			.restorer = node_hex(one, "restorer"),
			.mask = node_hex(one, "mask"),
		};
	}
	/* Children that became zombies while the tree was built have left a SIGCHLD: ignoring it drops it. */
	set_action(tape, SIGCHLD, &ignore);
	set_action(tape, SIGCONT, &ignore);
	for (int sig = 1; sig <= N_SIGNALS; sig++)
		if (sig != SIGKILL && sig != SIGSTOP)
			set_action(tape, sig, &actions[sig]);
	return 0;
}

/* The siginfo of one element, in the tape's data; 0: complained about. */
static uint64_t get_info(const struct node *one, struct tracee *t, struct tape *tape, int *ret_sig)
{
	siginfo_t info;
	const void *data;
	size_t len = 0;

	memset(&info, 0, sizeof(info));
	info.si_signo = *ret_sig = (int)node_i64(one, "signal", 1, N_SIGNALS);
	info.si_errno = (int)node_i64(one, "error", INT32_MIN, INT32_MAX);
	info.si_code = (int)node_i64(one, "code", INT32_MIN, INT32_MAX);
	data = node_blob(one, "data", &len);
	if (info.si_signo == SIGKILL || info.si_signo == SIGSTOP)
		node_complain(one, "a signal that cannot be pending");
	if (info.si_signo > 0)
		t->avoid |= 1ULL << (info.si_signo - 1);
	if (!data || len != INFO_DATA) {
		node_complain(one, "a siginfo of %zu bytes", len);
		return 0;
	}
	memcpy((char *)&info + INFO_HEAD, data, INFO_DATA);
	return tape_data(tape, &info, sizeof(info));
}

static int process_restore(struct restore *r, struct restore_process *p, const struct node *n,
			   struct tape *tape, struct ct_error *err)
{
	const struct node *list = node_array(n, "pending");
	int e = restore_actions(n, tape, err);

	if (node_count(list) > MAX_PENDING)
		node_complain(n, "%zu pending signals", node_count(list));
	for (size_t i = 0; e == 0 && i < node_count(list); i++) {
		uint64_t info;
		int sig;

		e = doc_check(r->doc, err);
		if (e == 0)
			e = tape_need(tape, 1, sizeof(siginfo_t), err);
		if (e < 0)
			break;
		info = get_info(node_at(list, i), &p->threads[0].t, tape, &sig);
		if (info)
			tape_must(tape, "rt_sigqueueinfo", SYS_rt_sigqueueinfo, (uint64_t)p->vpid,
				  (uint64_t)sig, info, 0, 0, 0);
	}
	return e;
}

static int thread_restore(struct restore *r, struct restore_thread *t, const struct node *n,
			  struct tape *tape, struct ct_error *err)
{
	const struct node *list = node_array(n, "pending");
	int e = doc_check(r->doc, err);

	if (node_count(list) > MAX_PENDING)
		node_complain(n, "%zu pending signals", node_count(list));
	if (node_has(n, "alternate_stack")) {
		const struct node *s = node_object(n, "alternate_stack");
		stack_t stack = {
			.ss_sp = (void *)(uintptr_t)node_hex(s, "address"),
			.ss_size = node_u64(s, "size", UINT64_MAX),
			.ss_flags = (int)(uint32_t)node_hex(s, "flags"),
		};

		tape_must(tape, "sigaltstack", SYS_sigaltstack, tape_data(tape, &stack, sizeof(stack)),
			  0, 0, 0, 0, 0);
	}
	for (size_t i = 0; e == 0 && i < node_count(list); i++) {
		uint64_t info;
		int sig;

		/* Flushed here, by this thread: a tape flushes itself in the main thread. */
		if (tape->n + 8 > tape->max || tape->data_len + 4096 > tape->data_max)
			e = restore_run_thread(t, tape, err);
		if (e == 0)
			e = doc_check(r->doc, err);
		if (e < 0)
			break;
		info = get_info(node_at(list, i), &t->t, tape, &sig);
		if (info)
			tape_must(tape, "rt_tgsigqueueinfo", SYS_rt_tgsigqueueinfo,
				  (uint64_t)t->process->vpid, (uint64_t)t->vtid, (uint64_t)sig, info, 0,
				  0);
	}
	return e;
}

const struct kind kind_signals = {
	.name = "signals",
	.carries = "signal actions, alternate signal stacks, pending signals of processes and threads "
		   "with their siginfo",
	.victims = "signal-actions signal-pending signal-altstack signal-threads",
	.process_ask = process_ask,
	.process_dump = process_dump,
	.process_restore = process_restore,
	.thread_ask = thread_ask,
	.thread_dump = thread_dump,
	.thread_restore = thread_restore,
};
