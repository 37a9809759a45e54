/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections that wait to be accepted. Nothing but packets puts one into the queue of a listening socket, so the
 * peer's are sent once more, in its name: SYN, acknowledgement, data, FIN, reset.
 *
 * The peer goes by the numbers that it knows. Its own are in its packets. Ours the kernel chooses when the SYN arrives, at
 * random, but for one case (RFC 9293, 3.6.1): where the same two addresses have just had a connection, the new one
 * begins 65537 bytes behind the end of the old one. So first there was an old one. (Before Linux 6.10 it means to, but
 * clears that number again on the way, in tcp_v4_fill_cb(). The number that it then chooses nothing leads to.)
 *
 * The clock that our timestamps show is the kernel's plus an offset for each pair of addresses, which is another after each
 * boot. It has to be ahead of what the peer has seen, which drops what seems older. A connection that is opened without
 * a packet (fast open) tells what the clock would show.
 *
 * Some kernels (6.18 does) take the peer's last word (SYN_RECEIVED) only with the timestamp of our answer to its SYN, which
 * is another now: the peer learns it from the next answer, a second or three later.
 */
#include <arpa/inet.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "libct/base/cleanup.h"
#include "libct/base/clock.h"
#include "libct/base/error.h"
#include "netns/sockdiag.h"
#include "netns/tcp-impl.h"
#include "netns/tcp-listener.h"

#define BEFORE 1000 /* so much older is the peer's side of the old one */

struct entry {
	int listener, ifindex;
	struct tcp_connection c; /* borrows the queue */
	uint32_t ours, theirs;	 /* the numbers of both SYNs */
};

/* ---- our clock ---- */

static int our_clock(const struct tcp_connection *c, uint32_t *ret, struct ct_error *err)
{
	cleanup_fd int fd = socket(c->local.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int r = fd < 0 ? error_errno(err, -errno, "socket") : tcp_repair_on(fd, err);

	if (r < 0)
		return r;
	if (bind(fd, (const struct sockaddr *)&c->local, tcp_name_len(&c->local)) < 0)
		return error_errno(err, -errno, "bind");
	r = tcp_repair_off(fd, 0, false, err);
	if (r < 0)
		return r;
	if (tcp_set_int(fd, TCP_FASTOPEN_CONNECT, 1) < 0 || tcp_set_int(fd, TCP_FASTOPEN_NO_COOKIE, 1) < 0)
		return error_errno(err, -errno, "TCP_FASTOPEN_CONNECT");
	if (connect(fd, (const struct sockaddr *)&c->remote, tcp_name_len(&c->remote)) < 0)
		return error_errno(err, -errno, "connect");
	if (tcp_get(fd, TCP_TIMESTAMP, ret, sizeof(*ret)) < 0)
		return error_errno(err, -errno, "TCP_TIMESTAMP");
	return 0;
}

/* With an offset, without one, or no timestamps at all: those the peer can do without. */
static int choose_clock(struct entry *e, struct tcp_settings *settings, struct ct_error *err)
{
	static const char *const choices[] = { "1", "2" };
	uint32_t now = 0;
	int r = tcp_setting(settings, "net/ipv4/tcp_fastopen", "1", err);

	for (size_t i = 0; r == 0 && i < 2; i++) {
		r = tcp_setting(settings, "net/ipv4/tcp_timestamps", choices[i], err);
		if (r == 0)
			r = our_clock(&e->c, &now, err);
		if (r == 0 && (int32_t)(now - e->c.timestamp) >= 0)
			return 0;
	}
	e->c.timestamps = false;
	return r;
}

/* ---- packets, and what comes of them ---- */

static int send_theirs(const struct entry *e, struct tcp_segment *s, struct ct_error *err)
{
	int r;

	s->timestamps = e->c.timestamps;
	s->time = e->c.peer_timestamp;
	if (!s->offer)
		s->window = (uint16_t)(e->c.window.snd_wnd >> e->c.snd_scale);
	r = tcp_inject(&e->c.remote, &e->c.local, s);
	return r < 0 ? error_errno(err, r, "send a packet to ourselves") : 0;
}

struct aim {
	enum tcp_state state;
	size_t received; /* at least; our FIN does not count */
};

/* Sends the packet until it has come to pass. */
static int bring(const struct entry *e, struct tcp_segment *s, const struct aim *aim, struct ct_error *err)
{
	int64_t until = monotonic_ms() + TCP_ARRIVAL_MS, again = 0;
	struct sockdiag_inet is = { 0 };

	for (;;) {
		int64_t now = monotonic_ms();
		int r;

		if (now >= again) {
			r = send_theirs(e, s, err);
			if (r < 0)
				return r;
			again = now + TCP_AGAIN_MS;
		}
		r = sockdiag_tcp_one(-1, &e->c.local, &e->c.remote, e->ifindex, &is, err);
		if (r < 0 && r != -ENOENT)
			return r;
		/* Then nobody is found by its addresses, or its listening socket. */
		if (aim->state == TCP_STATE_CLOSED && (r < 0 || is.state == TCP_STATE_LISTENING))
			return 0;
		if (r == 0 && is.state == (int)aim->state && is.rqlen >= aim->received)
			return 0;
		if (now > until)
			break;
		sched_yield();
	}
	return error_set(err, -ETIMEDOUT, "a connection to be accepted does not become %s; is there a filter "
					  "on the socket, or a firewall?", tcp_state_name(aim->state));
}

/* The numbers from which the kernel goes on. */
static int leave_old_one(const struct entry *e, struct ct_error *err)
{
	const struct tcp_connection old = { .local = e->c.local, .remote = e->c.remote,
					    .state = TCP_STATE_TIME_WAIT,
					    .snd_una = e->ours - TCP_BEHIND, .rcv_nxt = e->theirs - BEFORE };

	return tcp_restore_time_wait(&old, err);
}

static int knock(const struct entry *e, struct ct_error *err)
{
	const struct tcp_window *w = &e->c.window;
	struct tcp_segment syn = { .seq = e->theirs, .flags = TCP_FLAG_BYTE_SYN, .offer = &e->c,
				   .window = (uint16_t)(w->snd_wnd < UINT16_MAX ? w->snd_wnd : UINT16_MAX) };
	const struct aim aim = { .state = TCP_STATE_SYN_RECEIVED };

	return bring(e, &syn, &aim, err);
}

/* Whether it is in this socket's queue, and is what the peer thinks it is. */
static int check(const struct entry *e, int waiting, struct ct_error *err)
{
	struct sockdiag_inet is = { 0 };
	int r;

	if (tcp_waiting(e->listener) != waiting + 1)
		return error_set(err, -EIO, "a connection to be accepted has come to another socket of its port");
	r = sockdiag_tcp_one(-1, &e->c.local, &e->c.remote, e->ifindex, &is, err);
	if (r == 0 && (is.rcv_scale != e->c.rcv_scale || is.snd_scale != e->c.snd_scale))
		return error_set(err, -EOPNOTSUPP,
				 "this host scales the window of a connection to be accepted by %d, not %d; the same "
				 "/proc/sys/net/core/rmem_max as at the checkpoint would help",
				 is.rcv_scale, e->c.rcv_scale);
	return r;
}

/* Bytes up to `end` of what it has received, in segments of their own. */
static int receive(const struct entry *e, struct tcp_segment *s, struct aim *aim, size_t end, struct ct_error *err)
{
	int r = 0;

	while (r == 0 && aim->received < end) {
		size_t left = end - aim->received;

		s->seq = e->theirs + 1 + (uint32_t)aim->received;
		s->data = (const char *)e->c.received + aim->received;
		s->len = left < TCP_SEGMENT_MAX ? left : TCP_SEGMENT_MAX;
		aim->received += s->len;
		r = bring(e, s, aim, err);
	}
	return r;
}

static int receive_all(const struct entry *e, struct tcp_segment *s, struct aim *aim, struct ct_error *err)
{
	const uint8_t flags = s->flags;
	int r = 0;

	if (e->c.urgent) {
		r = receive(e, s, aim, e->c.urgent_at, err);
		s->flags |= TCP_FLAG_BYTE_URG;
		if (r == 0)
			r = receive(e, s, aim, e->c.urgent_at + 1, err);
		s->flags = flags;
	}
	return r < 0 ? r : receive(e, s, aim, e->c.received_len, err);
}

static int enter(const struct entry *e, struct ct_error *err)
{
	struct tcp_segment s = { .seq = e->theirs + 1, .ack = e->ours + 1, .flags = TCP_FLAG_BYTE_ACK };
	uint32_t end = e->theirs + 1 + (uint32_t)e->c.received_len;
	struct aim aim = { .state = TCP_STATE_ESTABLISHED };
	int waiting = tcp_waiting(e->listener), r = bring(e, &s, &aim, err);

	if (r == 0)
		r = check(e, waiting, err);
	if (r == 0)
		r = receive_all(e, &s, &aim, err);
	if (r == 0 && e->c.state == TCP_STATE_CLOSE_WAIT) {
		s = (struct tcp_segment){ .seq = end++, .ack = s.ack, .flags = TCP_FLAG_BYTE_ACK | TCP_FLAG_BYTE_FIN };
		aim.state = TCP_STATE_CLOSE_WAIT;
		r = bring(e, &s, &aim, err);
	}
	if (r < 0 || !e->c.reset)
		return r;
	s = (struct tcp_segment){ .seq = end, .ack = s.ack, .flags = TCP_FLAG_BYTE_ACK | TCP_FLAG_BYTE_RST };
	aim.state = TCP_STATE_CLOSED;
	return bring(e, &s, &aim, err);
}

static int prepare(int listener, const struct tcp_connection *c, struct entry *e, struct ct_error *err)
{
	socklen_t len = sizeof(e->ifindex);

	if (c->state != TCP_STATE_ESTABLISHED && c->state != TCP_STATE_CLOSE_WAIT &&
	    c->state != TCP_STATE_SYN_RECEIVED)
		return error_set(err, -EINVAL, "a connection that is %s does not wait to be accepted",
				 tcp_state_name(c->state));
	*e = (struct entry){ .listener = listener, .c = *c, .ours = c->snd_una - 1 };
	e->theirs = c->rcv_nxt - 1 - (uint32_t)c->received_len - tcp_fin_received(c->state);
	if (getsockopt(listener, SOL_SOCKET, SO_BINDTOIFINDEX, &e->ifindex, &len) < 0)
		return error_errno(err, -errno, "SO_BINDTOIFINDEX");
	if (!e->ifindex)
		e->ifindex = tcp_ifindex(&c->remote);
	return 0;
}

int tcp_enqueue(int proc, int listener, const struct tcp_connection *c, struct ct_error *err)
{
	__cleanup(tcp_settings_undo) struct tcp_settings settings = { .proc = proc };
	__cleanup(tcp_listener_undo) struct tcp_listener door = { .fd = -1 };
	cleanup_fd int other = -1;
	struct entry e;
	int r = prepare(listener, c, &e, err);

	if (r == 0 && c->timestamps)
		r = choose_clock(&e, &settings, err);
	if (r == 0)
		r = tcp_settings_for(&settings, c, err);
	if (r == 0)
		r = leave_old_one(&e, err);
	if (r == 0)
		r = tcp_stand_in(c, &other, err);
	if (r == 0)
		r = tcp_listener_prepare(&door, listener, err);
	if (r == 0)
		r = knock(&e, err);
	if (r < 0 || c->state == TCP_STATE_SYN_RECEIVED)
		return r;
	r = tcp_listener_let_in(&door, c->received_len, err);
	return r < 0 ? r : enter(&e, err);
}
