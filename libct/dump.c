/* SPDX-License-Identifier: Apache-2.0 */
/* The processes of a pod: found, stopped, described. */
#include "libct/dump.h"

#include <fcntl.h>
#include <linux/kcmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include "libct/base/error.h"
#include "libct/base/io.h"
#include "libct/base/sys.h"
#include "libct/dump-steps.h"
#include "libct/kind.h"
#include "libct/task/restart.h"

/* Has it been said already? One object may be met by several ways. */
static bool is_known(const char *findings, const char *line)
{
	size_t len = strlen(line);

	for (const char *at = findings; at && (at = strstr(at, line)); at += len)
		if ((at == findings || at[-1] == '\n') && (!at[len] || at[len] == '\n'))
			return true;
	return false;
}

static void add_finding(struct dump *d, const char *where, const char *format, va_list ap)
{
	char text[512], line[768];
	size_t old = d->findings ? strlen(d->findings) : 0;
	char *grown;

	vsnprintf(text, sizeof(text), format, ap);
	snprintf(line, sizeof(line), "%s%s%s", where, *where ? ": " : "", text);
	d->n_findings++;
	if (is_known(d->findings, line))
		return;
	grown = realloc(d->findings, old + strlen(line) + 2);
	if (!grown)
		return; /* the count alone refuses the dump */
	d->findings = grown;
	sprintf(d->findings + old, "%s%s", old ? "\n" : "", line);
}

void dump_refuse(struct dump *d, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	add_finding(d, "", format, ap);
	va_end(ap);
}

void dump_refuse_process(struct dump *d, const struct dump_process *p, const char *format, ...)
{
	char where[128];
	va_list ap;

	snprintf(where, sizeof(where), "pid %d (%s)", p->vpid, p->stat.comm);
	va_start(ap, format);
	add_finding(d, where, format, ap);
	va_end(ap);
}

void dump_refuse_fd(struct dump *d, const struct fd_view *v, const char *format, ...)
{
	const struct dump_process *p = dump_by_pid(d, v->pid);
	char where[128];
	va_list ap;

	if (p)
		snprintf(where, sizeof(where), "pid %d (%s) fd %d", p->vpid, p->stat.comm, v->fd);
	else if (d->mapping)
		snprintf(where, sizeof(where), "pid %d (%s) memory", d->mapping->vpid,
			 d->mapping->stat.comm);
	else
		snprintf(where, sizeof(where), "a descriptor under way in a unix socket");
	va_start(ap, format);
	add_finding(d, where, format, ap);
	va_end(ap);
}

struct dump_process *dump_by_pid(struct dump *d, pid_t pid)
{
	for (size_t i = 0; i < d->n_processes; i++) {
		struct dump_process *p = &d->processes[i];

		if (p->pid == pid)
			return p;
		for (size_t k = 1; k < p->n_threads; k++)
			if (p->threads[k].t.tid == pid)
				return p;
	}
	return NULL;
}

struct dump_process *dump_by_vpid(struct dump *d, pid_t vpid)
{
	for (size_t i = 0; i < d->n_processes; i++)
		if (d->processes[i].vpid == vpid)
			return &d->processes[i];
	return NULL;
}

static int compare_vpid(const void *a, const void *b)
{
	const struct proc_status *x = a, *y = b;

	return (x->vpid > y->vpid) - (x->vpid < y->vpid);
}

/* The children of a process, which the kernel lists by thread: their statuses, ascending by PID of the pod. */
static ssize_t children(struct dump *d, pid_t pid, struct proc_status **ret)
{
	cleanup_free struct proc_status *list = NULL;
	cleanup_free int *tids = NULL;
	ssize_t n_tids = proc_numbers(d->proc, pid, "task", &tids);
	size_t n = 0, max = 0;

	if (n_tids < 0)
		return n_tids;
	for (ssize_t i = 0; i < n_tids; i++) {
		cleanup_free char *text = NULL;
		char name[64], *at, *end;
		ssize_t r;

		snprintf(name, sizeof(name), "task/%d/children", tids[i]);
		r = proc_read(d->proc, pid, name, &text);
		if (r == -ESRCH)
			continue;
		if (r < 0)
			return r;
		for (at = text;; at = end) {
			pid_t child = (pid_t)strtol(at, &end, 10);

			if (end == at)
				break;
			if (n == max) {
				struct proc_status *grown = realloc(
					list, sizeof(*list) * (max = max ? max * 2 : 16));

				if (!grown)
					return -ENOMEM;
				list = grown;
			}
			r = proc_status(d->proc, child, 0, &list[n]);
			if (r == -ESRCH && d->preflight)
				continue;
			if (r < 0)
				return r;
			/* tracer and tgid are not needed below; the host PID travels in tgid */
			list[n].tgid = child;
			n++;
		}
	}
	if (n)
		qsort(list, n, sizeof(*list), compare_vpid);
	*ret = take_ptr(list);
	return (ssize_t)n;
}

static void thread_release(struct dump_thread *t)
{
	tracee_release(&t->t);
	proc_status_release(&t->status);
	free(t->pending.infos);
}

static void remove_tape(struct dump_process *p)
{
	if (p->site.stub)
		tape_site_remove(&p->site, &p->threads[0].t, p->pagemap);
	p->site.stub = 0;
}

void dump_remove_tapes(struct dump *d)
{
	for (size_t i = 0; i < d->n_processes; i++)
		remove_tape(&d->processes[i]);
}

void dump_process_release(struct dump_process *p)
{
	remove_tape(p);
	for (size_t i = 0; i < p->n_threads; i++)
		thread_release(&p->threads[i]);
	free(p->threads);
	free(p->inherited);
	vma_list_release(&p->areas);
	task_timers_release(&p->timers);
	free(p->pending.infos);
	proc_status_release(&p->status);
	fd_close(p->mem);
	fd_close(p->pagemap);
	fd_close(p->pidfd);
}

static int add_threads(struct dump *d, struct dump_process *p)
{
	cleanup_free int *tids = NULL;
	ssize_t n = proc_numbers(d->proc, p->pid, "task", &tids);

	if (n < 0)
		return (int)n;
	p->threads = calloc((size_t)n, sizeof(*p->threads));
	if (!p->threads)
		return -ENOMEM;
	for (ssize_t i = 0; i < n; i++) {
		struct dump_thread *t;
		int r;

		/* The leader comes first, whatever its number. */
		if (tids[i] == p->pid)
			t = &p->threads[0];
		else
			t = &p->threads[p->n_threads ? p->n_threads : 1];
		t->process = p;
		t->t.pid = p->pid;
		t->t.tid = tids[i];
		t->t.vpid = p->vpid;
		r = proc_status(d->proc, p->pid, tids[i], &t->status);
		if (r < 0)
			return r;
		t->t.vtid = t->status.vpid;
		if (t == &p->threads[0])
			p->n_threads = p->n_threads ? p->n_threads : 1;
		else
			p->n_threads = (size_t)(t - p->threads) + 1;
	}
	return 0;
}

static int open_process(struct dump *d, struct dump_process *p)
{
	int r;

	p->pidfd = sys_pidfd_open(p->pid, 0);
	if (p->pidfd < 0)
		return p->pidfd;
	if (p->zombie)
		return 0;
	p->mem = proc_open(d->proc, p->pid, "mem", O_RDWR);
	p->pagemap = proc_open(d->proc, p->pid, "pagemap", O_RDONLY);
	if (p->mem < 0)
		return p->mem;
	if (p->pagemap < 0)
		return p->pagemap;
	r = add_threads(d, p);
	return r < 0 ? r : proc_areas(d->proc, p->pid, &p->areas);
}

/* Adds one process and, behind it, its children. */
static int add_process(struct dump *d, pid_t pid, pid_t parent_vpid, struct proc_status *status,
		       size_t *max, struct ct_error *err)
{
	struct dump_process *p;
	size_t at = d->n_processes;
	pid_t vpid = status->vpid;
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
	p->vpgid = status->vpgid;
	p->vsid = status->vsid;
	p->index = (uint32_t)at;
	p->mem = p->pagemap = p->pidfd = -1;
	p->status = *status;
	*status = (struct proc_status){ 0 };
	r = proc_stat(d->proc, pid, 0, &p->stat);
	p->zombie = r == 0 && (p->stat.state == 'Z' || p->stat.state == 'X');
	if (r == 0)
		r = open_process(d, p);
	if (r < 0) {
		bool vanished = d->preflight && (r == -ESRCH || r == -ENOENT);

		dump_process_release(p);
		return vanished ? 0 : error_errno(err, r, "pid %d", vpid);
	}
	d->n_processes++;
	return dump_add_children(d, pid, vpid, max, err);
}

int dump_add_children(struct dump *d, pid_t pid, pid_t vpid, size_t *max, struct ct_error *err)
{
	cleanup_free struct proc_status *list = NULL;
	ssize_t n = children(d, pid, &list);
	int r = 0;

	if (n == -ESRCH && d->preflight)
		return 0;
	if (n < 0)
		return error_errno(err, (int)n, "children of pid %d", vpid);
	for (ssize_t i = 0; i < n; i++) {
		if (r == 0)
			r = add_process(d, list[i].tgid, vpid, &list[i], max, err);
		proc_status_release(&list[i]);
	}
	return r;
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

		if (pids[i] == d->pod->state.pid1 || dump_by_pid(d, pids[i]))
			continue;
		if (proc_stat(d->proc, pids[i], 0, &stat) < 0 ||
		    proc_status(d->proc, pids[i], 0, &s) < 0)
			continue;
		if (d->preflight && s.n_pid_levels > 1 && stat.ppid != 0)
			continue; /* just born */
		dump_refuse(d,
			    "pid %d (%s): it was started from outside (podckpt exec), where its parent "
			    "and its streams are; end it first",
			    s.vpid, stat.comm);
	}
	return 0;
}

int dump_find_processes(struct dump *d, struct ct_error *err)
{
	pid_t pid1 = d->pod->state.pid1;
	size_t max = 0;
	int r;

	if (d->pod->config.no_init) {
		struct proc_status s;

		r = proc_status(d->proc, pid1, 0, &s);
		if (r < 0)
			return error_errno(err, r, "PID 1");
		r = add_process(d, pid1, 0, &s, &max, err);
	} else {
		r = dump_add_children(d, pid1, 1, &max, err);
	}
	/* The array moved while it grew. */
	for (size_t i = 0; i < d->n_processes; i++)
		for (size_t k = 0; k < d->processes[i].n_threads; k++)
			d->processes[i].threads[k].process = &d->processes[i];
	return r < 0 ? r : check_strays(d, err);
}

static const char *const namespaces[] = { "mnt", "net", "ipc", "uts", "pid", "cgroup", "time", "user" };

/* What of a process would have to be shared or private in a way that is not carried. */
static void check_sharing(struct dump *d, struct dump_process *p)
{
	for (size_t i = 0; i < sizeof(namespaces) / sizeof(namespaces[0]); i++) {
		cleanup_free char *theirs = NULL, *pods = NULL;
		char name[32];

		snprintf(name, sizeof(name), "ns/%s", namespaces[i]);
		if (proc_readlink(d->proc, p->pid, name, &theirs) < 0 ||
		    proc_readlink(d->proc, d->pod->state.pid1, name, &pods) < 0)
			continue;
		if (strcmp(theirs, pods))
			dump_refuse_process(d, p, "it is in a %s namespace of its own, which is not carried",
					    namespaces[i]);
	}
	if (p->status.shadow_stack)
		dump_refuse_process(d, p, "its shadow stack is not carried; start it with "
					  "GLIBC_TUNABLES=glibc.cpu.x86_shstk=off");
	for (size_t i = 1; i < p->n_threads; i++) {
		pid_t tid = p->threads[i].t.tid;

		if (sys_kcmp(p->pid, tid, KCMP_FILES, 0, 0) > 0)
			dump_refuse_process(d, p, "thread %d has a descriptor table of its own, which is not carried",
					    p->threads[i].t.vtid);
		if (sys_kcmp(p->pid, tid, KCMP_FS, 0, 0) > 0)
			dump_refuse_process(d, p, "thread %d has a working directory of its own, which is not carried",
					    p->threads[i].t.vtid);
	}
	if (p->status.n_threads > 1 && p->threads[0].status.state == 'Z')
		dump_refuse_process(d, p, "its main thread has ended before the others, which is not carried");
}

/* Processes that share what only threads usually share. */
static void check_pairs(struct dump *d)
{
	for (size_t i = 0; i < d->n_processes; i++) {
		struct dump_process *p = &d->processes[i], *q = dump_by_vpid(d, p->parent_vpid);

		if (p->zombie || !q || q->zombie)
			continue;
		if (sys_kcmp(p->pid, q->pid, KCMP_VM, 0, 0) == 0)
			dump_refuse_process(d, p, "it shares its address space with pid %d, which is not carried "
						  "(a vfork in progress? try again)", q->vpid);
		if (sys_kcmp(p->pid, q->pid, KCMP_FILES, 0, 0) == 0)
			dump_refuse_process(d, p, "it shares its descriptor table with pid %d, which is not carried",
					    q->vpid);
		else if (sys_kcmp(p->pid, q->pid, KCMP_FS, 0, 0) == 0)
			dump_refuse_process(d, p, "it shares its working directory with pid %d, which is not carried",
					    q->vpid);
	}
}

void dump_check_processes(struct dump *d)
{
	for (size_t i = 0; i < d->n_processes; i++) {
		struct dump_process *p = &d->processes[i];

		if (p->zombie)
			continue;
		check_sharing(d, p);
		if (p->status.tracer && p->status.tracer != getpid())
			dump_refuse_process(d, p, "another program (a debugger, strace) is tracing it; end that first");
		for (size_t k = 0; kinds[k]; k++)
			if (kinds[k]->process_check)
				kinds[k]->process_check(d, p);
	}
	check_pairs(d);
}
