// SPDX-License-Identifier: Apache-2.0
/*
 * The caller's standard streams connected to a pod's, through its monitor.
 *
 * One packet of output is held at a time and written when its descriptor has room, so that a
 * stopped terminal holds up neither signals nor input; the monitor and the pipe behind it wait.
 */
#include <fcntl.h>
#include <poll.h>
#include <string.h>

#include "libct/base/error.h"
#include "libct/pod/log.h"
#include "libct/pod/monitor.h"
#include "libct/pod/pod.h"
#include "libct/pod/terminal.h"

#define CTRL_P 16
#define CTRL_Q 17

struct attach {
	int sock, log_fd;
	struct signals signals;
	struct terminal terminal;
	bool tty, interactive;
	bool input_open;
	size_t credit;
	bool ctrl_p; /* was typed, and is held until it is clear what it means */
	bool detached;
	bool ended;
	int code;
	struct log_reader replay;
	/* output that waits for room */
	int out_fd; /* -1: none */
	char out[MONITOR_DATA_MAX + 1];
	size_t done, len;
};

#define cleanup_attach __cleanup(attach_release)

static void attach_release(struct attach *a)
{
	terminal_restore(&a->terminal);
	signals_restore(&a->signals);
	fd_close(a->log_fd);
	fd_close(a->sock);
}

static int send_size(struct attach *a)
{
	unsigned short rows, columns;

	if (!a->tty || !terminal_size(&rows, &columns))
		return 0;
	return monitor_send(a->sock, MSG_RESIZE, 0, (uint64_t)rows << 16 | columns);
}

/* Where the output begins that the caller is to see first. */
enum from { FROM_BEGINNING, FROM_START, FROM_NOW };

static int begin(struct attach *a, enum from from, struct ct_error *err)
{
	struct monitor_msg msg;
	uint64_t started;
	int r = monitor_send(a->sock, MSG_ATTACH, 0, 0);
	ssize_t n;

	if (r < 0)
		return error_errno(err, r, "the pod's monitor");
	n = monitor_recv(a->sock, &msg, a->out, sizeof(a->out), &a->log_fd);
	if (n < 0)
		return error_errno(err, (int)n, "the pod's monitor");
	if (msg.type != MSG_ATTACHED || a->log_fd < 0 || n < (ssize_t)sizeof(started))
		return error_set(err, -EPROTO, "the pod's monitor answers nonsense");
	memcpy(&started, a->out, sizeof(started));
	a->tty = msg.value & MONITOR_TTY;
	a->interactive = a->input_open = msg.value & MONITOR_INTERACTIVE;
	a->replay = (struct log_reader){ .fd = a->log_fd, .end = (int64_t)msg.number };
	a->replay.offset = from == FROM_NOW ? a->replay.end : from == FROM_START ? (int64_t)started : 0;
	r = signals_take(&a->signals, err);
	if (r >= 0 && a->tty && a->interactive && isatty(STDIN_FILENO))
		r = terminal_raw(&a->terminal, STDIN_FILENO, err);
	if (r < 0)
		return r;
	r = send_size(a);
	return r == -EPIPE ? 0 : r; /* the pod has ended; what is left of it is still to be read */
}

/* ---- out ---- */

static int next_packet(struct attach *a, struct ct_error *err)
{
	struct monitor_msg msg;
	ssize_t n = monitor_recv(a->sock, &msg, a->out, sizeof(a->out), NULL);

	if (n < 0)
		return n == -EPIPE ? error_set(err, -EPIPE, "the pod's monitor was killed")
				   : error_errno(err, (int)n, "the pod's monitor");
	switch (msg.type) {
	case MSG_OUTPUT:
		a->out_fd = msg.value == 2 ? STDERR_FILENO : STDOUT_FILENO;
		a->len = (size_t)n;
		a->done = 0;
		return 0;
	case MSG_CREDIT:
		a->credit += msg.number;
		return 0;
	case MSG_EXITED:
	case MSG_CHECKPOINTED:
		a->ended = true;
		a->code = msg.type == MSG_EXITED ? msg.value : 0;
		return 0;
	case MSG_FAILED:
		return error_set(err, msg.value < 0 ? msg.value : -EPROTO, "%s", a->out);
	default:
		return 0;
	}
}

/* What was written before we came, from the log. Returns whether there was any. */
static int next_replay(struct attach *a, struct ct_error *err)
{
	uint8_t tag;
	ssize_t n = log_read(&a->replay, a->out, MONITOR_DATA_MAX, &tag);

	if (n < 0)
		return error_errno(err, (int)n, "the pod's log");
	if (n == 0) {
		a->replay.end = a->replay.offset;
		return 0;
	}
	a->out_fd = tag == 2 ? STDERR_FILENO : STDOUT_FILENO;
	a->len = (size_t)n;
	a->done = 0;
	return 1;
}

static int write_some(struct attach *a, struct ct_error *err)
{
	size_t n = a->len - a->done;
	ssize_t w;

	/* As much as a pipe that is ready takes without waiting: man 7 pipe. */
	if (n > 4096)
		n = 4096;
	w = write(a->out_fd, a->out + a->done, n);
	if (w < 0 && errno != EINTR && errno != EAGAIN)
		return error_errno(err, -errno, "write standard %s",
				   a->out_fd == STDERR_FILENO ? "error" : "output");
	a->done += w > 0 ? (size_t)w : 0;
	if (a->done == a->len)
		a->out_fd = -1;
	return 0;
}

/* ---- in ---- */

/* Takes the detach keys out of what was typed: the bytes left over, one more than `n` at most. */
static size_t filter_keys(struct attach *a, const char *from, size_t n, char *to)
{
	size_t len = 0;

	for (size_t i = 0; i < n; i++) {
		if (a->ctrl_p && from[i] == CTRL_Q) {
			a->detached = true;
			return len;
		}
		if (a->ctrl_p)
			to[len++] = CTRL_P;
		a->ctrl_p = from[i] == CTRL_P;
		if (!a->ctrl_p)
			to[len++] = from[i];
	}
	return len;
}

static int read_input(struct attach *a, struct ct_error *err)
{
	char typed[MONITOR_DATA_MAX - 1], data[MONITOR_DATA_MAX];
	size_t room = a->credit - 1 < sizeof(typed) ? a->credit - 1 : sizeof(typed);
	struct monitor_msg msg = { .type = MSG_INPUT };
	ssize_t n = read(STDIN_FILENO, typed, room);
	size_t len;
	int r;

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return 0;
	if (n <= 0) {
		a->input_open = false;
		r = monitor_send(a->sock, MSG_INPUT_END, 0, 0);
	} else if (a->terminal.fd < 0) {
		a->credit -= (size_t)n;
		r = monitor_send_fd(a->sock, &msg, typed, (size_t)n, -1);
	} else {
		len = filter_keys(a, typed, (size_t)n, data);
		a->credit -= len;
		r = len ? monitor_send_fd(a->sock, &msg, data, len, -1) : 0;
	}
	if (r == -EPIPE) { /* shows when we read; what the monitor said before comes first */
		a->input_open = false;
		return 0;
	}
	return r < 0 ? error_errno(err, r, "the pod's monitor") : 0;
}

static int pass_signals(struct attach *a)
{
	int sig, r = 0;

	while (r >= 0 && (sig = signals_next(&a->signals))) {
		if (sig == SIGWINCH)
			r = send_size(a);
		else if (sig != SIGCHLD)
			r = monitor_send(a->sock, MSG_SIGNAL, sig, 0);
	}
	return r == -EPIPE ? 0 : r;
}

/* ---- the loop ---- */

static int turn(struct attach *a, struct ct_error *err)
{
	struct pollfd p[] = { { a->signals.fd, POLLIN, 0 },
			      { -1, POLLIN, 0 },
			      { -1, POLLIN, 0 },
			      { a->out_fd, POLLOUT, 0 } };
	int r = 0;

	if (a->out_fd < 0)
		p[1].fd = a->sock;
	/* One byte is kept back for a ctrl-p that turns out to be just that. */
	if (a->input_open && a->credit > 1)
		p[2].fd = STDIN_FILENO;
	if (poll(p, 4, -1) < 0)
		return errno == EINTR ? 0 : error_errno(err, -errno, "poll");
	if (p[0].revents)
		r = pass_signals(a);
	if (r < 0)
		return error_errno(err, r, "the pod's monitor");
	if (p[2].revents)
		r = read_input(a, err);
	if (r >= 0 && p[3].revents)
		r = write_some(a, err);
	if (r >= 0 && p[1].revents)
		r = next_packet(a, err);
	return r;
}

static int attach(int sock, enum from from, bool *ret_detached, struct ct_error *err)
{
	cleanup_attach struct attach a = { .sock = sock,
					   .log_fd = -1,
					   .signals = SIGNALS_INIT,
					   .terminal = TERMINAL_INIT,
					   .credit = MONITOR_CREDIT,
					   .out_fd = -1 };
	int r = begin(&a, from, err);

	while (r >= 0 && !a.detached) {
		if (a.out_fd < 0 && a.replay.offset < a.replay.end) {
			r = next_replay(&a, err);
			if (r <= 0)
				continue;
		}
		r = turn(&a, err);
		if (r >= 0 && a.ended && a.out_fd < 0)
			return a.code;
	}
	*ret_detached = a.detached;
	return r;
}

/* Of a pod that has ended: what it wrote, and its exit code. */
static int replay_ended(struct pod *pod, struct ct_error *err)
{
	cleanup_fd int fd = openat(pod->dirfd, "log", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	struct log_reader reader = { .fd = fd, .end = INT64_MAX };
	int r = 0;

	if (fd >= 0)
		r = log_copy(&reader, STDOUT_FILENO, STDERR_FILENO, err);
	return r < 0 ? r : pod->state.exit_code;
}

static int attach_pod(struct ct *ct, const char *name, bool replay, bool *ret_detached,
		      struct ct_error *err)
{
	__cleanup(pod_free_cleanup) struct pod *pod = NULL;
	int r, sock;

	r = pod_open(ct, name, &pod, err);
	if (r < 0)
		return r;
	if (pod->state.status != CT_EXITED) {
		sock = monitor_connect(pod, err);
		if (sock >= 0)
			return attach(sock, replay ? FROM_BEGINNING : FROM_NOW, ret_detached, err);
		/* It may have ended just now. */
		r = pod_state_read(pod, NULL);
		if (r < 0 || pod->state.status != CT_EXITED)
			return sock;
	}
	if (replay)
		return replay_ended(pod, err);
	return error_set(err, -ESRCH, "the pod has ended (exit code %d); 'podckpt logs' shows its output",
			 pod->state.exit_code);
}

int ct_attach(struct ct *ct, const char *name, bool replay, bool *ret_detached,
	      struct ct_error *err)
{
	bool ignored;

	if (!ret_detached)
		ret_detached = &ignored;
	*ret_detached = false;
	if (ct->run_fd >= 0 && !strcmp(ct->run_name, name))
		return attach(take_fd(&ct->run_fd), replay ? FROM_BEGINNING : FROM_START, ret_detached,
			      err);
	return attach_pod(ct, name, replay, ret_detached, err);
}
