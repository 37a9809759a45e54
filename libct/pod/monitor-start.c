// SPDX-License-Identifier: Apache-2.0
/* Making a pod, as its maker sees it: the monitor does the work, the maker waits for its word. */
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "libct/base/cleanup.h"
#include "libct/base/error.h"
#include "libct/base/sys.h"
#include "libct/pod/monitor-impl.h"
#include "libct/pod/proc.h"
#include "libct/pod/state.h"

/* The monitor is a child of nobody here: its parent ends at once. Returns in the caller only. */
static int monitor_fork(struct pod *pod, const struct pod_start *start, int sock)
{
	pid_t child = fork();
	int status = 0;

	if (child < 0)
		return -errno;
	if (child == 0) {
		setsid();
		child = fork();
		if (child == 0)
			monitor_main(pod, start, sock);
		_exit(child < 0 ? errno : 0);
	}
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return 0; /* a caller that ignores SIGCHLD: a fork that failed shows as a hang-up */
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -ECHILD;
}

static int made_receive(struct pod *pod, struct ct_error *err)
{
	char data[sizeof(err->text)];
	struct monitor_made made;
	struct monitor_msg msg;
	cleanup_fd int pidfd = -1;
	ssize_t n = monitor_recv(pod->monitor_fd, &msg, data, sizeof(data), &pidfd);

	if (n == -EPIPE)
		return error_set(err, -EPIPE, "the pod's monitor was killed while it made the pod");
	if (n < 0)
		return error_errno(err, (int)n, "the pod's monitor");
	if (msg.type == MSG_FAILED)
		return error_set(err, msg.value < 0 ? msg.value : -EPROTO, "%s", data);
	if (msg.type != MSG_MADE || n != sizeof(made) || pidfd < 0)
		return error_set(err, -EPROTO, "the pod's monitor answers nonsense");
	memcpy(&made, data, sizeof(made));
	pod->state = made.state;
	pod->config.address = made.address;
	pod->pid1_pidfd = take_fd(&pidfd);
	return 0;
}

int pod_make(struct pod *pod, const struct pod_start *start, struct ct_error *err)
{
	int sockets[2], r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0)
		return error_errno(err, -errno, "socketpair");
	pod->monitor_fd = sockets[0];
	r = monitor_fork(pod, start, sockets[1]);
	fd_close(sockets[1]);
	if (r < 0)
		error_errno(err, r, "fork of the pod's monitor");
	else
		r = made_receive(pod, err);
	/* The monitor has removed everything; where it could not, it is done here. */
	if (r < 0)
		pod_destroy(pod, NULL);
	return r;
}

static int ask(struct pod *pod, enum monitor_type type, int value, uint64_t number, struct ct_error *err)
{
	struct monitor_msg msg;
	int r = monitor_send(pod->monitor_fd, type, value, number);

	return r < 0 ? error_errno(err, r, "the pod's monitor")
		     : monitor_answer(pod->monitor_fd, &msg, NULL, err);
}

/* The connection to the monitor is ct_attach()'s. */
static void released(struct pod *pod)
{
	struct ct *ct = pod->ct;
	char *name = strdup(pod->name);

	pod->state.status = CT_RUNNING;
	if (name && pod->monitor_fd >= 0) { /* without memory for it ct_attach() goes through the pod's socket */
		fd_close(ct->run_fd);
		free(ct->run_name);
		ct->run_fd = pod->monitor_fd;
		ct->run_name = name;
		pod->monitor_fd = -1;
	} else {
		free(name);
		pod->monitor_fd = fd_close(pod->monitor_fd);
	}
}

int pod_release(struct pod *pod, const struct init_go *go, struct ct_error *err)
{
	int r = ask(pod, MSG_RELEASE, go->main_vpid, (uint64_t)go->code, err);

	if (r < 0) {
		pod_destroy(pod, NULL);
		return r;
	}
	released(pod);
	return 0;
}

int pod_keep_orphan(struct pod *pod, int fd, struct ct_error *err)
{
	struct monitor_msg msg = { .type = MSG_ORPHAN };
	int r = monitor_send_fd(pod->monitor_fd, &msg, NULL, 0, fd);

	return r < 0 ? error_errno(err, r, "the pod's monitor") : 0;
}

int pod_prepare(struct pod *pod, const struct init_go *go, struct ct_error *err)
{
	int r = ask(pod, MSG_PREPARE, go->main_vpid, (uint64_t)go->code, err);

	return r < 0 ? r : 0;
}

/* Both processes of the monitor were killed: this is what it would have done. */
static int take_over(struct pod *pod, const struct init_go *go, struct ct_error *err)
{
	cleanup_fd int netns = -1, announcer = -1;
	char path[64];
	int r = 0;

	snprintf(path, sizeof(path), "/proc/%d/ns/net", pod->state.pid1);
	if (pod->state.link[0]) {
		netns = open(path, O_RDONLY | O_CLOEXEC);
		r = net_unlock(pod->state.link, err);
	}
	if (r == 0 && netns >= 0)
		net_announce(netns, &pod->config.address, &announcer, NULL);
	pod->state.status = CT_RUNNING;
	pod->state.main_vpid = pod->config.no_init ? 1 : go->main_vpid;
	if (r == 0)
		r = pod_state_write(pod, err);
	return r < 0 ? r : 1;
}

/* The server was killed at the release: the next one does it by itself. */
static int await_take_over(struct pod *pod, const struct init_go *go, struct ct_error *err)
{
	pod->monitor_fd = fd_close(pod->monitor_fd);
	for (;;) {
		int r = pod_state_read(pod, err);

		if (r < 0)
			return r;
		if (pod->state.status == CT_EXITED && !pod->state.main_vpid)
			return error_set(err, -ESRCH, "the pod ended before it was released");
		if (pod->state.status != CT_RESTORING)
			return 0;
		if (!pod->state.monitor)
			return take_over(pod, go, err);
		poll(NULL, 0, 10);
	}
}

int pod_release_restored(struct pod *pod, const struct init_go *go, struct ct_error *err)
{
	int r = ask(pod, MSG_RELEASE, 0, 0, err);

	if (r == -EPIPE)
		return await_take_over(pod, go, err);
	return r < 0 ? r : 0;
}

int pod_set_going(struct pod *pod, struct ct_error *err)
{
	int r = pod->monitor_fd < 0 ? -EPIPE : ask(pod, MSG_SET_GOING, 0, 0, err);

	/* Whoever took over does it as well, if there is anybody. */
	if (r == -EPIPE)
		r = cgroup_thaw(pod->state.cgroup, err);
	if (r < 0)
		return r;
	released(pod);
	return 0;
}

/* ---- the end ---- */

/* Waits until the monitor has written the end of a pod whose processes are gone. */
static void monitor_await(struct pod *pod)
{
	cleanup_fd int sock = monitor_connect(pod, NULL);
	struct timeval patience = { .tv_sec = 10 };
	struct monitor_msg msg;

	if (sock < 0 || setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0)
		return;
	if (monitor_send(sock, MSG_WAIT, 0, 0) < 0)
		return;
	if (monitor_recv(sock, &msg, NULL, 0, NULL) == -EAGAIN) {
		/* Stopped by somebody, or stuck: nothing of the pod needs it any more. */
		cleanup_fd int pidfd = proc_pidfd(pod->state.monitor, pod->state.monitor_started);

		if (pidfd >= 0 && !sys_pidfd_send_signal(pidfd, SIGKILL))
			proc_wait(pidfd, 10000);
	}
}

int pod_destroy(struct pod *pod, struct ct_error *err)
{
	struct pod_state *s = &pod->state;
	int r = 0;

	if (pod->monitor_fd >= 0) {
		struct monitor_msg msg;

		/* Not released: the monitor does it, and hangs up when it is done. */
		if (monitor_send(pod->monitor_fd, MSG_GIVE_UP, 0, 0) >= 0)
			while (monitor_recv(pod->monitor_fd, &msg, NULL, 0, NULL) >= 0)
				;
		pod->monitor_fd = fd_close(pod->monitor_fd);
	}
	if (s->cgroup[0])
		r = cgroup_kill(s->cgroup, err);
	if (r < 0)
		return r;
	/* Of a monitor that was killed nobody else waits for the last of them. */
	if (pod->pid1_pidfd >= 0)
		proc_wait(pod->pid1_pidfd, 10000);
	monitor_await(pod);
	if (s->link[0])
		r = net_detach(s->link, err);
	if (r >= 0 && s->cgroup[0])
		r = cgroup_remove(s->cgroup, err);
	if (r < 0)
		return r;
	r = pod_remove_directory(pod, err);
	if (r >= 0) {
		s->status = CT_EXITED;
		s->pid1 = 0;
		pod->pid1_pidfd = fd_close(pod->pid1_pidfd);
	}
	return r;
}
