/* SPDX-License-Identifier: Apache-2.0 */
/* The processes of a manifest, and the plan of their tree. */
#include <signal.h>
#include <string.h>

#include "libct/base/error.h"
#include "libct/kind.h"
#include "libct/kind/aio.h"
#include "libct/restore-steps.h"
#include "libct/tree-plan.h"

static int stop_signal(const struct node *n)
{
	int sig = (int)node_i64(n, "signal", 1, 64);

	if (sig != SIGSTOP && sig != SIGTSTP && sig != SIGTTIN && sig != SIGTTOU)
		node_complain(n, "signal %d stops nobody", sig);
	return sig;
}

static int parse_process(struct restore *r, size_t index, const struct node *n, struct ct_error *err)
{
	struct restore_process *p = &r->processes[index];
	const struct node *threads;

	p->restore = r;
	p->index = (uint32_t)index;
	p->node = n;
	p->mem = p->uffd = p->pidfd = -1;
	p->vpid = (pid_t)node_i64(n, "vpid", 1, 1 << 22);
	p->parent_vpid = (pid_t)node_i64(n, "parent", 0, 1 << 22);
	p->vpgid = (pid_t)node_i64(n, "process_group", 1, 1 << 22);
	p->vsid = (pid_t)node_i64(n, "session", 1, 1 << 22);
	p->zombie = node_bool(n, "zombie");
	p->name = node_str(n, "name");
	p->exit_signal = node_has(n, "exit_signal") ? (int)node_i64(n, "exit_signal", 0, 64) : SIGCHLD;
	p->parent_vtid = node_has(n, "parent_thread") ? (pid_t)node_i64(n, "parent_thread", 1, 1 << 22) : 0;
	for (size_t i = 0; i < index; i++)
		if (r->processes[i].vpid == p->vpid)
			node_complain(n, "two processes with PID %d", p->vpid);
	if ((p->vpid == 1) != (r->pod->config.no_init && index == 0))
		node_complain(n, "a process that cannot have PID %d", p->vpid);
	if (p->parent_vpid != (r->pod->config.no_init ? 0 : 1)) {
		bool found = false;

		/* Parents stand before their children: so there is no cycle either. */
		for (size_t i = 0; i < index; i++)
			found |= r->processes[i].vpid == p->parent_vpid && !r->processes[i].zombie;
		if (!found)
			node_complain(n, "its parent %d is not in front of it", p->parent_vpid);
	} else if (r->pod->config.no_init && index > 0) {
		node_complain(n, "a second process without a parent");
	}
	p->stop_signal = !p->zombie && node_has(n, "stop") ? stop_signal(node_object(n, "stop")) : 0;
	p->continued = !p->zombie && node_has(n, "continued") && node_bool(n, "continued");
	if (p->stop_signal && p->continued)
		node_complain(n, "a stopped process that was set going");
	threads = p->zombie ? NULL : node_array(n, "threads");
	p->n_threads = p->zombie ? 1 : node_count(threads);
	if (p->n_threads < 1)
		node_complain(n, "a process without threads");
	p->threads = calloc(p->n_threads ? p->n_threads : 1, sizeof(*p->threads));
	if (!p->threads)
		return error_errno(err, -ENOMEM, "threads");
	for (size_t i = 0; i < p->n_threads; i++) {
		p->threads[i].process = p;
		p->threads[i].node = p->zombie ? NULL : node_at(threads, i);
		p->threads[i].vtid =
			p->zombie ? p->vpid : (pid_t)node_i64(p->threads[i].node, "vtid", 1, 1 << 22);
	}
	if (p->n_threads && p->threads[0].vtid != p->vpid)
		node_complain(n, "its first thread is not its main thread");
	if (p->zombie)
		return 0;
	p->inherits = node_has(node_object(n, "memory"), "volatile");
	return memory_parse(p, err);
}

static int parent_index(struct restore *r, const struct restore_process *p)
{
	const struct restore_process *parent = restore_by_vpid(r, p->parent_vpid);

	return parent && p->parent_vpid != p->vpid ? (int)parent->index : TREE_ROOT;
}

static int make_plan(struct restore *r, struct ct_error *err)
{
	struct tree_task *tasks = calloc(r->n_processes, sizeof(*tasks));
	int who, e;

	if (!tasks)
		return error_errno(err, -ENOMEM, "restore");
	for (size_t i = 0; i < r->n_processes; i++) {
		const struct restore_process *p = &r->processes[i];

		tasks[i] = (struct tree_task){ .vpid = p->vpid,
					       .session = p->vsid,
					       .parent = parent_index(r, p),
					       .heir = p->inherits,
					       .by_thread = p->parent_vtid };
	}
	e = tree_plan_make(tasks, r->n_processes, &r->plan, &who, err);
	if (e < 0 && who >= 0)
		error_prefix(err, e, "pid %d", r->processes[who].vpid);
	return e == -EOPNOTSUPP ? error_prefix(err, -EBADMSG, "manifest.json") : e;
}

/* The lowest number that is nobody's in the pod: no process's, thread's, group's, session's. */
static pid_t find_spare(const struct restore *r)
{
	pid_t spare = 2;

	for (bool again = true; again;) {
		again = false;
		for (size_t i = 0; i < r->n_processes; i++) {
			const struct restore_process *p = &r->processes[i];

			while (p->vpid == spare || p->vpgid == spare || p->vsid == spare) {
				spare++;
				again = true;
			}
			for (size_t k = 0; k < p->n_threads; k++)
				if (p->threads[k].vtid == spare) {
					spare++;
					again = true;
				}
		}
	}
	return spare;
}

int restore_parse(struct restore *r, struct ct_error *err)
{
	const struct node *list = node_array(r->root, "processes");
	struct aio_needs aio = { 0 };
	int e;

	r->n_ofds = node_count(node_array(r->root, "descriptors"));
	r->tables = node_array(r->root, "descriptor_tables"); /* there, if empty, where all are zombies */
	r->ofds = malloc((r->n_ofds ? r->n_ofds : 1) * sizeof(int));
	r->n_processes = node_count(list);
	r->processes = calloc(r->n_processes ? r->n_processes : 1, sizeof(*r->processes));
	if (!r->ofds || !r->processes)
		return error_errno(err, -ENOMEM, "restore");
	for (size_t i = 0; i < r->n_ofds; i++)
		r->ofds[i] = -1;
	e = restore_link_descriptors(r);
	if (e < 0)
		return error_errno(err, e, "restore");
	for (size_t i = 0; i < r->n_processes; i++) {
		e = parse_process(r, i, node_at(list, i), err);
		if (e < 0)
			return e;
	}
	if (!r->n_processes)
		return error_set(err, -EBADMSG, "manifest.json: a pod without processes");
	aio_needs_add(&aio, list);
	e = doc_check(r->doc, err);
	if (e == 0)
		e = aio_check_host(&aio, err);
	r->spare_vpid = find_spare(r);
	for (size_t i = 0; i < r->n_processes; i++)
		for (size_t k = 0; k < r->processes[i].n_threads; k++)
			if (r->processes[i].threads[k].vtid > r->last_vpid)
				r->last_vpid = r->processes[i].threads[k].vtid;
	return e < 0 ? e : make_plan(r, err);
}

void restore_process_asks(struct restore_process *p)
{
	for (size_t i = 0; kinds[i]; i++) {
		if (kinds[i]->process_asks)
			kinds[i]->process_asks(p->restore, p, node_object(p->node, kinds[i]->name));
		for (size_t k = 0; kinds[i]->thread_asks && k < p->n_threads; k++)
			kinds[i]->thread_asks(p->restore, &p->threads[k],
					      node_object(p->threads[k].node, kinds[i]->name));
	}
}
