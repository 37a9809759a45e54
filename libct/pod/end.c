// SPDX-License-Identifier: Apache-2.0
/* Signals to a pod, and its end. Where the monitor was killed, PID 1's pidfd stands in for it. */
#include <signal.h>
#include <string.h>

#include "libct/base/error.h"
#include "libct/pod/monitor.h"
#include "libct/pod/pod.h"
#include "libct/pod/proc.h"
#include "libct/pod/signal.h"
#include "libct/pod/state.h"

/* A request to the monitor that is answered by OK. -ECONNREFUSED: there is no monitor. */
static int ask(struct pod *pod, enum monitor_type type, int value, struct ct_error *err)
{
	cleanup_fd int sock = monitor_connect(pod, err);
	struct monitor_msg msg;
	int r;

	if (sock < 0)
		return sock;
	r = monitor_send(sock, type, value, 0);
	if (r < 0)
		return error_errno(err, r, "the pod's monitor");
	r = monitor_answer(sock, &msg, NULL, err);
	return r < 0 ? r : 0;
}

/* ---- kill ---- */

static int pod_kill(struct pod *pod, int sig, struct ct_error *err)
{
	int r;

	if (pod->state.status == CT_EXITED)
		return error_set(err, -ESRCH, "the pod has ended");
	r = ask(pod, MSG_KILL, sig, err);
	if (r != -ECONNREFUSED)
		return r;
	r = pod_state_read(pod, err);
	return r < 0 ? r : pod_signal(pod, sig, err);
}

int ct_kill(struct ct *ct, const char *name, int sig, struct ct_error *err)
{
	__cleanup(pod_free_cleanup) struct pod *pod = NULL;
	int r = pod_open(ct, name, &pod, err);

	if (r >= 0)
		r = pod_kill(pod, sig, err);
	return r;
}

/* ---- wait ---- */

/* The monitor's word for it: the exit code, or a negative errno (-EPIPE: it was killed meanwhile). */
static int wait_answer(int sock, struct ct_error *err)
{
	struct monitor_msg msg;
	int r = monitor_send(sock, MSG_WAIT, 0, 0);

	if (r < 0)
		return error_errno(err, r, "the pod's monitor");
	do {
		r = monitor_answer(sock, &msg, NULL, err);
		if (r < 0)
			return r;
	} while (r != MSG_EXITED && r != MSG_CHECKPOINTED);
	return r == MSG_EXITED ? msg.value : 0;
}

static int pod_wait(struct pod *pod, struct ct_error *err)
{
	for (;;) {
		cleanup_fd int sock = -1;
		int r;

		if (pod->state.status == CT_EXITED)
			return pod->state.exit_code;
		sock = monitor_connect(pod, err);
		r = sock < 0 ? sock : wait_answer(sock, err);
		if (r != -ECONNREFUSED && r != -EPIPE)
			return r;
		/* No monitor (any more): the end is in state.json, or PID 1 tells it. */
		r = pod_state_read(pod, err);
		if (r < 0)
			return r;
		if (pod->pid1_pidfd >= 0)
			proc_wait(pod->pid1_pidfd, -1);
	}
}

int ct_wait(struct ct *ct, const char *name, struct ct_error *err)
{
	__cleanup(pod_free_cleanup) struct pod *pod = NULL;
	int r;

	/* Also of a pod that is gone by now. */
	if (ct->run_fd >= 0 && !strcmp(ct->run_name, name)) {
		r = wait_answer(ct->run_fd, err);
		if (r != -EPIPE)
			return r;
		ct->run_fd = fd_close(ct->run_fd);
	}
	r = pod_open(ct, name, &pod, err);
	if (r >= 0)
		r = pod_wait(pod, err);
	return r;
}

/* ---- stop ---- */

/* Ends every process, and waits until it is written down. */
static int pod_end(struct pod *pod, struct ct_error *err)
{
	int r = cgroup_kill(pod->state.cgroup, err);

	if (r >= 0)
		r = pod_wait(pod, err);
	return r < 0 ? r : 0;
}

static int pod_stop(struct pod *pod, unsigned int timeout_ms, struct ct_error *err)
{
	int sig = pod->config.stop_signal ? pod->config.stop_signal : SIGTERM;
	int r;

	if (pod->state.status == CT_EXITED)
		return 0;
	/* The lock keeps a checkpoint from beginning meanwhile, and one that has begun keeps us off. */
	r = pod_lock(pod, err);
	if (r < 0)
		return r;
	if (pod->state.status == CT_EXITED || pod->pid1_pidfd < 0)
		return 0;
	r = pod_kill(pod, sig, err);
	if (r < 0 && r != -ESRCH)
		return r;
	if (proc_wait(pod->pid1_pidfd, timeout_ms > INT32_MAX ? INT32_MAX : (int)timeout_ms) == 1) {
		r = pod_wait(pod, err);
		return r < 0 ? r : 0;
	}
	return pod_end(pod, err);
}

int ct_stop(struct ct *ct, const char *name, unsigned int timeout_ms, struct ct_error *err)
{
	__cleanup(pod_free_cleanup) struct pod *pod = NULL;
	int r = pod_open(ct, name, &pod, err);

	if (r >= 0)
		r = pod_stop(pod, timeout_ms, err);
	return r;
}

/* ---- remove ---- */

/* Its files are damaged, as a crash of the host leaves them: nothing of it runs, the directory goes. */
static int remove_damaged(struct ct *ct, const char *name, struct ct_error *err)
{
	__cleanup(pod_free_cleanup) struct pod *pod = NULL;
	cleanup_fd int monitor = -1;
	int r = pod_open_unread(ct, name, &pod, err);

	if (r < 0)
		return r;
	monitor = monitor_connect(pod, NULL);
	if (monitor >= 0)
		return error_set(err, -EBADMSG, "its files are damaged, but it is running");
	return pod_remove_directory(pod, err);
}

int ct_remove(struct ct *ct, const char *name, bool force, struct ct_error *err)
{
	__cleanup(pod_free_cleanup) struct pod *pod = NULL;
	int r = pod_open(ct, name, &pod, err);

	if (r == -EBADMSG && force)
		return remove_damaged(ct, name, err);
	if (r >= 0)
		r = pod_lock(pod, err);
	if (r >= 0 && pod->state.status != CT_EXITED && !force)
		r = error_set(err, -EBUSY, "the pod is %s: stop it first, or use --force",
			      ct_status_name(pod->state.status));
	if (r >= 0)
		r = pod_destroy(pod, err);
	return r;
}
