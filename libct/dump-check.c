/* SPDX-License-Identifier: Apache-2.0 */
/* What of processes and threads would have to be shared, or private, in a way that is not carried. */
#include <linux/capability.h>
#include <linux/kcmp.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

#include "libct/base/sys.h"
#include "libct/dump-steps.h"
#include "libct/kind.h"
#include "libct/tree-plan.h"

static const char *const namespaces[] = {
	"mnt", "net", "ipc", "uts", "pid", "cgroup", "time", "user",
	/* unshare(2) of these waits for the next child. */
	"pid_for_children", "time_for_children",
};
#define N_NAMESPACES (sizeof(namespaces) / sizeof(namespaces[0]))

struct namespace_links {
	char *link[N_NAMESPACES];
};

static void namespace_links_release(struct namespace_links *l)
{
	for (size_t i = 0; i < N_NAMESPACES; i++)
		free(l->link[i]);
}

/* "pid namespace" for "pid" and "pid_for_children". */
static int word_length(const char *name)
{
	return (int)strcspn(name, "_");
}

/*
 * A PID namespace that nobody is in yet has no link. Nor has a task that is just ending, which keeps its own PID
 * namespace to the last and has lost all others.
 */
static bool awaits_first(struct dump *d, struct dump_process *p, pid_t tid, const char *which)
{
	cleanup_free char *own = NULL;
	char name[64];

	snprintf(name, sizeof(name), "task/%d/ns/uts", tid);
	return !strcmp(which, "pid_for_children") && proc_readlink(d->proc, p->pid, name, &own) == 0;
}

static void check_namespaces(struct dump *d, struct dump_process *p, pid_t tid,
			     const struct namespace_links *pods)
{
	bool told = false;

	for (size_t i = 0; !told && i < N_NAMESPACES; i++) {
		cleanup_free char *theirs = NULL;
		char name[64];
		int r;

		snprintf(name, sizeof(name), "task/%d/ns/%s", tid, namespaces[i]);
		r = proc_readlink(d->proc, p->pid, name, &theirs);
		if (!pods->link[i] || (r < 0 && !awaits_first(d, p, tid, namespaces[i])))
			continue;
		if (r == 0 && !strcmp(theirs, pods->link[i]))
			continue;
		if (tid == p->pid)
			dump_refuse_process(d, p, "it is in a %.*s namespace of its own, which is not carried",
					    word_length(namespaces[i]), namespaces[i]);
		else
			dump_refuse_process(d, p,
					    "a thread of it is in a %.*s namespace of its own, which is not carried",
					    word_length(namespaces[i]), namespaces[i]);
		told = tid != p->pid;
	}
}

static void check_threads(struct dump *d, struct dump_process *p, const struct namespace_links *pods)
{
	/* Who has threads cannot make a user namespace, so this takes the capability. */
	bool namespaces_possible = d->pod->config.capabilities >> CAP_SYS_ADMIN & 1;

	for (size_t i = 1; i < p->n_threads; i++) {
		pid_t tid = p->threads[i].t.tid;

		if (sys_kcmp(p->pid, tid, KCMP_FILES, 0, 0) > 0)
			dump_refuse_process(d, p, "thread %d has a descriptor table of its own, which is not carried",
					    p->threads[i].t.vtid);
		if (sys_kcmp(p->pid, tid, KCMP_FS, 0, 0) > 0)
			dump_refuse_process(d, p, "thread %d has a working directory of its own, which is not carried",
					    p->threads[i].t.vtid);
		if (namespaces_possible)
			check_namespaces(d, p, tid, pods);
	}
}

static void check_tracer(struct dump *d, struct dump_process *p)
{
	for (size_t i = 0; i < p->n_threads; i++) {
		pid_t tracer = p->threads[i].status.tracer;

		if (!tracer || tracer == getpid())
			continue;
		dump_refuse_process(d, p, "another program (a debugger, strace) is tracing it; end that first");
		return;
	}
}

static void check_process(struct dump *d, struct dump_process *p, const struct namespace_links *pods)
{
	if (!p->vsid || !p->vpgid)
		dump_refuse_process(d, p, "its %s was made outside the pod; end it first",
				    p->vsid ? "process group" : "session");
	if (p->zombie && p->status.n_threads > 1) {
		dump_refuse_process(d, p, "its main thread has ended before the others, which is not carried");
		return;
	}
	if (p->zombie) {
		if (p->stat.f[52] & 0x80) {
			dump_refuse_process(d, p, "a zombie that dumped core is not carried; its parent should wait for it");
			dump_passing(d);
		}
		return;
	}
	check_namespaces(d, p, p->pid, pods);
	check_threads(d, p, pods);
	check_tracer(d, p);
	if (p->status.shadow_stack)
		dump_refuse_process(d, p, "its shadow stack is not carried; start it with "
					  "GLIBC_TUNABLES=glibc.cpu.x86_shstk=off");
	for (size_t k = 0; kinds[k]; k++)
		if (kinds[k]->process_check)
			kinds[k]->process_check(d, p);
}

/* kcmp(2) orders objects: whoever shares one stands side by side after sorting. */
static int compare(const void *a, const void *b, void *type)
{
	const struct dump_process *x = *(struct dump_process *const *)a;
	const struct dump_process *y = *(struct dump_process *const *)b;
	int r;

	if (x == y)
		return 0;
	r = sys_kcmp(x->pid, y->pid, *(int *)type, 0, 0);
	if (r == 1 || r == 2)
		return r == 1 ? -1 : 1;
	return (x->vpid > y->vpid) - (x->vpid < y->vpid);
}

/* A frozen task of the older cgroups is in state D, too: so it counts which call it is in. */
static bool in_vfork(struct dump *d, const struct dump_thread *t)
{
	cleanup_free char *text = NULL;
	char name[64];
	long nr;

	if (t->status.state != 'D')
		return false;
	snprintf(name, sizeof(name), "task/%d/syscall", t->t.tid);
	if (proc_read(d->proc, t->process->pid, name, &text) < 0)
		return false;
	nr = strtol(text, NULL, 10);
	return nr == SYS_vfork || nr == SYS_clone || nr == SYS_clone3;
}

void dump_check_vfork(struct dump *d)
{
	for (size_t i = 0; i < d->n_processes; i++) {
		struct dump_process *p = &d->processes[i];

		for (size_t k = 0; k < p->n_threads; k++)
			if (in_vfork(d, &p->threads[k])) {
				p->threads[k].in_vfork = true;
				dump_refuse_process(d, p, "it is in the middle of vfork and cannot be stopped "
							  "before its child executes a program or ends; try again");
				dump_passing(d);
			}
	}
}

/* Processes that share what only threads usually share. */
static void check_pairs(struct dump *d)
{
	static const struct {
		int type;
		const char *format;
	} shared[] = {
		{ KCMP_VM, "it shares its address space with pid %d, which is not carried "
			   "(a vfork in progress? try again)" },
		{ KCMP_FILES, "it shares its descriptor table with pid %d, which is not carried" },
		{ KCMP_FS, "it shares its working directory with pid %d, which is not carried" },
	};
	cleanup_free struct dump_process **list = calloc(d->n_processes + 1, sizeof(*list));
	size_t n = 0;

	if (!list) {
		dump_refuse(d, "no memory to compare processes");
		return;
	}
	for (size_t i = 0; i < d->n_processes; i++)
		if (!d->processes[i].zombie)
			list[n++] = &d->processes[i];
	for (size_t s = 0; s < sizeof(shared) / sizeof(shared[0]); s++) {
		int type = shared[s].type;

		qsort_r(list, n, sizeof(*list), compare, &type);
		for (size_t i = 1; i < n; i++)
			if (sys_kcmp(list[i - 1]->pid, list[i]->pid, type, 0, 0) == 0) {
				dump_refuse_process(d, list[i], shared[s].format, list[i - 1]->vpid);
				/* Perhaps a vfork(2). Its child may share more, until it executes a program. */
				dump_passing(d);
			}
	}
}

int dump_check_processes(struct dump *d, struct ct_error *err)
{
	__cleanup(namespace_links_release) struct namespace_links pods = { 0 };

	for (size_t i = 0; i < N_NAMESPACES; i++) {
		char name[64];
		int r;

		snprintf(name, sizeof(name), "ns/%s", namespaces[i]);
		r = proc_readlink(d->proc, d->pod->state.pid1, name, &pods.link[i]);
		/* An old kernel has no time namespaces. */
		if (r < 0 && i < 4)
			return error_errno(err, r, "PID 1: read '%s'", name);
	}
	for (size_t i = 0; i < d->n_processes; i++)
		check_process(d, &d->processes[i], &pods);
	check_pairs(d);
	tree_plan_free(d->tree);
	return dump_plan(d, false, &d->tree, err);
}

#ifndef PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG /* Linux 6.4 */
#define PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG 0x4211
#endif

void dump_check_dispatch(struct dump *d, const struct dump_thread *t)
{
	struct { /* struct ptrace_sud_config of <linux/ptrace.h> */
		uint64_t mode, selector, offset, len;
	} config = { 0 };

	if (ptrace(PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG, t->t.tid, sizeof(config), &config) == 0 && config.mode)
		dump_refuse_process(d, t->process, "its system calls are dispatched to itself "
						   "(PR_SET_SYSCALL_USER_DISPATCH), which is not carried");
}
