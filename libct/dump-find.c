/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The processes of a pod, found by /proc/PID/task/TID/children from PID 1 on: the only place that
 * names zombies and the thread that a child belongs to.
 *
 * A task that ends leaves its cgroup before it is a zombie, gives its children away and tells its parent. So of a pod
 * that is frozen some tasks may still be on their way: what is found then is not yet what remains, and it is looked at
 * again (-EAGAIN) until they are through. It takes microseconds.
 */
#include <fcntl.h>
#include <signal.h>
#include <string.h>

#include "libct/base/clock.h"
#include "libct/base/error.h"
#include "libct/base/sys.h"
#include "libct/dump-steps.h"
#include "libct/tree-plan.h"

#define ENDING_TIMEOUT_MS 10000

struct child {
	pid_t pid;
	pid_t parent_tid; /* on the host */
	struct proc_status status;
};

struct children {
	struct child *list;
	size_t n, max;
};

static void children_release(struct children *c)
{
	for (size_t i = 0; i < c->n; i++)
		proc_status_release(&c->list[i].status);
	free(c->list);
}

static int compare_vpid(const void *a, const void *b)
{
	const struct child *x = a, *y = b;

	return (x->status.vpid > y->status.vpid) - (x->status.vpid < y->status.vpid);
}

/* What went away while it was looked at: in a pod that stands still the rest is not known any more. */
static int vanished(const struct dump *d, int r)
{
	if (r != -ESRCH && r != -ENOENT)
		return r;
	return d->preflight ? 0 : -EAGAIN;
}

/* Is it on its way to be a zombie or gone? One that was killed is, though it may not know yet. */
static bool is_ending(const struct dump *d, const struct proc_status *s)
{
	return !d->preflight && s->state != 'Z' &&
	       (s->state == 'X' || !s->fd_size || s->sig_pending >> (SIGKILL - 1) & 1);
}

static int add_child(struct dump *d, pid_t pid, pid_t tid, struct children *to)
{
	struct child child = { .pid = pid, .parent_tid = tid };
	int r = proc_status(d->proc, pid, 0, &child.status);

	if (r < 0)
		return vanished(d, r);
	if (is_ending(d, &child.status)) {
		proc_status_release(&child.status);
		return -EAGAIN;
	}
	if (to->n == to->max) {
		size_t max = to->max ? to->max * 2 : 16;
		struct child *grown = realloc(to->list, sizeof(*grown) * max);

		if (!grown) {
			proc_status_release(&child.status);
			return -ENOMEM;
		}
		to->list = grown;
		to->max = max;
	}
	to->list[to->n++] = child;
	return 0;
}

/* Their PIDs, each with a space behind it. */
static ssize_t read_children(struct dump *d, pid_t pid, int tid, char **ret)
{
	char name[64];

	snprintf(name, sizeof(name), "task/%d/children", tid);
	return proc_read(d->proc, pid, name, ret);
}

/* The children of a process, thread by thread, ascending by PID of the pod. */
static int find_children(struct dump *d, pid_t pid, struct children *ret)
{
	cleanup_free int *tids = NULL;
	ssize_t n = proc_numbers(d->proc, pid, "task", &tids);

	if (n < 0)
		return (int)n;
	for (ssize_t i = 0; i < n; i++) {
		cleanup_free char *text = NULL;
		ssize_t r = read_children(d, pid, tids[i], &text);
		char *at, *end;

		if (r < 0) {
			r = vanished(d, (int)r);
			if (r < 0)
				return (int)r;
			continue;
		}
		for (at = text;; at = end) {
			pid_t child = (pid_t)strtol(at, &end, 10);

			if (end == at)
				break;
			r = add_child(d, child, tids[i], ret);
			if (r < 0)
				return (int)r;
		}
	}
	if (ret->n)
		qsort(ret->list, ret->n, sizeof(*ret->list), compare_vpid);
	return 0;
}

static int compare_vtid(const void *a, const void *b)
{
	const struct dump_thread *x = a, *y = b;

	return (x->t.vtid > y->t.vtid) - (x->t.vtid < y->t.vtid);
}

static int add_threads(struct dump *d, struct dump_process *p)
{
	cleanup_free int *tids = NULL;
	ssize_t n = proc_numbers(d->proc, p->pid, "task", &tids);
	size_t at = 1;

	if (n < 0)
		return (int)n;
	p->threads = calloc((size_t)n + 1, sizeof(*p->threads));
	if (!p->threads)
		return -ENOMEM;
	p->n_threads = 1;
	for (ssize_t i = 0; i < n; i++) {
		/* The main thread comes first, whatever its number. */
		struct dump_thread *t = &p->threads[tids[i] == p->pid ? 0 : at];
		int r = proc_status(d->proc, p->pid, tids[i], &t->status);

		if (r < 0 && tids[i] != p->pid && vanished(d, r) == 0)
			continue;
		if (r == 0 && is_ending(d, &t->status)) {
			proc_status_release(&t->status);
			r = -EAGAIN;
		}
		if (r < 0)
			return r;
		t->t.pid = p->pid;
		t->t.tid = tids[i];
		t->t.vpid = p->vpid;
		t->t.vtid = t->status.vpid;
		at += tids[i] != p->pid;
		p->n_threads = at;
	}
	/* The host's numbers may have another order in the next life. */
	qsort(p->threads + 1, p->n_threads - 1, sizeof(*p->threads), compare_vtid);
	return p->threads[0].t.tid ? 0 : -ESRCH;
}

/* Of a process whose main thread has ended: are the others about to? */
static int check_others(struct dump *d, const struct dump_process *p)
{
	cleanup_free int *tids = NULL;
	ssize_t n = d->preflight || p->status.n_threads < 2 ? 0 : proc_numbers(d->proc, p->pid, "task", &tids);
	int r = n < 0 ? (int)n : 0;

	for (ssize_t i = 0; r == 0 && i < n; i++) {
		__cleanup(proc_status_release) struct proc_status s = { 0 };

		r = proc_status(d->proc, p->pid, tids[i], &s);
		if (r == 0 && is_ending(d, &s))
			r = -EAGAIN;
	}
	return r;
}

static int open_process(struct dump *d, struct dump_process *p)
{
	int r;

	p->pidfd = sys_pidfd_open(p->pid, 0);
	if (p->pidfd < 0)
		return p->pidfd;
	if (p->zombie)
		return check_others(d, p);
	p->mem = proc_open(d->proc, p->pid, "mem", O_RDWR);
	p->pagemap = proc_open(d->proc, p->pid, "pagemap", O_RDONLY);
	if (p->mem < 0)
		return p->mem;
	if (p->pagemap < 0)
		return p->pagemap;
	r = add_threads(d, p);
	return r < 0 ? r : proc_areas(d->proc, p->pid, &p->areas);
}

static int add_children(struct dump *d, pid_t pid, pid_t vpid, size_t *max, struct ct_error *err);

/* Adds one process and, behind it, its children. Takes the child's status. */
static int add_process(struct dump *d, struct child *child, pid_t parent_vpid, size_t *max,
		       struct ct_error *err)
{
	struct dump_process *p;
	size_t at = d->n_processes;
	pid_t pid = child->pid, vpid = child->status.vpid;
	int r;

	if (at == *max) {
		p = realloc(d->processes, sizeof(*p) * (*max = *max ? *max * 2 : 16));
		if (!p)
			return error_errno(err, -ENOMEM, "processes");
		d->processes = p;
	}
	p = &d->processes[at];
	memset(p, 0, sizeof(*p));
	p->dump = d;
	p->pid = pid;
	p->vpid = vpid;
	p->parent_vpid = parent_vpid;
	p->parent_tid = child->parent_tid;
	p->vpgid = child->status.vpgid;
	p->vsid = child->status.vsid;
	p->index = (uint32_t)at;
	p->mem = p->pagemap = p->pidfd = -1;
	p->status = child->status;
	child->status = (struct proc_status){ 0 };
	r = proc_stat(d->proc, pid, 0, &p->stat);
	/* One whose main thread has ended before the others is refused, and until then like a zombie. */
	p->zombie = r == 0 && (p->stat.state == 'Z' || p->stat.state == 'X');
	if (r == 0)
		r = open_process(d, p);
	if (r < 0) {
		r = vanished(d, r);
		dump_process_release(p);
		return r < 0 ? error_errno(err, r, "pid %d", vpid) : 0;
	}
	d->n_processes++;
	return add_children(d, pid, vpid, max, err);
}

static int add_children(struct dump *d, pid_t pid, pid_t vpid, size_t *max, struct ct_error *err)
{
	__cleanup(children_release) struct children children = { 0 };
	int r = find_children(d, pid, &children);

	if (r < 0) {
		r = vanished(d, r);
		return r < 0 ? error_errno(err, r, "children of pid %d", vpid) : 0;
	}
	for (size_t i = 0; r == 0 && i < children.n; i++)
		r = add_process(d, &children.list[i], vpid, max, err);
	return r;
}

static bool is_among(const pid_t *pids, ssize_t n, pid_t pid)
{
	for (ssize_t i = 0; i < n; i++)
		if (pids[i] == pid)
			return true;
	return false;
}

/* Everything in the pod's cgroup must be in the tree; a command of `exec` is not. */
static int check_strays(struct dump *d, struct ct_error *err)
{
	cleanup_free pid_t *pids = NULL;
	ssize_t n = cgroup_processes(d->pod->state.cgroup, &pids, err);

	if (n < 0)
		return (int)n;
	for (ssize_t i = 0; i < n; i++) {
		__cleanup(proc_status_release) struct proc_status s = { 0 };
		struct proc_stat stat;
		int r;

		if (pids[i] == d->pod->state.pid1 || dump_by_pid(d, pids[i]))
			continue;
		r = proc_stat(d->proc, pids[i], 0, &stat);
		if (r == 0)
			r = proc_status(d->proc, pids[i], 0, &s);
		if (r < 0) {
			r = vanished(d, r);
			if (r < 0)
				return error_errno(err, r, "the pod's processes");
			continue;
		}
		if (d->preflight && is_among(pids, n, stat.ppid))
			continue; /* just born; or a child of such a one */
		if (!d->preflight && (stat.ppid == d->pod->state.pid1 || dump_by_pid(d, stat.ppid)))
			return error_errno(err, -EAGAIN, "the pod's processes"); /* got another parent meanwhile */
		dump_refuse(d,
			    "pid %d (%s): it was started from outside (podckpt exec), where its parent "
			    "and its streams are; end it first",
			    s.vpid, stat.comm);
		dump_passing(d);
	}
	return 0;
}

/* Threads know their process only now: the array moved while it grew. */
static void link_threads(struct dump *d)
{
	for (size_t i = 0; i < d->n_processes; i++) {
		struct dump_process *p = &d->processes[i];
		const struct dump_process *parent = dump_by_vpid(d, p->parent_vpid);

		for (size_t k = 0; k < p->n_threads; k++)
			p->threads[k].process = p;
		for (size_t k = 1; parent && k < parent->n_threads; k++)
			if (parent->threads[k].t.tid == p->parent_tid)
				p->parent_vtid = parent->threads[k].t.vtid;
	}
}

static ssize_t count_children(struct dump *d, pid_t pid)
{
	cleanup_free int *tids = NULL;
	ssize_t n = proc_numbers(d->proc, pid, "task", &tids), count = 0;

	for (ssize_t i = 0; i < n; i++) {
		cleanup_free char *text = NULL;
		ssize_t r = read_children(d, pid, tids[i], &text);

		if (r < 0)
			return r;
		for (const char *at = text; *at; at++)
			count += *at == ' ';
	}
	return n < 0 ? n : count;
}

/*
 * Has somebody ended between two looks? Then its children have gone to a task whose children were known already, and
 * what of them is a zombie is in no list of a cgroup.
 */
static int count_again(struct dump *d)
{
	const bool init = !d->pod->config.no_init;
	ssize_t n = init ? count_children(d, d->pod->state.pid1) : 1;
	size_t count = 0;

	for (size_t i = 0; n >= 0; i++) {
		count += (size_t)n;
		if (i == d->n_processes)
			return count == d->n_processes ? 0 : -EAGAIN;
		n = d->processes[i].zombie ? 0 : count_children(d, d->processes[i].pid);
	}
	return (int)n;
}

static int find_once(struct dump *d, struct ct_error *err)
{
	struct child first = { .pid = d->pod->state.pid1 };
	size_t max = 0;
	int r;

	if (d->pod->config.no_init) {
		r = proc_status(d->proc, first.pid, 0, &first.status);
		if (r < 0)
			return error_errno(err, r, "PID 1");
		r = add_process(d, &first, 0, &max, err);
		proc_status_release(&first.status);
	} else {
		r = add_children(d, first.pid, 1, &max, err);
	}
	link_threads(d);
	if (r == 0 && !d->preflight) {
		r = vanished(d, count_again(d));
		if (r < 0)
			return error_errno(err, r, "the pod's processes");
	}
	return r < 0 ? r : check_strays(d, err);
}

int dump_find_processes(struct dump *d, struct ct_error *err)
{
	static const struct timespec pause = { .tv_nsec = 100000 };
	const int64_t until = monotonic_ms() + ENDING_TIMEOUT_MS;

	for (;;) {
		int r = find_once(d, err);

		if (r != -EAGAIN || monotonic_ms() >= until)
			return r;
		dump_let_go(d);
		nanosleep(&pause, NULL);
	}
}

/* ---- can the tree be made again? ---- */

int dump_plan(struct dump *d, bool heirs, struct tree_plan **ret, struct ct_error *err)
{
	struct tree_task *tasks = calloc(d->n_processes + 1, sizeof(*tasks));
	struct ct_error why = { 0 };
	int who, r;

	*ret = NULL;
	if (!tasks)
		return error_errno(err, -ENOMEM, "processes");
	for (size_t i = 0; i < d->n_processes; i++) {
		const struct dump_process *p = &d->processes[i];
		const struct dump_process *parent = dump_by_vpid(d, p->parent_vpid);

		tasks[i] = (struct tree_task){ .vpid = p->vpid,
					       .session = p->vsid,
					       .parent = parent ? (int)parent->index : TREE_ROOT,
					       .heir = heirs && p->n_inherited,
					       .by_thread = p->parent_vtid };
		/* Reported by dump_check_processes(). */
		if (!p->vsid || !p->vpgid) {
			free(tasks);
			return 0;
		}
	}
	r = tree_plan_make(tasks, d->n_processes, ret, &who, &why);
	if (r == -EOPNOTSUPP && who >= 0)
		dump_refuse_process(d, &d->processes[who], "%s: such a tree is not carried", why.text);
	else if (r < 0)
		return error_set(err, r, "%s", why.text);
	return 0;
}
