// SPDX-License-Identifier: Apache-2.0
/* What happens to a pod in the hands of its monitor: release, end, removal, and the guard of a checkpoint. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "libct/base/cleanup.h"
#include "libct/base/error.h"
#include "libct/base/io.h"
#include "libct/base/sys.h"
#include "libct/pod/monitor-impl.h"
#include "libct/pod/proc.h"
#include "libct/pod/signal.h"
#include "libct/pod/state.h"
#include "netns/sockdiag.h"
#include "netns/tcp.h"

/*
 * Without its socket a client learns from state.json how the pod ended; who connected before is still
 * served. Shut down, because the keeper has a copy.
 */
static void stop_listening(struct monitor *m)
{
	if (m->listen_fd < 0)
		return;
	unlinkat(m->pod->dirfd, "sock", 0);
	client_accept(m);
	shutdown(m->listen_fd, SHUT_RDWR);
	m->listen_fd = fd_close(m->listen_fd);
}

/* Takes PID 1's status if it is there. Not while another process traces it: then it comes later. */
static bool reap(struct monitor *m)
{
	m->reaped = m->reaped || keeper_reaped(m);
	return m->reaped;
}

static void phase_set(struct monitor *m, enum phase phase)
{
	m->phase = phase;
	if (m->shared)
		keeper_phase(m);
}

int monitor_open_netns(struct monitor *m, struct ct_error *err)
{
	char path[64];

	if (!m->pod->state.link[0])
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/ns/net", m->child.pid1);
	m->netns_fd = open(path, O_RDONLY | O_CLOEXEC);
	return m->netns_fd < 0 ? error_errno(err, -errno, "open the pod's network namespace") : 0;
}

/*
 * What still waits for an acknowledgement would hold the link. Nobody hears of its end: what was not delivered goes with
 * the link.
 */
static void end_connections(struct monitor *m)
{
	if (m->netns_fd < 0)
		return;
	net_lock(m->pod->state.link, NULL);
	sockdiag_end_tcp(m->netns_fd, NULL);
	m->netns_fd = fd_close(m->netns_fd);
}

/* Ends every process of the pod. What fails is left to pod_destroy(). */
static int end_processes(struct monitor *m, struct ct_error *err)
{
	struct pod_state *s = &m->pod->state;
	int r;

	if (!s->cgroup[0])
		return 0;
	r = cgroup_kill(s->cgroup, err);
	if (r < 0) {
		/* PID 1 takes all others of its namespace with it. */
		sys_pidfd_send_signal(m->child.pid1_pidfd, SIGKILL);
		cgroup_thaw(s->cgroup, NULL);
	}
	if (m->child.pid1_pidfd >= 0)
		proc_wait(m->child.pid1_pidfd, 10000);
	return r;
}

static int remove_traces(struct monitor *m, struct ct_error *err)
{
	struct pod_state *s = &m->pod->state;
	int r = 0, q;

	/*
	 * Until here the namespace was held: the kernel would begin to remove the link with its last process, and who asks
	 * anything of links would wait for that.
	 */
	end_connections(m);
	if (s->link[0])
		r = net_detach(s->link, err);
	if (s->cgroup[0]) {
		q = cgroup_remove(s->cgroup, r < 0 ? NULL : err);
		r = r < 0 ? r : q;
	}
	return r;
}

/* PID 1 has ended, and with it every process of its namespace. */
static void pod_ended(struct monitor *m)
{
	struct pod_state *s = &m->pod->state;

	phase_set(m, PHASE_ENDED);
	streams_drain(m);
	streams_close(m);
	/* First of all: the rest can be done by others if we are killed, this cannot. */
	s->status = CT_EXITED;
	s->exit_code = m->code;
	s->pid1 = 0;
	pod_state_write(m->pod, NULL);
	remove_traces(m, NULL);
	stop_listening(m);
	if (m->pod->config.remove)
		pod_remove_directory(m->pod, NULL);
	clients_tell_end(m);
}

void monitor_reap(struct monitor *m)
{
	if (!reap(m))
		return;
	/* Before the release its starter is told when it asks; during a checkpoint whoever has the guard. */
	if (m->phase == PHASE_RUNNING && !m->guard)
		pod_ended(m);
}

void monitor_abort(struct monitor *m, const struct ct_error *err)
{
	end_processes(m, NULL);
	streams_close(m);
	remove_traces(m, NULL);
	stop_listening(m);
	pod_remove_directory(m->pod, NULL);
	if (m->starter && err)
		client_fail(m->starter, err);
	m->code = 128 + SIGKILL;
	clients_tell_end(m);
	phase_set(m, PHASE_GONE);
}

/* ---- release ---- */

/* The link of a restored pod is locked until here; its neighbours learn where it is now. */
static int open_link(struct monitor *m, struct ct_error *err)
{
	struct pod_state *s = &m->pod->state;
	int r;

	if (!s->link[0])
		return 0;
	r = net_unlock(s->link, err);
	if (r >= 0)
		net_announce(m->netns_fd, &m->pod->config.address, &m->announcer_fd, NULL);
	return r;
}

int monitor_set_going(struct monitor *m, struct ct_error *err)
{
	if (!m->waits)
		return error_set(err, -EPROTO, "not to be set going");
	m->waits = false;
	keeper_phase(m);
	return cgroup_thaw(m->pod->state.cgroup, err);
}

void monitor_settle(struct monitor *m)
{
	m->announcer_fd = fd_close(m->announcer_fd);
	connections_let_go(m);
}

void monitor_go_alone(struct monitor *m)
{
	connections_release(m);
	monitor_set_going(m, NULL);
	monitor_settle(m);
}

static void released(struct monitor *m, int r, const struct ct_error *err)
{
	if (r < 0) {
		monitor_abort(m, err);
		return;
	}
	if (m->starter)
		client_send(m->starter, MSG_OK, 0, 0);
	monitor_reap(m);
}

/* From here on the pod is the monitor's, whatever becomes of the one who made it. */
static int run(struct monitor *m, struct ct_error *err)
{
	struct pod_state *s = &m->pod->state;
	int r;

	s->status = CT_RUNNING;
	s->main_vpid = m->main_vpid;
	r = pod_state_write(m->pod, err);
	if (r >= 0)
		phase_set(m, PHASE_RUNNING);
	return r;
}

/* The one that PID 1 reads: not where it is the program itself, restored, which its tracer lets go. */
static int send_go(struct monitor *m, const struct init_go *go, struct ct_error *err)
{
	int r = 0;

	if (m->reaped)
		return error_set(err, -ESRCH, "the pod's PID 1 ended before its work began (%s %d)",
				 m->killed ? "signal" : "exit code", m->killed ? m->code - 128 : m->code);
	m->main_vpid = go->main_vpid;
	if (m->pod->config.no_init)
		m->main_vpid = 1;
	else if (!go->main_vpid) /* the only process beside PID 1 by now */
		m->main_vpid = pod_first_vpid(m->pod);
	phase_set(m, PHASE_RELEASING);
	if (m->child.sync_fd >= 0 && !(m->pod->config.no_init && m->pod->state.status == CT_RESTORING))
		r = io_write_all(m->child.sync_fd, go, sizeof(*go));
	m->child.sync_fd = fd_close(m->child.sync_fd);
	return r < 0 ? error_errno(err, r, "release of the pod's PID 1") : 0;
}

void monitor_release(struct monitor *m, const struct init_go *go)
{
	struct ct_error err = {};
	int r = send_go(m, go, &err);

	if (r >= 0 && m->child.exec_error_fd >= 0)
		return; /* monitor_executed() */
	if (r >= 0)
		r = run(m, &err);
	released(m, r, &err);
}

/* ---- release of a restored pod ---- */

bool monitor_has_word(const struct monitor *m)
{
	return m->start->word && m->start->word->given;
}

void monitor_prepare(struct monitor *m, const struct init_go *go)
{
	struct ct_error err = {};

	if (send_go(m, go, &err) < 0)
		monitor_abort(m, &err);
	else
		client_send(m->starter, MSG_OK, 0, 0);
}

/* state.json comes last: who waits for it must find the rest done. */
static int take_over(struct monitor *m, struct ct_error *err)
{
	int r, q;

	if (m->start->taken)
		m->start->taken(m->start->taken_context, m->pod);
	m->waits = true;
	phase_set(m, PHASE_RUNNING);
	r = open_link(m, err);
	q = run(m, r < 0 ? NULL : err);
	return r < 0 ? r : q;
}

void monitor_take_over(struct monitor *m)
{
	take_over(m, NULL);
}

void monitor_release_restored(struct monitor *m)
{
	struct ct_error err = {};
	int r = take_over(m, &err);

	released(m, r, &err);
}

void monitor_executed(struct monitor *m)
{
	struct ct_error err = {};
	int e = 0, r;

	r = io_read_exact(m->child.exec_error_fd, &e, sizeof(e));
	m->child.exec_error_fd = fd_close(m->child.exec_error_fd);
	if (r == -ENODATA) { /* the kernel closed it when it executed the command */
		r = run(m, &err);
		released(m, r, &err);
		return;
	}
	if (r >= 0)
		r = e > 0 ? -e : -EPROTO;
	error_errno(&err, r, "cannot execute '%s'", m->pod->config.command[0]);
	monitor_abort(m, &err);
}

/* ---- signals ---- */

int monitor_signal(struct monitor *m, int sig, struct ct_error *err)
{
	if (m->phase != PHASE_RUNNING || m->reaped)
		return error_set(err, -ESRCH, "the pod is not running");
	return pod_signal(m->pod, sig, err);
}

/* ---- the guard ---- */

int monitor_guard_begin(struct monitor *m, struct client *c, struct ct_error *err)
{
	struct pod_state *s = &m->pod->state;
	int r;

	if (m->phase != PHASE_RUNNING || m->reaped)
		return error_set(err, -ESRCH, "the pod is not running");
	if (m->guard || s->status == CT_MIGRATING)
		return error_set(err, -EBUSY, "another checkpoint of the pod is under way");
	s->status = CT_CHECKPOINTING;
	r = pod_state_write(m->pod, err);
	if (r < 0) {
		s->status = CT_RUNNING;
		return r;
	}
	m->guard = c;
	c->guard = true;
	return 0;
}

static void deliver_deferred(struct monitor *m)
{
	uint64_t set = m->deferred_signals;

	m->deferred_signals = 0;
	for (int sig = 1; sig <= 64; sig++)
		if (set & 1ull << (sig - 1))
			monitor_signal(m, sig, NULL);
}

void monitor_guard_socket(struct monitor *m, int fd, int options)
{
	fd_close(m->repaired_fd);
	m->repaired_fd = fd;
	m->repaired_reuse = options & 1;
	m->repaired_in_line = options >> 1 & 1;
}

int monitor_guard_hand_over(struct monitor *m, struct ct_error *err)
{
	struct pod_state *s = &m->pod->state;
	int r;

	s->status = CT_MIGRATING;
	r = pod_state_write(m->pod, err);
	if (r < 0)
		s->status = CT_CHECKPOINTING;
	else
		keeper_migrating(m, true);
	return r;
}

int monitor_guard_take_up(struct monitor *m, struct client *c, struct ct_error *err)
{
	if (m->pod->state.status != CT_MIGRATING)
		return error_set(err, -EINVAL, "the pod was not handed over to another host");
	if (m->guard)
		return error_set(err, -EBUSY, "its migration is still under way");
	m->guard = c;
	c->guard = true;
	return 0;
}

int monitor_guard_continue(struct monitor *m, bool undo, struct ct_error *err)
{
	struct pod_state *s = &m->pod->state;
	bool migrating = s->status == CT_MIGRATING;
	int r = 0;

	m->guard->guard = false;
	m->guard = NULL;
	/* Its holder is gone: somebody who knows more has to say what becomes of the pod. */
	if (undo && migrating) {
		monitor_reap(m);
		return 0;
	}
	keeper_migrating(m, false);
	/* The note of where it was to go; whoever wrote it may be killed before he removes it. */
	unlinkat(m->pod->dirfd, "migration.json", 0);
	m->input_paused = false;
	if (undo || migrating) {
		if (m->repaired_fd >= 0 && tcp_repairing(m->repaired_fd)) {
			setsockopt(m->repaired_fd, SOL_SOCKET, SO_OOBINLINE, &m->repaired_in_line, sizeof(int));
			tcp_repair_off(m->repaired_fd, m->repaired_reuse, false, NULL);
		}
		cgroup_thaw(s->cgroup, NULL);
	}
	/* Also where all went well: whoever could not let the packets through again counts on us. */
	if (s->link[0])
		net_unlock(s->link, NULL);
	m->repaired_fd = fd_close(m->repaired_fd);
	s->status = CT_RUNNING;
	if (m->reaped || proc_wait(m->child.pid1_pidfd, 0) == 1) {
		r = error_set(err, -ESRCH, "the pod ended while it was being checkpointed");
		/* May be too early while a tracer is still there; the keeper tells then. */
		monitor_reap(m);
		return r;
	}
	r = pod_state_write(m->pod, err);
	deliver_deferred(m);
	input_pump(m);
	return r;
}

/* For the next, who may be waiting for just these. */
static int give_up_names(struct monitor *m, struct ct_error *err)
{
	struct pod_state *s = &m->pod->state;
	int r = s->link[0] ? net_give_up(s->link, err) : 0;

	return r < 0 ? r : pod_give_up_name(m->pod, err);
}

static int end_checkpointed(struct monitor *m, struct ct_error *err)
{
	int r = end_processes(m, err);

	m->checkpointed = true;
	m->code = 0;
	phase_set(m, PHASE_ENDED);
	streams_close(m);
	if (r >= 0)
		r = give_up_names(m, err);
	stop_listening(m);
	clients_tell_end(m);
	return r;
}

int monitor_guard_checkpointed(struct monitor *m, struct ct_error *err)
{
	/* Point of no return: from here on the image is the pod. */
	keeper_ending(m);
	m->repaired_fd = fd_close(m->repaired_fd);
	m->guard->guard = false;
	m->guard = NULL;
	return end_checkpointed(m, err);
}

void monitor_remove_rest(struct monitor *m)
{
	/* What stays because something could not be removed is found by pods_sweep(). */
	if (remove_traces(m, NULL) >= 0)
		pod_remove_remains(m->pod, NULL);
}

void monitor_end_again(struct monitor *m)
{
	if (end_checkpointed(m, NULL) >= 0)
		monitor_remove_rest(m);
}
