// SPDX-License-Identifier: Apache-2.0
/* The monitor's clients: who they are, what they ask, what waits to be sent to them. */
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

#include "libct/base/cleanup.h"
#include "libct/base/error.h"
#include "libct/pod/monitor-impl.h"

/* Packets of one client in one turn, so that none keeps the others waiting. */
#define TURN 16

struct client *client_new(struct monitor *m, int sock)
{
	struct client *c = m->n_clients < CLIENTS_MAX ? calloc(1, sizeof(*c)) : NULL;

	if (!c) {
		fd_close(sock);
		return NULL;
	}
	c->sock = sock;
	c->next = m->clients;
	m->clients = c;
	m->n_clients++;
	return c;
}

void client_free(struct monitor *m, struct client *c)
{
	struct client **at = &m->clients;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	m->n_clients--;
	input_forget(m, c);
	queue_clear(&c->out);
	fd_close(c->sock);
	free(c);
}

void client_accept(struct monitor *m)
{
	for (;;) {
		cleanup_fd int sock = accept4(m->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		socklen_t len = sizeof(struct ucred);
		struct ucred peer;

		if (sock < 0)
			return;
		/* The socket's mode says so already; this holds also where somebody changed it. */
		if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 || peer.uid != 0)
			continue;
		client_new(m, take_fd(&sock));
	}
}

void client_flush(struct client *c)
{
	struct packet *p;

	while (!c->hung_up && (p = queue_first(&c->out))) {
		int r = monitor_send_fd(c->sock, &p->msg, p->data, p->len, p->fd);

		if (r == -EAGAIN || r == -ENOBUFS)
			return;
		if (r < 0)
			c->hung_up = true;
		else
			queue_pop(&c->out);
	}
}

void client_push(struct client *c, struct packet *p)
{
	if (c->hung_up)
		return;
	if (!p || queue_push(&c->out, p) < 0)
		c->hung_up = true;
	client_flush(c);
}

static void push_new(struct client *c, struct packet *p)
{
	client_push(c, p);
	packet_put(p);
}

void client_send(struct client *c, enum monitor_type type, int value, uint64_t number)
{
	push_new(c, packet_new(type, value, number, 0));
}

void client_fail(struct client *c, const struct ct_error *err)
{
	size_t len = strlen(err->text);
	struct packet *p = packet_new(MSG_FAILED, err->code, 0, len);

	if (p)
		memcpy(p->data, err->text, len);
	push_new(c, p);
}

static void send_with_fd(struct client *c, enum monitor_type type, int value, uint64_t number,
			 const void *data, size_t len, int fd)
{
	struct packet *p = packet_new(type, value, number, len);

	if (p && len)
		memcpy(p->data, data, len);
	if (p && fd >= 0) {
		p->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
		if (p->fd < 0) {
			packet_put(p);
			p = NULL;
		}
	}
	push_new(c, p);
}

static void tell_end(struct monitor *m, struct client *c)
{
	c->attached = c->waiting = false;
	client_send(c, m->checkpointed ? MSG_CHECKPOINTED : MSG_EXITED, m->code, 0);
}

void clients_tell_end(struct monitor *m)
{
	for (struct client *c = m->clients; c; c = c->next)
		if (c->attached || c->waiting)
			tell_end(m, c);
}

static void attach(struct monitor *m, struct client *c)
{
	int flags = (m->pod->config.tty ? MONITOR_TTY : 0) |
		    (m->pod->config.interactive ? MONITOR_INTERACTIVE : 0);

	send_with_fd(c, MSG_ATTACHED, flags, m->log_size, &m->log_start, sizeof(m->log_start),
		     m->log_read_fd);
	c->attached = true;
	if (m->phase == PHASE_ENDED)
		tell_end(m, c);
}

static void wait_end(struct monitor *m, struct client *c)
{
	c->waiting = true;
	if (m->phase == PHASE_ENDED)
		tell_end(m, c);
}

static int guard_request(struct monitor *m, struct client *c, const struct monitor_msg *msg,
			 struct ct_error *err)
{
	int r;

	if (msg->type == MSG_GUARD_BEGIN) {
		r = monitor_guard_begin(m, c, err);
		if (r >= 0)
			send_with_fd(c, MSG_OK, 0, 0, NULL, 0, m->child.master_fd);
		return r;
	}
	if (msg->type == MSG_GUARD_TAKE_UP) {
		r = monitor_guard_take_up(m, c, err);
		if (r >= 0)
			client_send(c, MSG_OK, 0, 0);
		return r;
	}
	if (m->guard != c)
		return error_set(err, -EPROTO, "no guard was begun");
	if (msg->type == MSG_GUARD_DRAIN) {
		m->input_paused = true;
		streams_drain(m);
		input_report(m, c);
		r = 0;
	} else if (msg->type == MSG_GUARD_HAND_OVER) {
		r = monitor_guard_hand_over(m, err);
	} else if (msg->value == GUARD_CHECKPOINTED) {
		r = monitor_guard_checkpointed(m, err);
	} else {
		r = monitor_guard_continue(m, false, err);
	}
	if (r >= 0)
		client_send(c, MSG_OK, 0, 0);
	if (r >= 0 && m->checkpointed)
		monitor_remove_rest(m);
	return r;
}

/* What an attached client sends: not answered. -EPROTO: it does not keep to the rules. */
static int stream_request(struct monitor *m, struct client *c, const struct monitor_msg *msg,
			  const void *data, size_t len)
{
	if (m->phase == PHASE_ENDED)
		return 0;
	switch (msg->type) {
	case MSG_INPUT:
		return m->pod->config.interactive ? input_push(m, c, data, len) : -EPROTO;
	case MSG_INPUT_END:
		/*
		 * The input of `podckpt run -i` is the pod's. One that attached later may be
		 * followed by another.
		 */
		if (c->starter && m->pod->config.interactive)
			input_end(m);
		return 0;
	case MSG_RESIZE:
		stream_resize(m, (unsigned short)(msg->number >> 16), (unsigned short)msg->number);
		return 0;
	default: /* MSG_SIGNAL */
		if (msg->value < 1 || msg->value > 64)
			return -EPROTO;
		if (m->guard || m->pod->state.status == CT_MIGRATING)
			m->deferred_signals |= 1ull << (msg->value - 1);
		else
			monitor_signal(m, msg->value, NULL);
		return 0;
	}
}

static int request(struct monitor *m, struct client *c, const struct monitor_msg *msg,
		   const void *data, size_t len, int *fd, struct ct_error *err)
{
	int r;

	switch (msg->type) {
	case MSG_PREPARE:
		if (!c->starter || m->phase != PHASE_MADE || m->pod->state.status != CT_RESTORING)
			return error_set(err, -EPROTO, "not to be prepared");
		monitor_prepare(m, &(struct init_go){ msg->value, (int)(msg->number & 0xff) });
		return 0;
	case MSG_RELEASE:
		if (c->starter && m->phase == PHASE_RELEASING && monitor_has_word(m)) {
			monitor_release_restored(m);
			return 0;
		}
		if (!c->starter || m->phase != PHASE_MADE || m->pod->state.status == CT_RESTORING)
			return error_set(err, -EPROTO, "not to be released");
		monitor_release(m, &(struct init_go){ msg->value, (int)(msg->number & 0xff) });
		return 0;
	case MSG_ORPHAN:
		if (c->starter)
			connections_keep(m, take_fd(fd));
		return 0;
	case MSG_SET_GOING:
		r = c->starter ? monitor_set_going(m, err) : error_set(err, -EPROTO, "not to be set going");
		if (r >= 0)
			client_send(c, MSG_OK, 0, 0);
		monitor_settle(m);
		return r;
	case MSG_GIVE_UP:
		if (!c->starter || m->phase > PHASE_RELEASING)
			return error_set(err, -EPROTO, "released already");
		monitor_abort(m, NULL);
		return 0;
	case MSG_ATTACH:
		attach(m, c);
		return 0;
	case MSG_WAIT:
		wait_end(m, c);
		return 0;
	case MSG_KILL:
		r = m->guard || m->pod->state.status == CT_MIGRATING
			    ? error_set(err, -EBUSY, "the pod is being checkpointed or moved to another host")
			     : monitor_signal(m, msg->value, err);
		if (r >= 0)
			client_send(c, MSG_OK, 0, 0);
		return r;
	case MSG_GUARD_SOCKET:
		if (m->guard == c)
			monitor_guard_socket(m, take_fd(fd), msg->value);
		return 0;
	case MSG_GUARD_BEGIN:
	case MSG_GUARD_DRAIN:
	case MSG_GUARD_END:
	case MSG_GUARD_HAND_OVER:
	case MSG_GUARD_TAKE_UP:
		return guard_request(m, c, msg, err);
	case MSG_INPUT:
	case MSG_INPUT_END:
	case MSG_RESIZE:
	case MSG_SIGNAL:
		r = stream_request(m, c, msg, data, len);
		if (r < 0)
			c->hung_up = true;
		return 0;
	default:
		return error_set(err, -EPROTO, "unknown request %u", msg->type);
	}
}

void client_serve(struct monitor *m, struct client *c)
{
	char data[MONITOR_DATA_MAX + 1];

	for (int turn = 0; turn < TURN && !c->hung_up && m->phase != PHASE_GONE; turn++) {
		cleanup_fd int fd = -1;
		struct ct_error err = {};
		struct monitor_msg msg;
		ssize_t n = monitor_recv(c->sock, &msg, data, sizeof(data), &fd);

		if (n == -EAGAIN)
			return;
		if (n == -EPROTO) {
			error_set(&err, -EPROTO, "the pod's monitor is of another version of podckpt");
			client_fail(c, &err);
		}
		if (n < 0)
			c->hung_up = true;
		else if (request(m, c, &msg, data, (size_t)n, &fd, &err) < 0)
			client_fail(c, &err);
	}
}
