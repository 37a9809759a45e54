// SPDX-License-Identifier: Apache-2.0
/*
 * Two processes are a pod's monitor, so that killing one of them costs the pod nothing.
 *
 *	keeper: parent of PID 1, holds a copy of the pod's streams, does nothing else
 *	   |
 *	server: clients, log, streams, guard (monitor.c)
 *
 * The keeper starts another server when one was killed: the streams were never closed, so the pod
 * waits in write(2) at most. When the keeper is killed the server goes on alone, and learns PID 1's
 * exit code from the kernel as far as it tells. They share a page of memory, and a socket on which
 * a byte says that something happened.
 */
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "libct/base/cleanup.h"
#include "libct/base/error.h"
#include "libct/base/io.h"
#include "libct/base/sys.h"
#include "libct/pod/monitor-impl.h"
#include "libct/pod/proc.h"

/* A server that dies this often does so by itself; the pod then runs on without one. */
#define SERVERS_MAX 16

#define TELL_REAPED 'r'	   /* to the server: PID 1 has ended, `shared` says how */
#define TELL_INPUT_END 'i' /* to the keeper: close the write end of the pod's standard input */

struct keeper_shared {
	enum phase phase;
	int main_vpid;
	bool waits;
	bool migrating, ending;
	bool reaped, killed;
	int code;
};

static void tell(int sock, char what)
{
	/* Where the other is gone its hang-up says so. */
	while (send(sock, &what, 1, MSG_NOSIGNAL) < 0 && errno == EINTR)
		;
}

/* ---- the server's side ---- */

void keeper_phase(struct monitor *m)
{
	m->shared->phase = m->phase;
	m->shared->main_vpid = m->main_vpid;
	m->shared->waits = m->waits;
}

void keeper_migrating(struct monitor *m, bool migrating)
{
	m->shared->migrating = migrating;
}

bool keeper_is_migrating(const struct monitor *m)
{
	return m->shared->migrating;
}

void keeper_ending(struct monitor *m)
{
	m->shared->ending = true;
}

bool keeper_is_ending(const struct monitor *m)
{
	return m->shared->ending;
}

void keeper_input_ended(struct monitor *m)
{
	if (m->keeper_fd >= 0)
		tell(m->keeper_fd, TELL_INPUT_END);
}

bool keeper_heard(struct monitor *m)
{
	char what[16];
	ssize_t n = recv(m->keeper_fd, what, sizeof(what), MSG_DONTWAIT);

	if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
		return true;
	m->keeper_fd = fd_close(m->keeper_fd);
	return false;
}

/* Linux 6.15: what a pidfd tells of a process that is no longer there (linux/pidfd.h). */
struct info_of_pidfd {
	uint64_t mask, cgroup;
	uint32_t ids[11];
	int32_t exit_status;
};
#define INFO_OF_PIDFD _IOWR(0xFF, 11, struct info_of_pidfd)
#define INFO_EXIT (1u << 3)

/* The wait status of a process that has ended, a zombie or not even that, of others. -1: unknown. */
static int status_of_other(pid_t pid, int pidfd)
{
	struct info_of_pidfd info = { .mask = INFO_EXIT };
	cleanup_free char *text = NULL;
	char path[32], *at;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (io_read_file(AT_FDCWD, path, 64 << 10, &text) > 0 && (at = strrchr(text, ' ')) &&
	    sys_pidfd_send_signal(pidfd, 0) == 0) /* still there, so it was it that we read of */
		return atoi(at);
	/* Between the two it may just be reaped. */
	for (int tries = 0; tries < 100; tries++) {
		info.mask = INFO_EXIT;
		if (ioctl(pidfd, INFO_OF_PIDFD, &info) < 0)
			return -1;
		if (info.mask & INFO_EXIT)
			return info.exit_status;
		poll(NULL, 0, 1);
	}
	return -1;
}

bool keeper_reaped(struct monitor *m)
{
	int status;

	if (m->shared->reaped) {
		m->killed = m->shared->killed;
		m->code = m->shared->code;
		return true;
	}
	if (m->keeper_fd >= 0 || proc_wait(m->child.pid1_pidfd, 0) != 1)
		return false;
	status = status_of_other(m->child.pid1, m->child.pid1_pidfd);
	m->killed = status < 0 || WIFSIGNALED(status);
	m->code = status < 0 ? 128 + SIGKILL
			     : WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	return true;
}

/* ---- the keeper's side ---- */

static int hear_server(struct monitor *m, int sock)
{
	char what[16];
	ssize_t n = recv(sock, what, sizeof(what), MSG_DONTWAIT);

	if (n > 0 && memchr(what, TELL_INPUT_END, (size_t)n))
		m->child.stream_fd[0] = fd_close(m->child.stream_fd[0]);
	return n == 0 ? -EPIPE : 0;
}

/* Forks a server: its PID. *ret_sock leads to it. */
static pid_t server_fork(struct monitor *m, bool first, int *ret_sock)
{
	int sockets[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) < 0)
		return -errno;
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_NAME, "podckpt-serve");
		fd_close(sockets[0]);
		m->signal_fd = fd_close(m->signal_fd);
		m->keeper_fd = sockets[1];
		m->phase = m->shared->phase;
		m->main_vpid = m->shared->main_vpid;
		m->waits = m->shared->waits;
		monitor_serve(m, first);
		_exit(0);
	}
	fd_close(sockets[1]);
	if (pid < 0) {
		fd_close(sockets[0]);
		return -errno;
	}
	*ret_sock = sockets[0];
	return pid;
}

/* What the server alone holds: a copy of ours would hide its end, or its closing, from the other side. */
static void leave_to_server(struct monitor *m)
{
	client_free(m, m->starter);
	m->starter = NULL;
	m->child.sync_fd = fd_close(m->child.sync_fd);
	m->child.exec_error_fd = fd_close(m->child.exec_error_fd);
}

/* Reaps what has ended. Returns true when the server is among it, with its wait status. */
static bool reap_children(struct monitor *m, pid_t server, int sock, int *ret_status)
{
	bool ended = false;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG | __WALL)) > 0) {
		if (pid == server) {
			ended = true;
			*ret_status = status;
		} else if (pid == m->child.pid1) {
			m->shared->killed = WIFSIGNALED(status);
			m->shared->code = WIFSIGNALED(status) ? 128 + WTERMSIG(status)
							      : WEXITSTATUS(status);
			m->shared->reaped = true;
			tell(sock, TELL_REAPED);
		}
	}
	return ended;
}

/* Until the server ends: its wait status. */
static int keep(struct monitor *m, pid_t server, int sock)
{
	struct pollfd p[] = { { m->signal_fd, POLLIN, 0 }, { sock, POLLIN, 0 } };
	struct signalfd_siginfo info;
	int status;

	/* The first time without a signal: PID 1 may have ended before SIGCHLD was blocked. */
	while (!reap_children(m, server, sock, &status)) {
		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return 0;
		if (p[1].revents && hear_server(m, sock) < 0)
			p[1].fd = -1;
		while (read(m->signal_fd, &info, sizeof(info)) > 0)
			;
	}
	/* Its last words. */
	while (p[1].fd >= 0 && poll(&p[1], 1, 0) > 0 && hear_server(m, sock) == 0)
		;
	return status;
}

void keeper_run(struct monitor *m)
{
	struct ct_error err = {};

	m->shared = mmap(NULL, sizeof(*m->shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			 -1, 0);
	if (m->shared == MAP_FAILED) {
		error_errno(&err, -errno, "the pod's monitor");
		monitor_abort(m, &err);
		return;
	}
	for (int n = 0; n < SERVERS_MAX; n++) {
		cleanup_fd int sock = -1;
		pid_t server = server_fork(m, n == 0, &sock);
		int status;

		if (n == 0 && server < 0) {
			error_errno(&err, server, "the pod's monitor");
			monitor_abort(m, &err);
			return;
		}
		if (n == 0)
			leave_to_server(m);
		if (server < 0)
			return; /* the pod runs on without us */
		status = keep(m, server, sock);
		if (WIFEXITED(status))
			return;
		if (m->shared->phase < PHASE_RUNNING && !monitor_has_word(m)) {
			monitor_abort(m, NULL);
			return;
		}
	}
}
