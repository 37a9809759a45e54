// SPDX-License-Identifier: Apache-2.0
/*
 * Signals to a pod's command.
 *
 * podckpt-init passes on what it can catch. SIGSTOP it cannot catch, so that one (and SIGCONT with
 * it) goes to the command itself, which is found by its number in the pod. SIGCONT also goes to every other
 * process that is stopped: a restore may have left all of them so, and a pod is to go on as a whole.
 */
#include "libct/pod/signal.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>

#include "libct/base/error.h"
#include "libct/base/io.h"
#include "libct/base/sys.h"

struct numbers {
	pid_t parent;	    /* on the host */
	bool stopped;	    /* by job control, or about to be */
	pid_t number[32];   /* in each PID namespace, the host's first: man 7 pid_namespaces allows 32 */
	size_t n;
};

static int numbers_read(pid_t pid, struct numbers *ret)
{
	cleanup_free char *text = NULL;
	char path[32], *at;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	n = io_read_file(AT_FDCWD, path, 64 << 10, &text);
	if (n < 0)
		return (int)n;
	memset(ret, 0, sizeof(*ret));
	at = strstr(text, "\nPPid:");
	if (at)
		ret->parent = atoi(at + 6);
	at = strstr(text, "\nState:\t");
	ret->stopped = at && at[8] == 'T';
	at = strstr(text, "\nShdPnd:\t");
	ret->stopped |= at && strtoull(at + 9, NULL, 16) >> (SIGSTOP - 1) & 1;
	at = strstr(text, "\nNSpid:");
	for (at = at ? at + 7 : NULL; at && *at == '\t' && ret->n < 32; ret->n++)
		ret->number[ret->n] = (pid_t)strtol(at, &at, 10);
	return ret->n ? 0 : -ENODATA;
}

/* `level`: how deep the pod's PID namespace is below ours. */
static int pod_level(const struct pod *pod)
{
	struct numbers pid1;
	int r = numbers_read(pod->state.pid1, &pid1);

	return r < 0 ? r : (int)pid1.n - 1;
}

int pod_first_vpid(const struct pod *pod)
{
	cleanup_free pid_t *pids = NULL;
	ssize_t n = cgroup_processes(pod->state.cgroup, &pids, NULL);
	int level = pod_level(pod);
	struct numbers p;

	for (ssize_t i = 0; i < n && level >= 0; i++)
		if (!numbers_read(pids[i], &p) && p.parent == pod->state.pid1 && p.n > (size_t)level)
			return p.number[level];
	return 0;
}

/* A pidfd of the process that the pod numbers `vpid`; -ESRCH. */
static int pidfd_of(const struct pod *pod, int vpid, struct ct_error *err)
{
	cleanup_free pid_t *pids = NULL;
	ssize_t n = cgroup_processes(pod->state.cgroup, &pids, err);
	int level = pod_level(pod);
	struct numbers p;

	if (n < 0)
		return (int)n;
	for (ssize_t i = 0; i < n && level >= 0; i++) {
		cleanup_fd int fd = sys_pidfd_open(pids[i], 0);

		/* Opened first and read then: what we read is of the process behind the pidfd, or of a
		 * later one with its number, to which the signal then does not go. */
		if (fd >= 0 && !numbers_read(pids[i], &p) && p.n > (size_t)level &&
		    p.number[level] == vpid)
			return take_fd(&fd);
	}
	return error_set(err, -ESRCH, "the pod's command has ended");
}

/* Sets everybody going who is stopped, but the command: that one gets the signal anyway. */
static void continue_others(const struct pod *pod)
{
	cleanup_free pid_t *pids = NULL;
	ssize_t n = cgroup_processes(pod->state.cgroup, &pids, NULL);
	int level = pod_level(pod);
	struct numbers p;

	for (ssize_t i = 0; i < n && level >= 0; i++) {
		cleanup_fd int fd = sys_pidfd_open(pids[i], 0);

		if (fd >= 0 && !numbers_read(pids[i], &p) && p.n > (size_t)level && p.stopped &&
		    p.number[level] != pod->state.main_vpid)
			sys_pidfd_send_signal(fd, SIGCONT);
	}
}

int pod_signal(const struct pod *pod, int sig, struct ct_error *err)
{
	cleanup_fd int command = -1;
	int fd = pod->pid1_pidfd, r;

	if (sig < 0 || sig > SIGRTMAX)
		return error_set(err, -EINVAL, "there is no signal %d", sig);
	if (fd < 0)
		return error_set(err, -ESRCH, "the pod is not running");
	if (sig == SIGCONT)
		continue_others(pod);
	if (pod->state.main_vpid < 0)
		return error_set(err, -ESRCH, "the pod's command has ended");
	if ((sig == SIGSTOP || sig == SIGCONT) && pod->state.main_vpid > 1) {
		command = pidfd_of(pod, pod->state.main_vpid, err);
		if (command < 0)
			return command;
		fd = command;
	}
	r = sys_pidfd_send_signal(fd, sig);
	return r < 0 ? error_errno(err, r, "signal %d", sig) : 0;
}
