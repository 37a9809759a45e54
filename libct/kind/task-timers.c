/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Timers of a process: the three interval timers (man 2 setitimer) and POSIX timers (man 2
 * timer_create). /proc/PID/timers shows how POSIX timers were made, the process itself asks what
 * remains. They are made again under the same numbers, disarmed, and set last of all, so that none
 * expires in a pod that does not run yet.
 *
 * When a timer expires is kept as a time of the pod's monotonic clock, for CPU clocks as what
 * remains. A timer of the wall clock that was set to a time of day expires at that time. Only the
 * kernel's list of running timers shows it: those set to a span are among the monotonic ones there.
 * One that does not run just now, because its last signal is pending still, goes on as one that was
 * set to a span, and so does one that is never signalled (SIGEV_NONE). Overruns that were not asked
 * for begin at zero.
 */
#include <inttypes.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include "libct/kind.h"
#include "libct/kind/clock.h"
#include "libct/kind/task-timers.h"
#include "libct/task/timer-list.h"

#ifndef PR_TIMER_CREATE_RESTORE_IDS /* Linux 6.15 */
#define PR_TIMER_CREATE_RESTORE_IDS 77
#define PR_TIMER_CREATE_RESTORE_IDS_OFF 0
#define PR_TIMER_CREATE_RESTORE_IDS_ON 1
#define PR_TIMER_CREATE_RESTORE_IDS_GET 2
#endif

#define MAX_TIMERS 65536
#define MAX_STEPS 100000 /* to a number, where numbers cannot be chosen */
#define BATCH 32
#define SLACK 1000 /* ns, between clocks that are read one after the other */
#define MOST (INT64_MAX / 2)

static const char *const itimer_names[N_ITIMERS] = { "real", "virtual", "profiling" };

static int64_t from_timespec(const struct timespec *t)
{
	return t->tv_sec > MOST / NSEC_PER_SEC ? MOST : t->tv_sec * NSEC_PER_SEC + t->tv_nsec;
}

static int64_t from_timeval(const struct timeval *t)
{
	return t->tv_sec > MOST / NSEC_PER_SEC ? MOST : t->tv_sec * NSEC_PER_SEC + t->tv_usec * 1000;
}

/* ---- dump ---- */

static int parse_timer(const struct dump_process *p, char *text, struct posix_timer *t)
{
	char *signal = strstr(text, "signal: "), *notify = strstr(text, "notify: "),
	     *clock = strstr(text, "ClockID: ");
	char how[16], target[8];
	int tid;

	if (!signal || !notify || !clock ||
	    sscanf(signal, "signal: %d/%" SCNx64, &t->signal, &t->value) != 2 ||
	    sscanf(notify, "notify: %15[^/]/%7[^.].%d", how, target, &tid) != 3 ||
	    sscanf(clock, "ClockID: %d", &t->clock) != 1)
		return -EBADMSG;
	t->notify = !strcmp(how, "none") ? SIGEV_NONE : !strcmp(how, "thread") ? SIGEV_THREAD : SIGEV_SIGNAL;
	if (strcmp(target, "tid"))
		return 0;
	t->notify |= SIGEV_THREAD_ID;
	for (size_t i = 0; i < p->n_threads; i++)
		if (p->threads[i].t.tid == tid)
			t->vtid = p->threads[i].t.vtid;
	return 0;
}

static int compare_ids(const void *a, const void *b)
{
	const struct posix_timer *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

static int find_timers(struct dump *d, struct dump_process *p, struct ct_error *err)
{
	struct task_timers *all = &p->timers;
	cleanup_free char *text = NULL;
	ssize_t len = proc_read(d->proc, p->pid, "timers", &text);
	size_t n = 0;

	free(take_ptr(all->posix));
	all->n_posix = 0;
	if (len == -ENOENT)
		return 0; /* a kernel without CONFIG_CHECKPOINT_RESTORE or POSIX timers */
	if (len < 0)
		return error_errno(err, (int)len, "read 'timers'");
	for (char *at = text; (at = strstr(at, "ID: ")); at++)
		n++;
	all->posix = calloc(n + 1, sizeof(*all->posix));
	if (!all->posix)
		return error_errno(err, -ENOMEM, "timers");
	/* "ID: " begins each; the last line's "ClockID: " has it too. */
	for (char *at = strncmp(text, "ID: ", 4) ? NULL : text; at;) {
		char *next = strstr(at, "\nID: ");
		struct posix_timer *t = &all->posix[all->n_posix++];

		if (next)
			*next++ = '\0';
		t->id = (int)strtol(at + 4, NULL, 10);
		if (parse_timer(p, at, t) < 0)
			return error_set(err, -ENOSYS, "'timers' is not of the known form");
		at = next;
	}
	qsort(all->posix, all->n_posix, sizeof(*all->posix), compare_ids);
	return 0;
}

static bool has_thread(const struct dump_process *p, pid_t vtid)
{
	for (size_t i = 0; i < p->n_threads; i++)
		if (p->threads[i].t.vtid == vtid)
			return true;
	return false;
}

/* Kernel clocks below 0 count CPU time: bit 2 says that it is a thread's, the upper ones whose, 0 of who made the timer. */
static bool of_a_thread(int clock)
{
	return clock == CLOCK_THREAD_CPUTIME_ID || (clock < 0 && clock & 4);
}

static void check_timer(struct dump *d, const struct dump_process *p, const struct posix_timer *t)
{
	bool thread = of_a_thread(t->clock);
	pid_t vtid = t->clock < 0 ? (pid_t) ~(t->clock >> 3) : 0;

	if (thread && !vtid && p->n_threads > 1)
		dump_refuse_process(d, p, "its timer %d counts the CPU time of one of several threads, and of which the kernel "
					  "does not tell (CLOCK_THREAD_CPUTIME_ID), so it is not carried; "
					  "pthread_getcpuclockid(3) gives a clock that does", t->id);
	if (thread && vtid && !has_thread(p, vtid))
		dump_refuse_process(d, p, "its timer %d counts the CPU time of a thread that has ended, which is not "
					  "carried; delete it first", t->id);
	if (t->notify & SIGEV_THREAD_ID && !t->vtid)
		dump_refuse_process(d, p, "its timer %d signals a thread that has ended, which is not carried; delete "
					  "it first", t->id);
}

/* What cannot be read is an error when the process is asked. */
static void process_check(struct dump *d, struct dump_process *p)
{
	struct ct_error err = { 0 };

	if (find_timers(d, p, &err) < 0)
		return;
	for (size_t i = 0; i < p->timers.n_posix; i++)
		check_timer(d, p, &p->timers.posix[i]);
}

/* Timers that expire between two moments, of the wall clock or of the monotonic one. */
struct window {
	int64_t first[2], last[2]; /* [0] monotonic */
	int64_t found[2];
};

static int in_window(void *context, unsigned int clock, uint64_t expires)
{
	struct window *w = context;

	clock %= 4;
	if (clock < 2 && (int64_t)expires >= w->first[clock] && (int64_t)expires <= w->last[clock])
		w->found[clock] = (int64_t)expires;
	return 0;
}

/* Was it set to a time of day? What remained of it was asked for between `before` and now. */
static void find_wall(struct dump *d, struct posix_timer *t, int64_t before)
{
	int64_t after = clock_now(CLOCK_MONOTONIC), wall = clock_now(CLOCK_REALTIME) - after;
	struct window w = {
		.first = { before + t->remaining - SLACK, before + wall + t->remaining - SLACK },
		.last = { after + t->remaining + SLACK, after + wall + t->remaining + SLACK },
	};

	if (timer_list_read(d->proc, "posix_timer_fn", in_window, &w) == 0 && !w.found[0])
		t->wall = w.found[1];
}

/* What remains of POSIX timers [first, last). */
static int ask_posix(struct dump_process *p, size_t first, size_t last, struct ct_error *err)
{
	__cleanup(tape_release) struct tape tape = { 0 };
	int r = tape_init(&tape, &p->site, BATCH, err);
	int64_t before = clock_now(CLOCK_MONOTONIC);
	uint64_t at = 0;

	if (r < 0)
		return r;
	for (size_t i = first; i < last; i++) {
		uint64_t room = tape_room(&tape, sizeof(struct itimerspec));

		at = i == first ? room : at;
		tape_must(&tape, "timer_gettime", SYS_timer_gettime, (uint64_t)p->timers.posix[i].id,
			  room, 0, 0, 0, 0);
	}
	r = tape_run(&tape, &p->threads[0].t, NULL, NULL, err);
	if (r < 0)
		return r;
	for (size_t i = first; i < last; i++) {
		const struct itimerspec *now = tape_at(&tape, at + (i - first) * sizeof(*now));

		p->timers.posix[i].interval = from_timespec(&now->it_interval);
		p->timers.posix[i].remaining = from_timespec(&now->it_value);
	}
	for (size_t i = first; i < last; i++) {
		struct posix_timer *t = &p->timers.posix[i];

		if (t->clock == CLOCK_REALTIME && t->remaining && !(t->notify & SIGEV_NONE))
			find_wall(p->dump, t, before);
	}
	return 0;
}

static int ask_itimers(struct dump_process *p, struct ct_error *err)
{
	__cleanup(tape_release) struct tape tape = { 0 };
	int r = tape_init(&tape, &p->site, N_ITIMERS, err);
	uint64_t at[N_ITIMERS];

	if (r < 0)
		return r;
	for (size_t i = 0; i < N_ITIMERS; i++) {
		at[i] = tape_room(&tape, sizeof(struct itimerval));
		tape_must(&tape, "getitimer", SYS_getitimer, i, at[i], 0, 0, 0, 0);
	}
	r = tape_run(&tape, &p->threads[0].t, NULL, NULL, err);
	for (size_t i = 0; r == 0 && i < N_ITIMERS; i++) {
		const struct itimerval *now = tape_at(&tape, at[i]);

		p->timers.itimers[i].interval = from_timeval(&now->it_interval);
		p->timers.itimers[i].remaining = from_timeval(&now->it_value);
	}
	return r;
}

int task_timers_read(struct dump *d, struct dump_process *p, struct ct_error *err)
{
	int r = find_timers(d, p, err);

	p->timers.at = clock_now(CLOCK_MONOTONIC);
	if (r == 0)
		r = ask_itimers(p, err);
	for (size_t i = 0; r == 0 && i < p->timers.n_posix; i += BATCH)
		r = ask_posix(p, i, i + BATCH < p->timers.n_posix ? i + BATCH : p->timers.n_posix, err);
	return r;
}

void task_timers_release(struct task_timers *t)
{
	free(t->posix);
	memset(t, 0, sizeof(*t));
}

static bool of_cpu(int clock)
{
	return clock < 0 || clock == CLOCK_PROCESS_CPUTIME_ID || clock == CLOCK_THREAD_CPUTIME_ID;
}

static void put_expiry(struct node *n, const struct task_timers *all, int64_t offset, bool cpu,
		       int64_t interval, int64_t remaining, int64_t wall)
{
	/* Timers go on while one looks at them; and --verify looks before they are set. */
	struct node *state = node_put_object(n, "volatile");

	/* An interval without a rest: its signal is pending, and when that is taken the timer runs again. */
	if (!remaining && !interval)
		return;
	remaining = remaining ? remaining : 1;
	node_put_i64(state, "interval", interval);
	if (wall)
		node_put_i64(state, "wall", wall);
	else if (cpu)
		node_put_i64(state, "remaining", remaining);
	else
		node_put_i64(state, "expires", all->at + offset + remaining);
}

static void put_posix(struct dump_process *p, const struct posix_timer *t, int64_t offset, struct node *list)
{
	struct node *n = node_put_object(list, NULL);

	node_put_i64(n, "id", t->id);
	node_put_i64(n, "clock", t->clock);
	node_put_i64(n, "notify", t->notify);
	node_put_i64(n, "signal", t->signal);
	node_put_hex(n, "value", t->value);
	if (t->vtid)
		node_put_i64(n, "thread", t->vtid);
	put_expiry(n, &p->timers, offset, of_cpu(t->clock), t->interval, t->remaining,
		   t->wall);
}

static int process_dump(struct dump *d, struct dump_process *p, const struct tape *tape,
			struct tape_mark mark, struct node *n, struct ct_error *err)
{
	struct node *list = NULL;
	int64_t offset;
	/* They were read along with the pending signals: task-signals.c. */
	int r = clock_offset(d->proc, d->pod->state.pid1, CLOCK_MONOTONIC, &offset, err);

	for (size_t i = 0; r == 0 && i < N_ITIMERS; i++)
		put_expiry(node_put_object(n, itimer_names[i]), &p->timers, offset, i != ITIMER_REAL,
			   p->timers.itimers[i].interval, p->timers.itimers[i].remaining, 0);
	if (r == 0 && p->timers.n_posix)
		list = node_put_array(n, "posix");
	for (size_t i = 0; r == 0 && i < p->timers.n_posix; i++)
		put_posix(p, &p->timers.posix[i], offset, list);
	return r;
}

/* ---- restore ---- */

static const struct node *posix_of(const struct node *n)
{
	return node_has(n, "posix") ? node_array(n, "posix") : NULL;
}

static uint64_t tape_event(const struct node *t, struct tape *tape)
{
	struct sigevent event;

	memset(&event, 0, sizeof(event));
	event.sigev_notify = (int)node_i64(t, "notify", 0, SIGEV_THREAD | SIGEV_THREAD_ID | SIGEV_NONE);
	event.sigev_signo = (int)node_i64(t, "signal", 0, 64);
	event.sigev_value.sival_ptr = (void *)(uintptr_t)node_hex(t, "value");
	if (node_has(t, "thread"))
		event._sigev_un._tid = (pid_t)node_i64(t, "thread", 1, 1 << 22);
	return tape_data(tape, &event, sizeof(event));
}

/* Before Linux 6.15 numbers are given in ascending order: those that the image does not have are used up. */
static int use_up(struct tape *tape, int64_t *next, int64_t id, struct ct_error *err)
{
	if (id - *next > MAX_STEPS)
		return error_set(err, -ENOSYS,
				 "a POSIX timer has number %" PRId64
				 ", which this kernel cannot give again (Linux 6.15 can)",
				 id);
	for (; *next < id; ++*next) {
		int e = tape_need(tape, 2, 32, err);

		if (e < 0)
			return e;
		tape_must(tape, "timer_create", SYS_timer_create, CLOCK_MONOTONIC, 0,
			  tape_room(tape, sizeof(int)), 0, 0, 0);
		tape_must(tape, "timer_delete", SYS_timer_delete, (uint64_t)*next, 0, 0, 0, 0, 0);
	}
	return 0;
}

/* When all threads exist, because some timers signal one of them. */
static int process_restore_late(struct restore *r, struct restore_process *p, const struct node *n,
				struct ct_error *err)
{
	bool choose = prctl(PR_TIMER_CREATE_RESTORE_IDS, PR_TIMER_CREATE_RESTORE_IDS_GET, 0, 0, 0) >= 0;
	const struct node *list = posix_of(n);
	struct tape *tape = &p->tape;
	int64_t next = 0;

	/* process_start() reads the rest, when it is known already that the whole image was read. */
	for (int i = 0; i < N_ITIMERS; i++)
		node_ignore(node_object(n, itimer_names[i]));
	if (!list)
		return 0;
	if (node_count(list) > MAX_TIMERS)
		node_complain(n, "%zu timers", node_count(list));
	if (choose)
		tape_must(tape, "prctl(PR_TIMER_CREATE_RESTORE_IDS)", SYS_prctl,
			  PR_TIMER_CREATE_RESTORE_IDS, PR_TIMER_CREATE_RESTORE_IDS_ON, 0, 0, 0, 0);
	for (size_t i = 0; i < node_count(list); i++) {
		const struct node *t = node_at(list, i);
		int id = (int)node_i64(t, "id", 0, INT32_MAX);
		uint64_t event, at;
		int e;

		node_ignore(node_object(t, "volatile"));
		e = doc_check(r->doc, err);

		if (e == 0 && !choose)
			e = use_up(tape, &next, id, err);
		if (e == 0)
			e = tape_need(tape, 2, 128, err);
		if (e < 0)
			return e;
		event = tape_event(t, tape);
		at = tape_data(tape, &id, sizeof(id));
		tape_must(tape, "timer_create", SYS_timer_create,
			  (uint64_t)node_i64(t, "clock", INT32_MIN, INT32_MAX), event, at, 0, 0, 0);
		next = (int64_t)id + 1;
	}
	if (choose) {
		int e = tape_need(tape, 1, 0, err);

		if (e < 0)
			return e;
		tape_must(tape, "prctl(PR_TIMER_CREATE_RESTORE_IDS)", SYS_prctl,
			  PR_TIMER_CREATE_RESTORE_IDS, PR_TIMER_CREATE_RESTORE_IDS_OFF, 0, 0, 0, 0);
	}
	return restore_run(p, err);
}

/* What remains for the timer now, at least 1 ns, or the time of day it is set to; 0: it was not set. */
static int64_t remaining(const struct node *t, int64_t offset, int64_t *ret_interval)
{
	const struct node *state = node_object(t, "volatile");
	int64_t left;

	*ret_interval = node_has(state, "interval") ? node_i64(state, "interval", 0, MOST) : 0;
	if (node_has(state, "wall"))
		return node_i64(state, "wall", 1, MOST);
	if (node_has(state, "remaining"))
		return node_i64(state, "remaining", 1, MOST);
	if (!node_has(state, "expires"))
		return 0;
	left = node_i64(state, "expires", 1, INT64_MAX) - offset - clock_now(CLOCK_MONOTONIC);
	return left > 0 ? left : 1;
}

static int start_itimer(const struct node *t, int which, int64_t offset, struct tape *tape)
{
	int64_t interval, left = remaining(t, offset, &interval);
	struct itimerval value;

	if (!left)
		return 0;
	left = left < 1000 ? 1000 : left;
	value.it_value = (struct timeval){ left / NSEC_PER_SEC, left % NSEC_PER_SEC / 1000 };
	value.it_interval = (struct timeval){ interval / NSEC_PER_SEC, interval % NSEC_PER_SEC / 1000 };
	if (tape)
		tape_must(tape, "setitimer", SYS_setitimer, (uint64_t)which,
			  tape_data(tape, &value, sizeof(value)), 0, 0, 0, 0);
	return 1;
}

static int start_posix(const struct node *t, int64_t offset, struct tape *tape, struct ct_error *err)
{
	const struct node *state = node_object(t, "volatile");
	bool wall = node_has(state, "wall");
	int64_t interval, left = remaining(t, offset, &interval);
	struct itimerspec value = { { interval / NSEC_PER_SEC, interval % NSEC_PER_SEC },
				    { left / NSEC_PER_SEC, left % NSEC_PER_SEC } };
	int e;

	if (!left || !tape)
		return left != 0;
	e = tape_need(tape, 1, sizeof(value), err);
	if (e == 0)
		tape_must(tape, "timer_settime", SYS_timer_settime,
			  (uint64_t)node_i64(t, "id", 0, INT32_MAX), wall ? TIMER_ABSTIME : 0,
			  tape_data(tape, &value, sizeof(value)), 0, 0, 0);
	return e < 0 ? e : 1;
}

static int process_start(struct restore *r, struct restore_process *p, const struct node *n,
			 struct tape *tape, struct ct_error *err)
{
	const struct node *list = posix_of(n);
	int64_t offset;
	int some = 0, e = clock_offset(r->proc, r->pod->state.pid1, CLOCK_MONOTONIC, &offset, err);

	for (int i = 0; e >= 0 && i < N_ITIMERS; i++) {
		e = start_itimer(node_object(n, itimer_names[i]), i, offset, tape);
		some |= e > 0;
	}
	for (size_t i = 0; e >= 0 && i < node_count(list); i++) {
		e = start_posix(node_at(list, i), offset, tape, err);
		some |= e > 0;
	}
	return e < 0 ? e : some;
}

const struct kind kind_timers = {
	.name = "timers",
	.carries = "interval timers and POSIX timers with their numbers and what remains of them, or the time of "
		   "day that they are set to",
	.refuses = "timers of CLOCK_THREAD_CPUTIME_ID in a process of several threads, those of a thread that has ended",
	.victims = "timer-itimer timer-posix timer-wall timer-thread timer-cpu timer-cpu-threads refused-timers",
	.process_check = process_check,
	.process_dump = process_dump,
	.process_restore_late = process_restore_late,
	.process_start = process_start,
};
