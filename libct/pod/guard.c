// SPDX-License-Identifier: Apache-2.0
/* The guard of an operation on a running pod, as the operation sees it; the monitor's part is in monitor-life.c. */
#include <poll.h>
#include <string.h>

#include "libct/base/error.h"
#include "libct/pod/monitor.h"
#include "libct/pod/pod.h"

int guard_begin(struct pod *pod, struct guard *ret, struct ct_error *err)
{
	cleanup_fd int sock = monitor_connect(pod, err);
	cleanup_fd int master = -1;
	struct monitor_msg msg;
	int r;

	if (sock < 0)
		return sock;
	r = monitor_send(sock, MSG_GUARD_BEGIN, 0, 0);
	if (r < 0)
		return error_errno(err, r, "the pod's monitor");
	r = monitor_answer(sock, &msg, &master, err);
	if (r < 0)
		return r;
	pod->state.status = CT_CHECKPOINTING;
	ret->fd = take_fd(&sock);
	ret->master_fd = take_fd(&master);
	return 0;
}

int guard_drain(struct pod *pod, struct guard *guard, void **ret_input, size_t *ret_len,
		struct ct_error *err)
{
	cleanup_free char *input = NULL;
	char data[MONITOR_DATA_MAX + 1];
	size_t len = 0;
	int r = monitor_send(guard->fd, MSG_GUARD_DRAIN, 0, 0);

	if (r < 0)
		return error_errno(err, r, "the pod's monitor");
	for (;;) {
		struct monitor_msg msg;
		ssize_t n = monitor_recv(guard->fd, &msg, data, sizeof(data), NULL);
		char *grown;

		if (n < 0)
			return error_errno(err, (int)n, "the pod's monitor");
		if (msg.type == MSG_OK)
			break;
		if (msg.type == MSG_FAILED)
			return error_set(err, msg.value < 0 ? msg.value : -EPROTO, "%s", data);
		if (msg.type != MSG_INPUT || n == 0)
			continue;
		grown = realloc(input, len + (size_t)n);
		if (!grown)
			return error_errno(err, -ENOMEM, "input under way");
		input = grown;
		memcpy(input + len, data, (size_t)n);
		len += (size_t)n;
	}
	*ret_input = take_ptr(input);
	*ret_len = len;
	return 0;
}

static int guard_ask(struct guard *guard, enum monitor_type type, struct ct_error *err)
{
	struct monitor_msg msg;
	int r = monitor_send(guard->fd, type, 0, 0);

	if (r < 0)
		return error_errno(err, r, "the pod's monitor");
	r = monitor_answer(guard->fd, &msg, NULL, err);
	return r < 0 ? r : 0;
}

int guard_hand_over(struct pod *pod, struct guard *guard, struct ct_error *err)
{
	int r = guard_ask(guard, MSG_GUARD_HAND_OVER, err);

	if (r == 0)
		pod->state.status = CT_MIGRATING;
	return r;
}

int guard_take_up(struct pod *pod, struct guard *ret, struct ct_error *err)
{
	struct guard guard = { -1, -1 };
	int r;

	guard.fd = monitor_connect(pod, err);
	if (guard.fd == -ECONNREFUSED) {
		*ret = (struct guard){ -1, -1 };
		return 0;
	}
	if (guard.fd < 0)
		return guard.fd;
	r = guard_ask(&guard, MSG_GUARD_TAKE_UP, err);
	if (r < 0)
		guard_release(&guard);
	else
		*ret = guard;
	return r;
}

/* In place of a monitor that was killed. */
static int end_without_monitor(struct pod *pod, enum guard_outcome outcome, struct ct_error *err)
{
	int r;

	if (outcome == GUARD_CHECKPOINTED)
		return pod_destroy(pod, err);
	r = pod->state.link[0] ? net_unlock(pod->state.link, err) : 0;
	if (r == 0)
		r = cgroup_thaw(pod->state.cgroup, err);
	if (r < 0)
		return r;
	pod->state.status = CT_RUNNING;
	return pod_state_write(pod, err);
}

int guard_end(struct pod *pod, struct guard *guard, enum guard_outcome outcome,
	      struct ct_error *err)
{
	struct monitor_msg msg;
	int r;

	if (guard->fd < 0)
		return end_without_monitor(pod, outcome, err);
	r = monitor_send(guard->fd, MSG_GUARD_END, outcome, 0);
	if (r >= 0)
		r = monitor_answer(guard->fd, &msg, NULL, err);
	else
		error_errno(err, r, "the pod's monitor");
	if (r == -EPIPE && outcome == GUARD_CHECKPOINTED) {
		/* Killed; the pod is in an image all the same and must not run on beside it. */
		r = pod_destroy(pod, err);
	}
	guard_release(guard);
	if (r < 0)
		return r;
	if (outcome == GUARD_CHECKPOINTED) {
		pod->state.status = CT_EXITED;
		pod->state.pid1 = 0;
		pod->pid1_pidfd = fd_close(pod->pid1_pidfd);
	} else {
		pod->state.status = CT_RUNNING;
	}
	return 0;
}

int guard_check(const struct guard *guard, struct ct_error *err)
{
	struct pollfd p = { guard->fd, POLLRDHUP, 0 };

	if (poll(&p, 1, 0) < 0)
		return error_errno(err, -errno, "the pod's monitor");
	if (p.revents)
		return error_set(err, -EPIPE, "the pod's monitor was killed during the checkpoint; try again");
	return 0;
}

int guard_socket(struct guard *guard, int fd, int reuse_address, int oob_inline, struct ct_error *err)
{
	struct monitor_msg msg = { .type = MSG_GUARD_SOCKET,
				   .value = (reuse_address ? 1 : 0) | (oob_inline ? 2 : 0) };
	int r = monitor_send_fd(guard->fd, &msg, NULL, 0, fd);

	return r < 0 ? error_errno(err, r, "the pod's monitor") : 0;
}

void guard_release(struct guard *guard)
{
	guard->fd = fd_close(guard->fd);
	guard->master_fd = fd_close(guard->master_fd);
}
