/* SPDX-License-Identifier: Apache-2.0 */
/* The end of a restore that failed: killed tasks stay until their tracer has waited for them. */
#include <signal.h>
#include <sys/wait.h>

#include "libct/restore-steps.h"
#include "libct/task/proc.h"

static void reap(pid_t tid)
{
	int status;
	pid_t n;

	/* It may have a stop to report first. */
	do
		n = waitpid(tid, &status, __WALL);
	while ((n < 0 && errno == EINTR) || (n > 0 && WIFSTOPPED(status)));
}

static void kill_known(const struct restore_process *p)
{
	if (p->n_threads && p->threads[0].t.seized)
		kill(p->threads[0].t.pid, SIGKILL);
}

/* The leader last: it cannot be waited for before its threads are gone. */
static void reap_known(struct restore_process *p)
{
	for (size_t i = p->n_threads; i-- > 0;) {
		struct tracee *t = &p->threads[i].t;

		if (t->seized)
			reap(t->tid);
		t->seized = false;
	}
}

/* Who is in the pod, known or not. */
struct task {
	pid_t pid, tid;
};

static size_t list_tasks(struct restore *r, struct task **ret)
{
	cleanup_free pid_t *pids = NULL;
	ssize_t n = cgroup_processes(r->pod->state.cgroup, &pids, NULL);
	struct task *list = NULL;
	size_t len = 0;

	for (ssize_t i = 0; i < n; i++) {
		cleanup_free pid_t *tids = NULL;
		ssize_t m = proc_numbers(r->proc, pids[i], "task", &tids);
		struct task *grown = m > 0 ? reallocarray(list, len + (size_t)m, sizeof(*list)) : NULL;

		if (!grown)
			continue;
		list = grown;
		for (ssize_t k = 0; k < m; k++)
			list[len++] = (struct task){ pids[i], tids[k] };
	}
	*ret = list;
	return len;
}

void restore_abandon(struct restore *r)
{
	cleanup_free struct task *list = NULL;
	/*
	 * A task that was killed (by the OOM killer, say) when it had just made another cannot tell any more
	 * whom; the kernel made it a tracee of ours all the same. Ended tasks are on no list, so now.
	 */
	size_t n = r->pod && r->pod->state.cgroup[0] ? list_tasks(r, &list) : 0;

	for (size_t i = 0; i < r->n_helpers; i++)
		kill_known(r->helpers[i]);
	for (size_t i = 0; i < r->n_processes; i++)
		kill_known(&r->processes[i]);
	kill_known(&r->init);
	for (size_t i = 0; i < n; i++)
		kill(list[i].pid, SIGKILL);
	/* It may be on its way to be let go, and a task frozen by v1 does not die. */
	if (r->pod && r->pod->state.cgroup[0])
		cgroup_thaw(r->pod->state.cgroup, NULL);
	/* Where it is another's task, its monitor's for instance, there is nothing to wait for. */
	for (size_t i = 0; i < n; i++)
		if (list[i].tid != list[i].pid)
			reap(list[i].tid);
	for (size_t i = 0; i < r->n_helpers; i++)
		reap_known(r->helpers[i]);
	for (size_t i = r->n_processes; i-- > 0;)
		reap_known(&r->processes[i]);
	for (size_t i = 0; i < n; i++)
		if (list[i].pid != r->init.pid)
			reap(list[i].pid);
	/* PID 1 cannot be waited for before the others of its namespace are gone. */
	reap_known(&r->init);
}
