/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Until when do threads sleep that were stopped in a call with a time limit?
 *
 * Such a call (nanosleep, poll, futex) is continued by the kernel from a record of its own
 * (restart_syscall(2)), which nothing shows; the thread's registers say how long it was to sleep when it began, and
 * after an earlier interruption not even which call it is. Where the caller asked for it, the kernel has
 * written what remained. For the others one thing tells: while the thread sleeps, its timer is in
 * /proc/timer_list, though without a name.
 *
 * So the threads in question, which are stopped, are let go back to sleep for a moment, in several
 * rounds; in each group by group, with a look at the list after every group, and one while none of them sleeps.
 * A thread's groups are the digits of its number. A timer that is there in exactly the looks of one thread, for the
 * same nanosecond each time, is that thread's. To let a thread go costs several times what its line in a look costs,
 * hence few rounds of several groups. A thread whose sleep ends meanwhile has just been stopped a little later than
 * the others.
 */
#include <inttypes.h>
#include <sched.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "libct/base/error.h"
#include "libct/dump-steps.h"
#include "libct/kind/clock.h"
#include "libct/task/restart.h"
#include "libct/task/timer-list.h"

#define MAX_GROUPS 12 /* of a round: 5 of them are enough for 248,832 threads, and make 64 looks */
#define MAX_ROUNDS 5  /* threads above that share their numbers: the time of such begins anew */
#define TRIES 5 /* the list is not read in one piece: that of a busy host may lack a timer now and then */
#define PATIENCE NSEC_PER_SEC /* with a thread that does not get to its sleep on a busy host */

struct seen_timer {
	uint64_t expires;
	unsigned int clock; /* of the list: monotonic, wall, boot, TAI, and the same four again */
	uint64_t looks; /* a bit for each in which it was there */
};

struct measure {
	struct dump *d;
	struct dump_thread **threads;
	bool *running;
	size_t n;
	struct seen_timer *timers; /* each once, ascending, and behind them those just read */
	size_t n_timers, max_timers;
	unsigned int round, n_rounds, n_groups;
	unsigned int look; /* the next one */
	unsigned int reads; /* of the list in a look */
	bool hidden;	   /* the host does not show the list */
};

static void measure_release(struct measure *m)
{
	free(m->threads);
	free(m->running);
	free(m->timers);
}

static bool read_task(pid_t tid, uint64_t at, void *data, size_t len)
{
	struct iovec local = { data, len }, remote = { (void *)at, len };

	return process_vm_readv(tid, &local, 1, &remote, 1, 0) == (ssize_t)len;
}

static bool signals_pending(const struct dump_thread *t)
{
	return ((t->status.sig_pending | t->status.sig_shared_pending) & ~t->status.sig_blocked) != 0;
}

static bool wanted(const struct dump_thread *t)
{
	return t->t.seized && restart_kind(&t->t.regs) == RESTART_BLOCK;
}

/* ---- the list of timers ---- */

static int add_timer(struct measure *m, uint64_t expires, unsigned int clock)
{
	if (m->n_timers == m->max_timers) {
		size_t max = m->max_timers * 2 + 256;
		struct seen_timer *grown = realloc(m->timers, max * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		m->timers = grown;
		m->max_timers = max;
	}
	m->timers[m->n_timers++] = (struct seen_timer){ expires, clock % 4, 1ULL << m->look };
	return 0;
}

static int by_expiry(const void *a, const void *b)
{
	const struct seen_timer *x = a, *y = b;

	return (x->expires > y->expires) - (x->expires < y->expires);
}

/* Each timer once, with all its looks. */
static void fold_timers(struct measure *m)
{
	size_t n = 0;

	if (!m->n_timers)
		return;
	qsort(m->timers, m->n_timers, sizeof(*m->timers), by_expiry);
	for (size_t i = 1; i < m->n_timers; i++)
		if (m->timers[i].expires == m->timers[n].expires)
			m->timers[n].looks |= m->timers[i].looks;
		else
			m->timers[++n] = m->timers[i];
	m->n_timers = n + 1;
}

static int sleeper(void *context, unsigned int clock, uint64_t expires)
{
	return add_timer(context, expires, clock);
}

static int look(struct measure *m, struct ct_error *err)
{
	int r = 0;

	for (unsigned int i = 0; r == 0 && i < m->reads; i++)
		r = timer_list_read(m->d->proc, "hrtimer_wakeup", sleeper, m);
	fold_timers(m);
	m->look++;
	/* The registers must do then. */
	m->hidden = r < 0;
	return r == -ENOMEM ? error_errno(err, r, "timers") : 0;
}

/* ---- rounds ---- */

static int await(struct dump_thread *t, int *ret_status, struct ct_error *err)
{
	while (waitpid(t->t.tid, ret_status, __WALL) < 0)
		if (errno != EINTR)
			return error_errno(err, -errno, "waitpid");
	if (WIFSTOPPED(*ret_status))
		return 0;
	t->t.seized = false;
	return error_set(err, -ESRCH, "it ended");
}

/*
 * Back into the call, whose entry is the first stop. PTRACE_SYSCALL, so that the thread stops behind
 * the call too if that ends now: none of the program's own code is executed.
 */
static int go_on(struct dump_thread *t, struct ct_error *err)
{
	return ptrace(PTRACE_SYSCALL, t->t.tid, 0, 0) < 0 ? error_errno(err, -errno, "ptrace syscall") : 0;
}

static int pass_entry(struct dump_thread *t, struct ct_error *err)
{
	int status, r;

	/* A process that job control has stopped says so first. */
	while ((r = await(t, &status, err)) == 0 && status >> 16) {
		r = go_on(t, err);
		if (r < 0)
			return r;
	}
	if (r < 0)
		return r;
	if (WSTOPSIG(status) == TRACEE_CALL_STOP)
		return go_on(t, err);
	/* A signal has come just now: it goes on, and the thread is stopped again before its handler runs. */
	return ptrace(PTRACE_INTERRUPT, t->t.tid, 0, 0) < 0 ||
			       ptrace(PTRACE_CONT, t->t.tid, 0, WSTOPSIG(status)) < 0
		       ? error_errno(err, -errno, "ptrace cont")
		       : 0;
}

static bool asleep(struct dump_thread *t)
{
	cleanup_free char *text = NULL;

	return proc_read(t->process->dump->proc, t->t.tid, "syscall", &text) >= 0 && strncmp(text, "running", 7);
}

/* Until it is off its CPU: only then is its timer in the list. */
static bool await_sleep(struct dump_thread *t)
{
	int64_t until = clock_now(CLOCK_MONOTONIC) + PATIENCE;

	do {
		if (asleep(t))
			return true;
		sched_yield();
	} while (clock_now(CLOCK_MONOTONIC) < until);
	return false;
}

/*
 * A call that was interrupted before, by what it sleeps in. That of nanosleep leaves nothing on the stack but the
 * entry of system calls. Something else on it is no sleep: a stop of ours, or a thread that is still on its way
 * there. The stack of one that runs may be anything.
 */
static void look_at_stack(struct dump_thread *t)
{
	const struct user_regs_struct *regs = &t->t.regs;
	cleanup_free char *stack = NULL;
	size_t first;

	if (proc_read(t->process->dump->proc, t->t.tid, "stack", &stack) < 0 || !asleep(t))
		return;
	first = strcspn(stack, "\n");
	if (strstr(stack, "poll"))
		t->restart_nr = SYS_poll;
	else if (strstr(stack, "futex"))
		t->restart_nr = SYS_futex;
	else if (strstr(stack, "nanosleep") || /* where the compiler has kept it a function */
		 (memmem(stack, first, "syscall", 7) && !memmem(stack, first, "trace", 5)))
		/* the first argument is a clock, or the address of a time */
		t->restart_nr = regs->rdi < 4096 ? SYS_clock_nanosleep : SYS_nanosleep;
	else
		return;
	t->restart = restart_call(t->restart_nr, regs);
}

static int interrupt(struct dump_thread *t, struct ct_error *err)
{
	return ptrace(PTRACE_INTERRUPT, t->t.tid, 0, 0) < 0 ? error_errno(err, -errno, "ptrace interrupt")
							    : 0;
}

static int stop_again(struct dump_thread *t, struct ct_error *err)
{
	int status, r;

	for (;;) {
		int sig = 0;

		r = await(t, &status, err);
		if (r < 0)
			return r;
		if (status >> 16 == PTRACE_EVENT_STOP)
			return dump_read_thread(t, err);
		/* The exit of the call comes first, and that stop uses up the interrupt. */
		if (WSTOPSIG(status) != TRACEE_CALL_STOP)
			sig = WSTOPSIG(status);
		r = interrupt(t, err);
		if (r < 0)
			return r;
		if (ptrace(PTRACE_CONT, t->t.tid, 0, sig) < 0)
			return error_errno(err, -errno, "ptrace cont");
	}
}

static unsigned int group_of(const struct measure *m, unsigned int round, size_t index)
{
	while (round--)
		index /= m->n_groups;
	return (unsigned int)(index % m->n_groups);
}

#define ALL_GROUPS MAX_GROUPS

/*
 * Each step for a whole group before the next one, so that its threads do it side by side. A thread that a step fails
 * for is left out of the others; the first error counts.
 */
static int for_group(struct measure *m, unsigned int group,
		     int (*step)(struct dump_thread *, struct ct_error *), struct ct_error *err)
{
	int r = 0;

	for (size_t i = 0; i < m->n; i++) {
		bool in = m->running[i] && (group == ALL_GROUPS || group_of(m, m->round, i) == group);
		int e = in ? step(m->threads[i], r < 0 ? NULL : err) : 0;

		m->running[i] &= e == 0;
		r = r < 0 ? r : e;
	}
	return r;
}

static int fall_asleep(struct dump_thread *t, struct ct_error *err)
{
	if (await_sleep(t) && t->restart == RESTART_UNKNOWN)
		look_at_stack(t);
	return 0;
}

static int let_go(struct measure *m, unsigned int group, struct ct_error *err)
{
	int r;

	for (size_t i = 0; i < m->n; i++)
		if (group_of(m, m->round, i) == group)
			m->running[i] = wanted(m->threads[i]);
	r = for_group(m, group, go_on, err);
	if (r == 0)
		r = for_group(m, group, pass_entry, err);
	if (r == 0)
		r = for_group(m, group, fall_asleep, err);
	return r < 0 ? r : look(m, err);
}

static int run_round(struct measure *m, struct ct_error *err)
{
	int r = 0, stopped;

	memset(m->running, 0, m->n * sizeof(*m->running));
	for (unsigned int group = 0; r == 0 && group < m->n_groups; group++)
		r = let_go(m, group, err);
	stopped = for_group(m, ALL_GROUPS, interrupt, r < 0 ? NULL : err);
	r = r < 0 ? r : stopped;
	stopped = for_group(m, ALL_GROUPS, stop_again, r < 0 ? NULL : err);
	return r < 0 ? r : stopped;
}

/* Of each round: from its group's look to the last one. Then comes the look while none sleeps. */
static uint64_t looks_of(const struct measure *m, size_t index)
{
	uint64_t looks = 0;

	for (unsigned int round = 0; round < m->n_rounds; round++)
		for (unsigned int group = group_of(m, round, index); group < m->n_groups; group++)
			looks |= 1ULL << (round * (m->n_groups + 1) + group);
	return looks;
}

static int by_looks(const void *a, const void *b)
{
	const struct seen_timer *x = a, *y = b;

	return (x->looks > y->looks) - (x->looks < y->looks);
}

static int64_t whole_time(const struct dump_thread *t)
{
	const struct user_regs_struct *r = &t->t.regs;
	uint64_t at = t->restart == RESTART_NANOSLEEP ? r->rdi :
		      t->restart == RESTART_CLOCK_NANOSLEEP ? r->rdx : r->r10;
	struct timespec ts = { 0 };

	if (t->restart == RESTART_POLL)
		return (int64_t)(int)r->rdx * 1000000;
	if (!at || !read_task(t->t.tid, at, &ts, sizeof(ts)))
		return 0;
	return ts.tv_sec > INT64_MAX / 4 / NSEC_PER_SEC ? INT64_MAX / 4
							 : ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

static int64_t as_monotonic(const struct seen_timer *t)
{
	static const clockid_t clocks[4] = { CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_BOOTTIME, CLOCK_TAI };

	return (int64_t)t->expires - clock_now(clocks[t->clock]) + clock_now(CLOCK_MONOTONIC);
}

/* It ends neither long ago nor later than the thread was to sleep in all. */
static bool plausible(const struct seen_timer *timer, const struct dump_thread *t)
{
	int64_t left = as_monotonic(timer) - clock_now(CLOCK_MONOTONIC), whole = whole_time(t);

	return left > -NSEC_PER_SEC && (!whole || left <= whole);
}

/* The one timer that was there in the thread's looks and in no other. */
static const struct seen_timer *find_timer(const struct measure *m, size_t index)
{
	const struct seen_timer key = { .looks = looks_of(m, index) }, *found = NULL, *at;
	const struct seen_timer *end = m->timers + m->n_timers;

	at = m->n_timers ? bsearch(&key, m->timers, m->n_timers, sizeof(key), by_looks) : NULL;
	while (at && at > m->timers && at[-1].looks == key.looks)
		at--;
	for (; at && at < end && at->looks == key.looks; at++) {
		if (!plausible(at, m->threads[index]))
			continue;
		if (found)
			return NULL;
		found = at;
	}
	return found;
}

/* At least two rounds, as few as their number allows, and no more groups in them than that needs. */
static void plan_rounds(struct measure *m)
{
	size_t numbers = 0;

	for (m->n_rounds = 2; m->n_rounds <= MAX_ROUNDS; m->n_rounds++)
		for (m->n_groups = 1; m->n_groups <= MAX_GROUPS; m->n_groups++) {
			numbers = 1;
			for (unsigned int round = 0; round < m->n_rounds; round++)
				numbers *= m->n_groups;
			if (numbers >= m->n)
				return;
		}
	m->n_rounds = MAX_ROUNDS;
	m->n_groups = MAX_GROUPS;
}

static int measure(struct measure *m, struct ct_error *err)
{
	plan_rounds(m);
	m->n_timers = 0;
	m->look = 0;
	for (m->round = 0; m->round < m->n_rounds; m->round++) {
		int r = m->round ? look(m, err) : 0;

		if (r == 0)
			r = run_round(m, err);
		if (r < 0)
			return r;
	}
	if (m->n_timers)
		qsort(m->timers, m->n_timers, sizeof(*m->timers), by_looks);
	for (size_t i = 0; i < m->n; i++) {
		const struct seen_timer *timer = find_timer(m, i);

		if (timer)
			m->threads[i]->deadline = as_monotonic(timer);
	}
	return 0;
}

/* Again with those whose timer was not found; their order changes. */
static int measure_all(struct measure *m, struct ct_error *err)
{
	int r = 0;

	for (int i = 0; r == 0 && m->n && !m->hidden && i < TRIES; i++) {
		size_t n = 0;

		m->reads = i ? 3 : 1;
		r = measure(m, err);
		for (size_t k = 0; k < m->n; k++) {
			struct dump_thread *t = m->threads[k];

			if (!wanted(t) || t->restart == RESTART_NONE || t->deadline)
				continue;
			m->threads[k] = m->threads[n];
			m->threads[n++] = t;
		}
		m->n = n;
	}
	return r;
}

/* ---- each thread ---- */

/* What the kernel itself has written: it did so when the pod was frozen. */
static bool read_remainder(struct dump_thread *t)
{
	uint64_t at = restart_remainder_at(t->restart, &t->t.regs);
	struct timespec ts;

	if (!at || !read_task(t->t.tid, at, &ts, sizeof(ts)))
		return false;
	t->deadline = t->process->dump->frozen_at + ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
	return true;
}

int dump_restarts(struct dump *d, struct ct_error *err)
{
	__cleanup(measure_release) struct measure m = { .d = d };
	size_t max = 0, n;
	int r = 0;

	for (size_t i = 0; i < d->n_processes; i++)
		max += d->processes[i].n_threads;
	m.threads = calloc(max ? max : 1, sizeof(*m.threads));
	m.running = calloc(max ? max : 1, sizeof(*m.running));
	if (!m.threads || !m.running)
		return error_errno(err, -ENOMEM, "threads");
	for (size_t i = 0; i < d->n_processes; i++)
		for (size_t k = 0; k < d->processes[i].n_threads; k++) {
			struct dump_thread *t = &d->processes[i].threads[k];

			if (!wanted(t))
				continue;
			t->restart_nr = (long)t->t.regs.orig_rax;
			t->restart = restart_call(t->restart_nr, &t->t.regs);
			/* With a signal to take the call ends at once. */
			if (signals_pending(t))
				continue;
			if (t->restart == RESTART_UNKNOWN ||
			    (t->restart != RESTART_NONE && !read_remainder(t)))
				m.threads[m.n++] = t;
		}
	n = m.n;
	r = measure_all(&m, err);
	for (size_t i = 0; r == 0 && i < n; i++) {
		struct dump_thread *t = m.threads[i];

		if (!wanted(t)) {
			t->restart = RESTART_NONE; /* its sleep has ended */
			continue;
		}
		if (t->restart == RESTART_UNKNOWN) {
			dump_refuse_process(d, t->process, "thread %d is in an interrupted system call that "
							   "cannot be told (/proc/PID/stack is missing)",
					    t->t.vtid);
			dump_passing(d);
			continue;
		}
		/* By the kernel's word where there is one; else the time begins anew. */
		if (t->restart != RESTART_NONE && !t->deadline && !read_remainder(t))
			t->deadline = d->frozen_at + whole_time(t);
	}
	return r;
}

void dump_restart_regs(const struct dump_thread *t, struct user_regs_struct *regs)
{
	if (t->process->dump->verify || restart_kind(regs) != RESTART_BLOCK)
		return;
	regs->orig_rax = (uint64_t)t->restart_nr;
	/* Without a limit, or with one at a point of time, it may simply be made anew. */
	if (t->restart == RESTART_NONE || t->restart == RESTART_UNKNOWN)
		regs->rax = (uint64_t)-RESTART_NOHAND;
}
