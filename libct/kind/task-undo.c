/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a process adds to System V semaphores when it ends (SEM_UNDO, man 2 semop): its adjustments. The threads
 * of a process share a list of them, which the kernel shows nowhere; kcmp(2) tells who has one.
 *
 * But it refuses an adjustment that leaves the range of a short, and forgets the whole of a semop(2) of which one
 * operation is impossible. So the process asks: it counts an adjustment down by so much, waits for zero where there
 * is none, and is told ERANGE or EAGAIN. Nothing ever comes of it, not even when podckpt is killed.
 *
 * Not carried: lists that are shared by processes, or not by threads (clone(2) with or without CLONE_SYSVSEM).
 */
#include <linux/kcmp.h>
#include <string.h>
#include <sys/sem.h>
#include <sys/syscall.h>

#include "libct/base/cleanup.h"
#include "libct/base/sys.h"
#include "libct/kind.h"
#include "libct/kind/ns-ipc.h"
#include "libct/visit.h"

#define LEAST (-32768) /* an adjustment; a semaphore's value is never negative */
#define MOST 32767
#define BATCH 64
#define MAX_OPS 8

union semun {
	int val;
	struct semid_ds *buf;
	unsigned short *array;
	struct seminfo *info;
};

/* ---- operations on one semaphore ---- */

struct ops {
	struct sembuf op[MAX_OPS];
	size_t n;
};

static void add(struct ops *o, unsigned short semaphore, int by, int flags)
{
	o->op[o->n++] = (struct sembuf){ semaphore, (short)by, (short)(IPC_NOWAIT | flags) };
}

static void add_unless_zero(struct ops *o, unsigned short semaphore, int by)
{
	if (by)
		add(o, semaphore, by, 0);
}

/* From and to a value of zero, which stands open at the end: adjustment minus `by`. */
static void count_down(struct ops *o, unsigned short semaphore, int by)
{
	while (by) {
		int step = by < MOST ? by : MOST;

		add(o, semaphore, step, SEM_UNDO);
		by -= step;
		add(o, semaphore, -step, 0);
	}
}

static uint64_t ops_data(struct tape *tape, const struct ops *o)
{
	return tape_data(tape, o->op, o->n * sizeof(o->op[0]));
}

/* ---- dump ---- */

/* Is the adjustment of this semaphore `at_least` so much? */
struct question {
	int set;
	unsigned short semaphore, value;
	int at_least; /* above LEAST */
	bool yes;
};

static size_t add_question(struct tape *tape, const struct question *q)
{
	struct ops o = { .n = 0 };

	add_unless_zero(&o, q->semaphore, -(int)q->value);
	count_down(&o, q->semaphore, q->at_least - LEAST);
	o.n--; /* not zero: */
	add(&o, q->semaphore, 0, 0);
	return tape_call(tape, SYS_semop, (uint64_t)q->set, ops_data(tape, &o), o.n, 0, 0, 0);
}

static int ask(struct dump_process *p, struct question *q, size_t n, struct ct_error *err)
{
	for (size_t done = 0, batch; done < n; done += batch) {
		__cleanup(tape_release) struct tape tape = { 0 };
		int r = tape_init(&tape, &p->site, BATCH, err);

		batch = n - done < BATCH ? n - done : BATCH;
		for (size_t i = 0; r == 0 && i < batch; i++)
			add_question(&tape, &q[done + i]);
		if (r == 0)
			r = tape_run(&tape, &p->threads[0].t, NULL, NULL, err);
		for (size_t i = 0; r == 0 && i < batch; i++) {
			int64_t result = tape.entries[i].result;

			q[done + i].yes = result == -EAGAIN;
			if (result != -EAGAIN && result != -ERANGE)
				return error_set(err, -EOPNOTSUPP, "it may have adjustments of System V semaphore "
								   "set %d (SEM_UNDO), which it may not ask for (%s)",
						 q[done + i].set, strerror((int)-result));
		}
		if (r < 0)
			return r;
	}
	return 0;
}

/* The greatest that it is at least. */
static int find_adjustment(struct dump_process *p, struct question q, int *ret, struct ct_error *err)
{
	int least = LEAST, most = MOST;

	while (least < most) {
		int r;

		q.at_least = least + (most - least + 1) / 2;
		r = ask(p, &q, 1, err);
		if (r < 0)
			return r;
		if (q.yes)
			least = q.at_least;
		else
			most = q.at_least - 1;
	}
	*ret = least;
	return 0;
}

/* Puts those that are not zero into *list, which is made for the first one. */
static int dump_set(struct dump_process *p, int id, size_t n, struct node *to, struct node **list,
		    struct ct_error *err)
{
	cleanup_free unsigned short *values = calloc(n + 1, sizeof(*values));
	cleanup_free struct question *q = calloc(2 * n + 1, sizeof(*q));
	int r;

	if (!values || !q)
		return error_errno(err, -ENOMEM, "semaphores");
	if (semctl(id, 0, GETALL, (union semun){ .array = values }) < 0)
		return error_errno(err, -errno, "values of semaphore set %d", id);
	for (size_t i = 0; i < 2 * n; i++)
		q[i] = (struct question){ id, (unsigned short)(i / 2), values[i / 2], (int)(i % 2), false };
	r = ask(p, q, 2 * n, err);
	for (size_t i = 0; r == 0 && i < n; i++) {
		int value = 0;
		struct node *one;

		if (q[2 * i].yes && !q[2 * i + 1].yes)
			continue; /* at least 0 and not 1 */
		r = find_adjustment(p, q[2 * i], &value, err);
		if (!*list)
			*list = node_put_array(to, "adjustments");
		one = node_put_object(*list, NULL);
		node_put_i64(one, "set", id);
		node_put_u64(one, "semaphore", i);
		node_put_i64(one, "by", value);
	}
	return r;
}

/* Some process that has no list: one of ours, with one thread. */
static pid_t nobody(const struct dump *d)
{
	return d->pod->config.no_init ? d->pod->state.monitor : d->pod->state.pid1;
}

static void process_check(struct dump *d, struct dump_process *p)
{
	pid_t none = nobody(d);

	for (size_t i = 1; i < p->n_threads; i++) {
		pid_t tid = p->threads[i].t.tid;

		if (sys_kcmp(p->pid, tid, KCMP_SYSVSEM, 0, 0) > 0 && sys_kcmp(tid, none, KCMP_SYSVSEM, 0, 0) > 0)
			dump_refuse_process(d, p, "thread %d has adjustments of System V semaphores (SEM_UNDO) of its "
						  "own, which is not carried", p->threads[i].t.vtid);
	}
	if (p->zombie || sys_kcmp(p->pid, none, KCMP_SYSVSEM, 0, 0) <= 0)
		return;
	for (const struct dump_process *other = d->processes; other < p; other++)
		if (!other->zombie && sys_kcmp(p->pid, other->pid, KCMP_SYSVSEM, 0, 0) == 0)
			dump_refuse_process(d, p, "it shares its adjustments of System V semaphores (SEM_UNDO) with "
						  "pid %d, which is not carried", other->vpid);
}

static int process_dump(struct dump *d, struct dump_process *p, const struct tape *tape,
			struct tape_mark mark, struct node *n, struct ct_error *err)
{
	__cleanup(visit_cleanup) struct visit visit = VISIT_NONE;
	struct seminfo info;
	struct node *list = NULL;
	int r, last;

	if (sys_kcmp(p->pid, nobody(d), KCMP_SYSVSEM, 0, 0) <= 0)
		return 0;
	r = visit_begin(d->proc, d->pod->state.pid1, &visit, err);
	last = r < 0 ? -1 : semctl(0, 0, SEM_INFO, (union semun){ .info = &info });
	for (int i = 0; r == 0 && i <= last; i++) {
		struct semid_ds ds = { 0 };
		int id = semctl(i, 0, SEM_STAT, (union semun){ .buf = &ds });

		if (id >= 0)
			r = dump_set(p, id, ds.sem_nsems, n, &list, err);
	}
	return r < 0 ? r : visit_end(&visit, err);
}

/* ---- restore ---- */

/* What the semaphore is now. False: there is no such one. */
static bool value_of(const struct restore *r, int set, unsigned short semaphore, int *ret)
{
	const struct node *sets = node_array(node_object(node_object(r->root, "pod_state"), kind_sysv_sem.name),
					     "sets");

	for (size_t i = 0; i < node_count(sets); i++) {
		const struct node *values = node_array(node_at(sets, i), "values");

		if (node_i64(node_at(sets, i), "id", 0, INT32_MAX) != set || semaphore >= node_count(values))
			continue;
		*ret = (int)node_at_u64(values, semaphore, MOST);
		return true;
	}
	return false;
}

static int process_restore(struct restore *r, struct restore_process *p, const struct node *n,
			   struct tape *tape, struct ct_error *err)
{
	const struct node *list = node_has(n, "adjustments") ? node_array(n, "adjustments") : NULL;

	for (size_t i = 0; i < node_count(list); i++) {
		const struct node *one = node_at(list, i);
		int set = (int)node_i64(one, "set", 0, INT32_MAX), by = (int)node_i64(one, "by", LEAST, MOST);
		unsigned short semaphore = (unsigned short)node_u64(one, "semaphore", MOST);
		struct ops o = { .n = 0 };
		int value = 0, e;

		if (!value_of(r, set, semaphore, &value))
			node_complain(one, "an adjustment of a semaphore that is not there");
		e = doc_check(r->doc, err);
		if (e == 0)
			e = tape_need(tape, 1, sizeof(o.op), err);
		if (e < 0)
			return e;
		/* The value comes to zero and back. */
		add_unless_zero(&o, semaphore, -value);
		add_unless_zero(&o, semaphore, by > 0 ? by : 0);
		if (by > 0)
			add(&o, semaphore, -by, SEM_UNDO);
		else
			count_down(&o, semaphore, -by);
		add_unless_zero(&o, semaphore, value);
		if (o.n)
			tape_must(tape, "semop (SEM_UNDO)", SYS_semop, (uint64_t)set, ops_data(tape, &o), o.n, 0,
				  0, 0);
	}
	return 0;
}

const struct kind kind_sysv_undo = {
	.name = "sysv_undo",
	.carries = "what a process takes back of System V semaphores when it ends (SEM_UNDO)",
	.refuses = "such adjustments that several processes share, that a thread has of its own, or of a set that "
		   "the process may not change any more",
	.victims = "sysv-sem-undo sysv-sem-undo-shared",
	.process_check = process_check,
	.process_dump = process_dump,
	.process_restore = process_restore,
};
