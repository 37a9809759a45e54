// SPDX-License-Identifier: Apache-2.0
/*
 * The monitor of a pod, outside of it, from before its first instruction until after its last. It
 * keeps the standard streams and the exit code, and undoes what a killed podckpt has left. It is
 * two processes (monitor-keeper.c); if both are killed the pod runs on without those.
 */
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "libct/base/cleanup.h"
#include "libct/base/error.h"
#include "libct/base/sys.h"
#include "libct/pod/monitor-impl.h"
#include "libct/pod/proc.h"
#include "libct/pod/state.h"

/* ---- becoming a process that depends on nobody ---- */

static int by_number(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* Closes everything from 3 on but `keep`, which is sorted; -1 in it is nothing. */
static void close_others(int *keep, size_t n)
{
	unsigned int from = 3;

	qsort(keep, n, sizeof(*keep), by_number);
	for (size_t i = 0; i < n; i++) {
		if (keep[i] < 3)
			continue;
		if ((unsigned int)keep[i] > from)
			close_range(from, (unsigned int)keep[i] - 1, 0);
		from = (unsigned int)keep[i] + 1;
	}
	close_range(from, ~0u, 0);
}

/* Numbers 0 to 2 become /dev/null; what the caller may have had there moves up. */
static int above_stdio(int *fd)
{
	int moved;

	if (*fd < 0 || *fd > 2)
		return 0;
	moved = fcntl(*fd, F_DUPFD_CLOEXEC, 3);
	if (moved < 0)
		return -errno;
	*fd = moved;
	return 0;
}

static int isolate(struct pod *pod, struct pod_start *start, int *sock)
{
	int *needed[] = { sock, &pod->dirfd, &start->restorer_pidfd };
	int keep[3], null, r;
	sigset_t none;

	for (size_t i = 0; i < 3; i++) {
		r = above_stdio(needed[i]);
		if (r < 0)
			return r;
		keep[i] = *needed[i];
	}
	close_others(keep, 3);
	pod->lockfd = pod->monitor_fd = pod->pid1_pidfd = pod->ct->run_fd = -1;
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0)
		return -errno;
	for (int i = 0; i < 3; i++)
		if (dup2(null, i) < 0)
			return -errno;
	fd_close(null > 2 ? null : -1);
	/* What the pod inherits: no action, mask or directory of whoever called us. */
	for (int sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	umask(022);
	prctl(PR_SET_NAME, "podckpt-monitor");
	return chdir("/") < 0 ? -errno : 0;
}

/* After PID 1 was made: what is ignored here must not be so in the pod. */
static int ignore_signals(struct monitor *m)
{
	static const int ignored[] = { SIGHUP,	SIGINT,	 SIGQUIT, SIGTERM, SIGPIPE,
				       SIGALRM, SIGUSR1, SIGUSR2, SIGTSTP };
	sigset_t child;

	for (size_t i = 0; i < sizeof(ignored) / sizeof(*ignored); i++)
		signal(ignored[i], SIG_IGN);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &child, NULL) < 0)
		return -errno;
	m->signal_fd = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
	return m->signal_fd < 0 ? -errno : 0;
}

static int listen_open(struct monitor *m, struct ct_error *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	cleanup_fd int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int r;

	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/sock", m->pod->dirfd);
	umask(0177);
	r = fd < 0 ? fd : bind(fd, (struct sockaddr *)&address, sizeof(address));
	umask(022);
	if (r < 0 || listen(fd, 64) < 0)
		return error_errno(err, -errno, "control socket '%s/sock'", m->pod->dir);
	m->listen_fd = take_fd(&fd);
	return 0;
}

/* ---- making ---- */

static int state_first(struct monitor *m, struct ct_error *err)
{
	struct pod_state *s = &m->pod->state;
	int r;

	s->status = m->start->restoring ? CT_RESTORING : CT_CREATED;
	s->monitor = getpid();
	s->monitor_started = proc_started(getpid());
	s->pid1 = m->child.pid1;
	s->pid1_started = proc_started(s->pid1);
	m->pod->pid1_pidfd = fcntl(m->child.pid1_pidfd, F_DUPFD_CLOEXEC, 3);
	if (m->pod->pid1_pidfd < 0)
		return error_errno(err, -errno, "pidfd");
	/* Again, because the address is known only now. */
	r = pod_config_write(m->pod, err);
	return r < 0 ? r : pod_state_write(m->pod, err);
}

static void tell_made(struct monitor *m)
{
	struct packet *p = packet_new(MSG_MADE, 0, 0, sizeof(struct monitor_made));
	struct monitor_made *made = p ? (void *)p->data : NULL;

	if (made) {
		made->state = m->pod->state;
		made->address = m->pod->config.address;
		p->fd = fcntl(m->child.pid1_pidfd, F_DUPFD_CLOEXEC, 3);
	}
	client_push(m->starter, p);
	packet_put(p);
}

/* What the pod's makers inherit must not be changed before; what follows must not be left out. */
static int make(struct monitor *m, struct ct_error *err)
{
	int r = pod_spawn(m->pod, m->start, &m->child, err);

	if (r < 0)
		return r;
	r = monitor_open_netns(m, err);
	if (r < 0)
		return r;
	r = ignore_signals(m);
	if (r < 0)
		return error_errno(err, r, "signals");
	r = streams_open(m, err);
	if (r >= 0)
		r = listen_open(m, err);
	if (r >= 0)
		r = state_first(m, err);
	return r;
}

/* ---- the loop ---- */

struct polls {
	struct pollfd *fds;
	size_t n, size;
};

/* Returns the place, or -1 for `fd` -1; *failed where there was no memory. */
static int polls_add(struct polls *p, int fd, short events)
{
	if (fd < 0)
		return -1;
	p->fds[p->n] = (struct pollfd){ .fd = fd, .events = events };
	return (int)p->n++;
}

static bool polls_ready(const struct polls *p, int place)
{
	return place >= 0 && p->fds[place].revents;
}

#define FIXED_POLLS 8

struct turn {
	struct pollfd fds[FIXED_POLLS + CLIENTS_MAX];
	struct polls polls;
	int keeper, pid1, executed, listen, out[3], master, input;
	struct client *clients[CLIENTS_MAX];
	int places[CLIENTS_MAX];
	size_t n_clients;
};

static void turn_prepare(struct monitor *m, struct turn *t)
{
	bool wanted = streams_wanted(m);
	struct polls *p = &t->polls;

	p->fds = t->fds;
	p->n = t->n_clients = 0;
	t->keeper = polls_add(p, m->keeper_fd, POLLIN);
	t->pid1 = polls_add(p, m->keeper_fd < 0 && !m->reaped ? m->child.pid1_pidfd : -1, POLLIN);
	t->executed = m->phase == PHASE_RELEASING ? polls_add(p, m->child.exec_error_fd, POLLIN) : -1;
	t->listen = polls_add(p, m->n_clients < CLIENTS_MAX ? m->listen_fd : -1, POLLIN);
	for (int i = 1; i <= 2; i++)
		t->out[i] = polls_add(p, wanted ? m->child.stream_fd[i] : -1, POLLIN);
	t->master = polls_add(p, wanted ? m->master_epoll : -1, POLLIN);
	t->input = polls_add(p, input_fd(m), POLLOUT);
	for (struct client *c = m->clients; c; c = c->next) {
		short events = (short)(POLLIN | (queue_first(&c->out) ? POLLOUT : 0));

		t->clients[t->n_clients] = c;
		t->places[t->n_clients++] = polls_add(p, c->sock, events);
	}
}

static void pump_master(struct monitor *m, bool told)
{
	struct epoll_event event;

	if (told && epoll_wait(m->master_epoll, &event, 1, 0) == 1)
		m->master_ready = true;
	/* A bounded number of reads: clients want their turn too. */
	for (int i = 0; i < 8 && m->master_ready && streams_wanted(m); i++)
		stream_pump(m, 1);
}

/* The keeper was killed: state.json must not name it any more. */
static void alone(struct monitor *m)
{
	struct pod_state *s = &m->pod->state;

	s->monitor = getpid();
	s->monitor_started = proc_started(getpid());
	if (m->phase < PHASE_ENDED)
		pod_state_write(m->pod, NULL);
}

static void turn_serve(struct monitor *m, struct turn *t)
{
	for (int i = 1; i <= 2; i++)
		if (polls_ready(&t->polls, t->out[i]))
			stream_pump(m, i);
	if (m->child.master_fd >= 0)
		pump_master(m, polls_ready(&t->polls, t->master));
	if (polls_ready(&t->polls, t->input))
		input_pump(m);
	if (polls_ready(&t->polls, t->executed))
		monitor_executed(m);
	if (polls_ready(&t->polls, t->keeper) && !keeper_heard(m))
		alone(m);
	if (polls_ready(&t->polls, t->keeper) || polls_ready(&t->polls, t->pid1))
		monitor_reap(m);
	for (size_t i = 0; i < t->n_clients && m->phase != PHASE_GONE; i++) {
		short events = t->polls.fds[t->places[i]].revents;

		if (events & POLLOUT)
			client_flush(t->clients[i]);
		if (events & ~POLLOUT)
			client_serve(m, t->clients[i]);
	}
	if (polls_ready(&t->polls, t->listen))
		client_accept(m);
}

/* Clients that have hung up, and what their leaving means. */
static void bury_clients(struct monitor *m)
{
	for (struct client *c = m->clients, *next; c; c = next) {
		next = c->next;
		if (!c->hung_up)
			continue;
		if (m->guard == c)
			monitor_guard_continue(m, true, NULL);
		if (m->starter == c) {
			m->starter = NULL;
			if (m->phase == PHASE_RELEASING && monitor_has_word(m))
				monitor_take_over(m);
			if (m->phase < PHASE_RUNNING)
				monitor_abort(m, NULL);
			else if (m->waits)
				monitor_go_alone(m);
		}
		client_free(m, c);
	}
}

static void loop(struct monitor *m)
{
	struct turn t;

	monitor_reap(m); /* it may have ended before we listened */
	while (m->phase != PHASE_GONE) {
		bool more = m->master_ready && streams_wanted(m);

		turn_prepare(m, &t);
		if (poll(t.fds, t.polls.n, more ? 0 : -1) < 0 && errno != EINTR)
			return;
		turn_serve(m, &t);
		bury_clients(m);
		if (m->phase == PHASE_ENDED && !m->clients)
			m->phase = PHASE_GONE;
	}
}

/* In place of a server that was killed: its clients have lost their connections, the pod nothing. */
static void resume(struct monitor *m)
{
	struct pod_state *s = &m->pod->state;

	streams_resume(m);
	if (m->phase == PHASE_RELEASING)
		monitor_take_over(m);
	if (m->waits)
		monitor_go_alone(m);
	/* Whoever had the guard cannot end it any more. */
	if (keeper_is_migrating(m)) {
		s->status = CT_MIGRATING;
		m->input_paused = true;
	} else {
		cgroup_thaw(s->cgroup, NULL);
		if (s->link[0])
			net_unlock(s->link, NULL);
		s->status = CT_RUNNING;
	}
	s->main_vpid = m->main_vpid;
	m->phase = PHASE_RUNNING; /* an end that was begun is done again */
	if (!keeper_reaped(m))
		pod_state_write(m->pod, NULL);
}

void monitor_serve(struct monitor *m, bool first)
{
	if (first)
		tell_made(m);
	else if (keeper_is_ending(m))
		monitor_end_again(m);
	else
		resume(m);
	loop(m);
}

void monitor_main(struct pod *pod, const struct pod_start *start, int sock)
{
	struct pod_start own = *start;
	struct monitor m = { .pod = pod,
			     .start = &own,
			     .child = { .pid1_pidfd = -1, .sync_fd = -1, .exec_error_fd = -1,
					.master_fd = -1, .stream_fd = { -1, -1, -1 } },
			     .keeper_fd = -1,
			     .repaired_fd = -1,
			     .signal_fd = -1,
			     .netns_fd = -1,
			     .announcer_fd = -1,
			     .listen_fd = -1,
			     .log_fd = -1,
			     .log_read_fd = -1,
			     .master_epoll = -1 };
	struct ct_error err = {};
	int r;

	r = isolate(pod, &own, &sock);
	m.starter = client_new(&m, sock);
	if (!m.starter)
		_exit(1);
	m.starter->starter = true;
	if (r < 0)
		error_errno(&err, r, "the pod's monitor");
	else
		r = make(&m, &err);
	if (r >= 0 && fcntl(sock, F_SETFL, O_RDWR | O_NONBLOCK) < 0)
		r = error_errno(&err, -errno, "the pod's monitor");
	if (r < 0) {
		err.code = r;
		monitor_abort(&m, &err);
		_exit(1);
	}
	keeper_run(&m);
	_exit(0);
}
