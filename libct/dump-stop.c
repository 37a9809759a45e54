/* SPDX-License-Identifier: Apache-2.0 */
/* A dump's life: made, the pod stopped, let go again. */
#include <fcntl.h>
#include <string.h>
#include <sys/ptrace.h>

#include "images/node.h"
#include "libct/base/error.h"
#include "libct/base/sys.h"
#include "libct/dump-steps.h"
#include "libct/kind/clock.h"
#include "libct/kind/file.h"
#include "libct/kind/tcp.h"
#include "libct/task/restart.h"
#include "libct/task/rseq.h"
#include "libct/tree-plan.h"
#include "netns/net.h"

#define FREEZE_TIMEOUT_MS 10000

int dump_new(struct pod *pod, bool preflight, struct dump **ret, struct ct_error *err)
{
	__cleanup(dump_free_cleanup) struct dump *d = calloc(1, sizeof(*d));

	if (!d)
		return error_errno(err, -ENOMEM, "dump");
	d->pod = pod;
	d->preflight = preflight;
	d->netns = d->master_fd = -1;
	d->proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (d->proc < 0)
		return error_errno(err, -errno, "open '/proc'");
	d->netns = proc_open(d->proc, pod->state.pid1, "ns/net", O_RDONLY);
	if (d->netns < 0)
		return error_errno(err, d->netns, "open the pod's network namespace");
	d->files = file_context_new(d->proc, pod->state.pid1);
	d->doc = doc_new();
	if (!d->doc || !d->files)
		return error_errno(err, -ENOMEM, "dump");
	d->root = doc_root(d->doc);
	*ret = take_ptr(d);
	return 0;
}

void dump_let_go(struct dump *d)
{
	for (size_t i = 0; i < d->n_processes; i++)
		dump_process_release(&d->processes[i]);
	free(take_ptr(d->processes));
	d->n_processes = 0;
	tracee_release(&d->init);
	fd_registry_free(take_ptr(d->fds));
	shared_registry_free(take_ptr(d->shared));
}

void dump_free(struct dump *d)
{
	if (!d)
		return;
	dump_let_go(d);
	dump_thaw(d, NULL);
	tree_plan_free(d->tree);
	seccomp_registry_free(d->seccomp);
	sleep_notes_free(d->sleeps);
	file_context_free(d->files);
	unix_registry_free(d->unix_sockets);
	tcp_registry_free(d->tcp);
	held_registry_free(d->held);
	/* After the processes: what they send first is not lost. */
	if (d->locked)
		net_unlock(d->pod->state.link, NULL);
	free(d->udp_sockets);
	doc_free(d->doc);
	free(d->findings);
	free(d->lasting);
	fd_close(d->proc);
	fd_close(d->netns);
	free(d);
}

static int seize_all(struct dump *d, struct ct_error *err)
{
	int r;

	if (!d->pod->config.no_init) {
		d->init = (struct tracee){ .pid = d->pod->state.pid1, .tid = d->pod->state.pid1,
					   .vpid = 1, .vtid = 1 };
		r = tracee_seize(&d->init, 0, err);
		if (r < 0)
			return error_prefix(err, r, "PID 1");
	}
	for (size_t i = 0; i < d->n_processes; i++) {
		struct dump_process *p = &d->processes[i];

		for (size_t k = 0; k < p->n_threads; k++) {
			struct dump_thread *t = &p->threads[k];

			if (t->status.state == 'Z' || t->status.state == 'X' || t->in_vfork)
				continue;
			/* Its system call filters are not meant for our tapes. */
			r = tracee_seize(&t->t, t->status.seccomp ? PTRACE_O_SUSPEND_SECCOMP : 0, err);
			if (r < 0)
				return error_prefix(err, r, "pid %d (%s)", p->vpid, p->stat.comm);
			d->stats.n_threads++;
		}
	}
	return 0;
}

int dump_read_thread(struct dump_thread *t, struct ct_error *err)
{
	int r = tracee_read(&t->t, err);

	if (r < 0)
		return r;
	if (rseq_abort(&t->t))
		t->t.dirty = true;
	/*
	 * epoll_wait and some others end with EINTR after a mere stop. The task is to see neither the
	 * stop nor, in the image, the restore.
	 */
	if (restart_mend_eintr(&t->t.regs, (t->status.sig_pending | t->status.sig_shared_pending) &
						   ~t->status.sig_blocked) ||
	    /* io_pgetevents is made anew by the kernel, which forgets the time all the same. */
	    restart_timed(&t->t.regs) == RESTART_GETEVENTS) {
		dump_shorten_wait(t);
		t->t.dirty = true;
	}
	/* At once: if we die while it is stopped, it goes on with what is there. */
	return tracee_put_back(&t->t, err);
}

/*
 * A SIGSTOP that was on its way when the pod froze takes effect now: no tape runs with one pending.
 */
static int apply_stop(struct dump_process *p, struct ct_error *err)
{
	struct dump_thread *first = NULL;
	int r;

	for (size_t k = 0; k < p->n_threads; k++) {
		const struct proc_status *s = &p->threads[k].status;

		if (!first && (s->sig_pending | s->sig_shared_pending) >> (SIGSTOP - 1) & 1)
			first = &p->threads[k];
	}
	if (!first || first->t.stop_signal)
		return 0;
	r = tracee_group_stop(&first->t, SIGSTOP, err);
	for (size_t k = 0; r == 0 && k < p->n_threads; k++)
		r = tracee_join_stop(&p->threads[k].t, err);
	return r;
}

static int lock_packets(struct dump *d, struct ct_error *err)
{
	if (!*d->pod->state.link)
		return 0;
	d->locked = true;
	return net_lock(d->pod->state.link, err);
}

int dump_hold(struct dump *d, struct ct_error *err)
{
	int r = dump_note_sleeps(d, err);

	/* Before anything stops: what comes from now on comes once more when the pod goes on, here or from the image. */
	return r < 0 ? r : lock_packets(d, err);
}

int dump_freeze(struct dump *d, struct ct_error *err)
{
	int r;

	d->frozen = true;
	r = cgroup_freeze(d->pod->state.cgroup, FREEZE_TIMEOUT_MS, err);
	if (r < 0)
		return r;
	dump_check_sleeps(d);
	d->frozen_at = clock_now(CLOCK_MONOTONIC);
	file_context_look(d->files, d->proc, d->pod->state.pid1);
	return 0;
}

int dump_freeze_again(struct dump *d, struct ct_error *err)
{
	if (d->frozen)
		return 0;
	d->frozen = true;
	return cgroup_freeze(d->pod->state.cgroup, FREEZE_TIMEOUT_MS, err);
}

int dump_thaw(struct dump *d, struct ct_error *err)
{
	int r = d->frozen ? cgroup_thaw(d->pod->state.cgroup, err) : 0;

	d->frozen = r < 0;
	return r;
}

int dump_stop(struct dump *d, struct ct_error *err)
{
	int r, thawed;

	r = dump_find_processes(d, err);
	if (r == 0)
		dump_check_vfork(d);
	/* Also what is refused already: a thread that was only frozen could find its system call interrupted. */
	if (r == 0)
		r = seize_all(d, err);
	/* A frozen task cannot run a tape, a traced one cannot run anything else. */
	thawed = dump_thaw(d, r < 0 ? NULL : err);
	if (r < 0 || thawed < 0)
		return r < 0 ? r : thawed;
	if (d->init.seized) {
		r = tracee_wait_stop(&d->init, err);
		if (r < 0)
			return error_prefix(err, r, "PID 1");
	}
	for (size_t i = 0; i < d->n_processes; i++) {
		struct dump_process *p = &d->processes[i];

		for (size_t k = 0; k < p->n_threads; k++) {
			if (!p->threads[k].t.seized)
				continue;
			r = tracee_wait_stop(&p->threads[k].t, err);
			if (r == 0)
				r = dump_read_thread(&p->threads[k], err);
			if (r < 0)
				return error_prefix(err, r, "pid %d (%s)", p->vpid, p->stat.comm);
			dump_check_dispatch(d, &p->threads[k]);
		}
		r = p->zombie || d->n_findings ? 0 : apply_stop(p, err);
		if (r < 0)
			return error_prefix(err, r, "pid %d (%s)", p->vpid, p->stat.comm);
	}
	/* Before any tape. */
	r = dump_verdict(d, err);
	return r < 0 ? r : dump_restarts(d, err);
}

bool dump_passes(const struct dump *d, int r)
{
	return r == -EOPNOTSUPP && d->n_findings && d->n_passing == d->n_findings;
}

int dump_verdict(const struct dump *d, struct ct_error *err)
{
	if (!d->n_findings)
		return 0;
	return error_lines(err, -EOPNOTSUPP, d->findings ? d->findings : "objects that cannot be carried");
}
