/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long had a thread been waiting in epoll_wait(2), epoll_pwait2(2), rt_sigtimedwait(2), semtimedop(2) or
 * io_getevents(2) when it was stopped? The kernel ends these calls with EINTR and forgets; made anew with their own argument they would wait for the whole time
 * again. So right before the freeze it is noted when each such thread was last on a CPU (se.exec_start of
 * /proc/TID/sched, in the scheduler's clock of that CPU), and the argument, a register that no C
 * library looks at afterwards, becomes what remains.
 *
 * Whether the thread woke and slept again before the freeze, the number of its context switches
 * tells: then its wait has only just begun.
 */
#include <inttypes.h>
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#include "libct/base/error.h"
#include "libct/base/sys.h"
#include "libct/dump-steps.h"
#include "libct/kind/clock.h"

#define MAX_CPUS 8192

struct sleep_note {
	pid_t tid;
	int64_t since; /* our monotonic clock */
	uint64_t switches;
	bool woken; /* meanwhile */
};

struct sleep_notes {
	struct sleep_note *notes;
	size_t n, max;
	int64_t offsets[MAX_CPUS]; /* our monotonic clock less the CPU's; 0: not known yet */
};

void sleep_notes_free(struct sleep_notes *s)
{
	if (!s)
		return;
	free(s->notes);
	free(s);
}

static bool read_number(struct dump *d, pid_t tid, const char *file, const char *key, int64_t *ret)
{
	cleanup_free char *text = NULL;
	int64_t whole, fraction = 0;
	char *at;

	if (proc_read(d->proc, tid, file, &text) < 0)
		return false;
	at = strstr(text, key);
	at = at ? strchr(at, ':') : NULL;
	if (!at || sscanf(at + 1, "%" SCNd64 ".%" SCNd64, &whole, &fraction) < 1)
		return false;
	/* Milliseconds and six digits of them, or a mere count. */
	*ret = strstr(at, ".") && strchr(at, '.') < at + strcspn(at, "\n") ? whole * 1000000 + fraction
									    : whole;
	return true;
}

/* Our own last moment of getting that CPU, in both clocks. */
static int64_t calibrate(struct dump *d, struct sleep_notes *s, unsigned int cpu)
{
	const struct timespec instant = { 0, 1 };
	uint64_t old[MAX_CPUS / 64], one[MAX_CPUS / 64] = { 0 };
	int64_t ours;

	if (cpu >= MAX_CPUS)
		return 0;
	if (s->offsets[cpu])
		return s->offsets[cpu];
	if (syscall(SYS_sched_getaffinity, 0, sizeof(old), memset(old, 0, sizeof(old))) < 0)
		return 0;
	one[cpu / 64] = 1ULL << (cpu % 64);
	if (syscall(SYS_sched_setaffinity, 0, sizeof(one), one) < 0)
		return 0;
	nanosleep(&instant, NULL);
	if (read_number(d, sys_gettid(), "sched", "se.exec_start", &ours))
		s->offsets[cpu] = clock_now(CLOCK_MONOTONIC) - ours;
	syscall(SYS_sched_setaffinity, 0, sizeof(old), old);
	return s->offsets[cpu];
}

static int note_thread(struct dump *d, struct sleep_notes *s, pid_t pid, pid_t tid)
{
	cleanup_free char *text = NULL;
	uint64_t args[5];
	struct sleep_note *grown;
	struct proc_stat stat;
	int64_t nr, ran, switches, offset;

	/* "232 0x3 0x7ffe... 0x10 0x1388 ...", or "running" */
	if (proc_read(d->proc, tid, "syscall", &text) < 0 ||
	    sscanf(text, "%" SCNd64 " %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64, &nr, &args[0],
		   &args[1], &args[2], &args[3], &args[4]) != 6 ||
	    restart_forgetful((long)nr, args) == RESTART_NONE)
		return 0;
	/* The switches first: one more afterwards makes the note worthless, not wrong. */
	if (!read_number(d, tid, "status", "\nvoluntary_ctxt_switches", &switches) ||
	    !read_number(d, tid, "sched", "se.exec_start", &ran) ||
	    proc_stat(d->proc, pid, tid, &stat) < 0)
		return 0;
	offset = calibrate(d, s, (unsigned int)stat.f[39]);
	if (!offset)
		return 0;
	if (s->n == s->max) {
		grown = realloc(s->notes, (s->max * 2 + 64) * sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		s->notes = grown;
		s->max = s->max * 2 + 64;
	}
	s->notes[s->n++] = (struct sleep_note){ tid, ran + offset, (uint64_t)switches, false };
	return 0;
}

int dump_note_sleeps(struct dump *d, struct ct_error *err)
{
	cleanup_free pid_t *pids = NULL;
	ssize_t n = cgroup_processes(d->pod->state.cgroup, &pids, err);
	int r = 0;

	if (n < 0)
		return (int)n;
	sleep_notes_free(d->sleeps);
	d->sleeps = calloc(1, sizeof(*d->sleeps));
	if (!d->sleeps)
		return error_errno(err, -ENOMEM, "threads");
	for (ssize_t i = 0; r == 0 && i < n; i++) {
		cleanup_free int *tids = NULL;
		ssize_t n_tids = proc_numbers(d->proc, pids[i], "task", &tids);

		for (ssize_t k = 0; r == 0 && k < n_tids; k++)
			r = note_thread(d, d->sleeps, pids[i], tids[k]);
	}
	return r < 0 ? error_errno(err, r, "threads") : 0;
}

void dump_check_sleeps(struct dump *d)
{
	for (size_t i = 0; d->sleeps && i < d->sleeps->n; i++) {
		struct sleep_note *note = &d->sleeps->notes[i];
		int64_t switches;

		/* Into the freezer is one. */
		note->woken = !read_number(d, note->tid, "status", "\nvoluntary_ctxt_switches",
					   &switches) ||
			      (uint64_t)switches > note->switches + 1;
	}
}

void dump_shorten_wait(struct dump_thread *t)
{
	struct dump *d = t->process->dump;
	struct user_regs_struct *regs = &t->t.regs;
	enum restart_call call = restart_timed(regs);

	if (!d->sleeps || call < RESTART_EPOLL || call >= RESTART_UNKNOWN)
		return;
	for (size_t i = 0; i < d->sleeps->n; i++) {
		const struct sleep_note *note = &d->sleeps->notes[i];

		if (note->tid == t->t.tid && !note->woken)
			restart_set_left(t->t.tid, call, regs,
					 restart_left(t->t.tid, call, regs) -
						 (d->frozen_at - note->since));
	}
}
