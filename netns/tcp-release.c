/* SPDX-License-Identifier: Apache-2.0 */
/* A connection that tcp_restore() has made goes on, or is given up. */
#include <linux/sockios.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <time.h>

#include "libct/base/cleanup.h"
#include "libct/base/clock.h"
#include "libct/base/error.h"
#include "netns/tcp-impl.h"

int tcp_set_window(int fd, const struct tcp_window *w, struct ct_error *err)
{
	if (tcp_set(fd, TCP_REPAIR_WINDOW, w, sizeof(*w)) < 0)
		return error_errno(err, -errno, "TCP_REPAIR_WINDOW");
	return 0;
}

int tcp_echo(int fd, const struct tcp_connection *c, struct tcp_segment *s, struct ct_error *err)
{
	uint32_t now = 0;

	if (!c->timestamps || !c->round_trip)
		return 0;
	if (tcp_get(fd, TCP_TIMESTAMP, &now, sizeof(now)) < 0)
		return error_errno(err, -errno, "TCP_TIMESTAMP");
	s->timestamps = true;
	s->time = c->peer_timestamp;
	/* The lowest bit says that it counts microseconds. */
	s->echo = now - (now & 1 ? c->round_trip : (c->round_trip + 999) / 1000);
	return 0;
}

/* 1: so it is, 0: not yet. */
static int has_come(int fd, const struct tcp_effect *effect)
{
	uint32_t next;
	int n = 0;

	switch (effect->what) {
	case TCP_BECOMES:
		return tcp_state(fd) == (int)effect->value;
	case TCP_ACKNOWLEDGED:
		return ioctl(fd, SIOCOUTQ, &n) < 0 ? -errno : (uint32_t)n <= effect->value;
	default:
		return tcp_get(fd, TCP_QUEUE_SEQ, &next, sizeof(next)) < 0 ? -errno : next == effect->value;
	}
}

int tcp_tell(int fd, const struct tcp_connection *c, const struct tcp_segment *segment,
	     const struct tcp_effect *effect, struct ct_error *err)
{
	int64_t now = monotonic_ms(), until = now + TCP_ARRIVAL_MS, again = now;
	int r = 0;

	if (effect->what == TCP_RECEIVED && tcp_set_int(fd, TCP_REPAIR_QUEUE, TCP_RECV_QUEUE) < 0)
		return error_errno(err, -errno, "TCP_REPAIR_QUEUE");
	for (; now <= until; now = monotonic_ms()) {
		if (now >= again) {
			r = tcp_inject(&c->remote, &c->local, segment);
			if (r < 0)
				return error_errno(err, r, "send a packet to ourselves");
			again = now + TCP_AGAIN_MS;
		}
		r = has_come(fd, effect);
		if (r)
			return r < 0 ? error_errno(err, r, "its queue") : 0;
		sched_yield();
	}
	if (effect->what != TCP_BECOMES)
		return error_set(err, -ETIMEDOUT, "it does not hear our own packets");
	return error_set(err, -ETIMEDOUT, "it stays %s and does not become %s",
			 tcp_state_name((enum tcp_state)tcp_state(fd)), tcp_state_name((enum tcp_state)effect->value));
}

/* The peer may have to acknowledge something. */
static bool is_heard(enum tcp_state state)
{
	return state != TCP_STATE_FIN_WAIT_2 && state != TCP_STATE_CLOSED && state != TCP_STATE_SYN_SENT;
}

bool tcp_has_spare(int fd, enum tcp_state state)
{
	int n = 0;

	return is_heard(state) && tcp_is_deaf(fd) && tcp_repairing(fd) && ioctl(fd, SIOCOUTQ, &n) == 0 && n > 0;
}

/* What the peer has said last, once more, with the acknowledgement of the spare byte. */
static int acknowledge_spare(int fd, const struct tcp_connection *c, struct ct_error *err)
{
	struct tcp_segment s = { .seq = c->rcv_nxt, .ack = c->snd_una, .flags = TCP_FLAG_BYTE_ACK,
				 .window = (uint16_t)(c->window.snd_wnd >> c->snd_scale) };
	/* All but the spare byte, if the peer itself has not been faster. */
	const struct tcp_effect heard = { TCP_ACKNOWLEDGED, (uint32_t)c->sent_len + tcp_fin_sent(c->state) };
	int r;

	/* Its timeout has doubled again and again while nobody could answer. */
	r = tcp_echo(fd, c, &s, err);
	return r < 0 ? r : tcp_tell(fd, c, &s, &heard, err);
}

/*
 * Asks the peer where it stands, as the kernel does at the end of repair mode, but for connections that are half closed
 * as well: a segment behind which nothing is new has to be answered (RFC 9293, 3.10.7.4). Like any packet it may be lost.
 */
static void ask_peer(int fd, const struct tcp_connection *c)
{
	struct tcp_segment s = { .seq = c->snd_una - 1, .ack = c->rcv_nxt, .flags = TCP_FLAG_BYTE_ACK,
				 .timestamps = c->timestamps, .echo = c->peer_timestamp };

	if (!s.timestamps || tcp_get(fd, TCP_TIMESTAMP, &s.time, sizeof(s.time)) == 0)
		tcp_emit(&c->local, &c->remote, &s);
}

/* Deaf until SO_REUSEADDR is back: what a connection that ends leaves behind would keep its port from others. */
int tcp_release(int fd, const struct tcp_connection *c, int reuse_address, struct ct_error *err)
{
	const bool spare = tcp_has_spare(fd, c->state), repairing = tcp_repairing(fd);
	int r = 0;

	if (repairing && c->state != TCP_STATE_CLOSED)
		r = tcp_set_window(fd, &c->window, err);
	if (r == 0 && repairing)
		r = tcp_repair_off(fd, reuse_address, false, err);
	if (r == 0)
		r = tcp_hear(fd, err);
	if (r == 0 && spare)
		r = acknowledge_spare(fd, c, err);
	if (r == 0 && repairing && is_heard(c->state))
		ask_peer(fd, c);
	/* The next word of the peer's would make it forget. */
	if (r == 0 && c->soft_error && c->state != TCP_STATE_CLOSED)
		r = tcp_raise_soft_error(c, err);
	return r;
}

int tcp_release_unknown(int fd, int reuse_address, struct ct_error *err)
{
	int r = tcp_hear(fd, err);

	return r < 0 || !tcp_repairing(fd) ? r : tcp_repair_off(fd, reuse_address, true, err);
}

int tcp_reset_peer(const struct tcp_connection *c, struct ct_error *err)
{
	const bool opening = c->state == TCP_STATE_SYN_SENT;
	const uint32_t end = c->snd_una + (uint32_t)(c->sent_len - c->unsent) + tcp_fin_sent(c->state) -
			     (c->state == TCP_STATE_FIN_WAIT_2);
	const struct tcp_segment ours = { .seq = opening ? c->snd_una + 1 : end, .ack = c->rcv_nxt,
					  .flags = TCP_FLAG_BYTE_RST | TCP_FLAG_BYTE_ACK };
	int r = tcp_inject(&c->local, &c->remote, &ours);

	return r < 0 ? error_errno(err, r, "send a reset") : 0;
}

int tcp_abort(int fd, const struct tcp_connection *c, int reuse_address, bool tell,
	      struct ct_error *err)
{
	const bool opening = c->state == TCP_STATE_SYN_SENT;
	const struct tcp_segment theirs = { .seq = c->rcv_nxt,
					    .ack = c->snd_una + opening, /* a reset acknowledges a SYN */
					    .flags = TCP_FLAG_BYTE_RST | TCP_FLAG_BYTE_ACK };
	const struct tcp_effect over = { TCP_BECOMES, TCP_STATE_CLOSED };
	int r;

	if (c->state == TCP_STATE_CLOSED)
		return tcp_release(fd, c, reuse_address, err);
	r = tell ? tcp_reset_peer(c, err) : 0;
	if (r == 0)
		r = tcp_tell(fd, c, &theirs, &over, err);
	if (r == 0)
		r = tcp_hear(fd, err);
	if (r == 0 && tcp_repairing(fd))
		r = tcp_repair_off(fd, reuse_address, false, err);
	return r;
}
