/* SPDX-License-Identifier: Apache-2.0 */
/* Making a connection. */
#include <fcntl.h>
#include <limits.h>
#include <string.h>

#include "libct/base/cleanup.h"
#include "libct/base/error.h"
#include "netns/tcp-impl.h"

#define CHUNK (32 << 10) /* bytes put into a queue at a time */
#define MSS_MAX 32767 /* that can be asked for */

static int set_number(int fd, int queue, uint32_t number, struct ct_error *err)
{
	if (tcp_set_int(fd, TCP_REPAIR_QUEUE, queue) < 0 ||
	    tcp_set(fd, TCP_QUEUE_SEQ, &number, sizeof(number)) < 0)
		return error_errno(err, -errno, "TCP_QUEUE_SEQ");
	return 0;
}

static int bind_local(int fd, const struct sockaddr_storage *a, struct ct_error *err)
{
	struct sockaddr_storage now = { 0 };
	socklen_t len = sizeof(now);

	if (getsockname(fd, (struct sockaddr *)&now, &len) < 0)
		return error_errno(err, -errno, "getsockname");
	/* The port stands at the same place in both families. */
	if (((struct sockaddr_in *)&now)->sin_port)
		return 0;
	/* In repair mode no other socket is in the way. */
	return bind(fd, (const struct sockaddr *)a, tcp_name_len(a)) < 0 ? error_errno(err, -errno, "bind") : 0;
}

static int set_agreed(int fd, const struct tcp_connection *c, struct ct_error *err)
{
	struct tcp_repair_opt list[4];
	socklen_t n = 0;

	list[n++] = (struct tcp_repair_opt){ TCP_OPTION_MSS, c->max_segment };
	if (c->scaling)
		list[n++] = (struct tcp_repair_opt){ TCP_OPTION_SCALE, c->snd_scale | (uint32_t)c->rcv_scale << 16 };
	if (c->sack)
		list[n++] = (struct tcp_repair_opt){ TCP_OPTION_SACK, 0 };
	if (c->timestamps)
		list[n++] = (struct tcp_repair_opt){ TCP_OPTION_TIMESTAMPS, 0 };
	if (tcp_set(fd, TCP_REPAIR_OPTIONS, list, n * (socklen_t)sizeof(list[0])) < 0)
		return error_errno(err, -errno, "TCP_REPAIR_OPTIONS");
	if (tcp_set(fd, TCP_TIMESTAMP, &c->timestamp, sizeof(c->timestamp)) < 0)
		return error_errno(err, -errno, "TCP_TIMESTAMP");
	return 0;
}

/* `flags`: MSG_OOB, of one byte; or 0. */
static int put(int fd, const char *data, size_t len, int flags, struct ct_error *err)
{
	while (len) {
		ssize_t n = send(fd, data, len < CHUNK ? len : CHUNK, MSG_DONTWAIT | MSG_NOSIGNAL | flags);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_errno(err, -errno, "fill its queue");
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

static int fill(int fd, int queue, const char *data, size_t len, struct ct_error *err)
{
	if (tcp_set_int(fd, TCP_REPAIR_QUEUE, queue) < 0)
		return error_errno(err, -errno, "TCP_REPAIR_QUEUE");
	return put(fd, data, len, 0, err);
}

/* Bytes `from` to `to` of what we send. */
static int put_sent(int fd, const struct tcp_connection *c, size_t from, size_t to, struct ct_error *err)
{
	const char *data = c->sent;
	size_t urgent = c->sent_urgent;
	int r;

	if (urgent <= from || urgent > to)
		return put(fd, data + from, to - from, 0, err);
	r = put(fd, data + from, urgent - 1 - from, 0, err);
	if (r == 0)
		r = put(fd, data + urgent - 1, 1, MSG_OOB, err);
	return r < 0 ? r : put(fd, data + urgent, to - urgent, 0, err);
}

static int fill_sent(int fd, const struct tcp_connection *c, size_t len, struct ct_error *err)
{
	if (tcp_set_int(fd, TCP_REPAIR_QUEUE, TCP_SEND_QUEUE) < 0)
		return error_errno(err, -errno, "TCP_REPAIR_QUEUE");
	return put_sent(fd, c, 0, len, err);
}

/* What was in the queues has room, however the kernel counts it this time. */
static int widen(int fd, struct ct_error *err)
{
	int wide = INT_MAX / 2;

	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &wide, sizeof(wide)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &wide, sizeof(wide)) < 0)
		return error_errno(err, -errno, "widen its buffers");
	return 0;
}

/* Room for one segment, and none at the peer, so that nothing that stands in the queue counts as sent. */
static int open_window(int fd, uint32_t rcv_nxt, struct ct_error *err)
{
	struct tcp_window w = { .snd_wl1 = rcv_nxt - 1, .max_window = TCP_ROOM, .rcv_wnd = TCP_ROOM,
				.rcv_wup = rcv_nxt };

	return tcp_set_window(fd, &w, err);
}

static int inject(int fd, const struct tcp_connection *c, const struct tcp_segment *s,
		  const struct tcp_effect *effect, struct ct_error *err)
{
	int r = open_window(fd, s->seq, err);

	return r < 0 ? r : tcp_tell(fd, c, s, effect, err);
}

/* Our FIN is the last that is sent. */
static size_t unsent_bytes(const struct tcp_connection *c)
{
	return c->unsent ? c->unsent - tcp_fin_sent(c->state) : 0;
}

/*
 * What had not been sent, our FIN included, is not in this queue either: it is written without repair mode, and
 * stays because the peer has no room (open_window()).
 */
static int put_unsent(int fd, const struct tcp_connection *c, bool fin, struct ct_error *err)
{
	size_t len = unsent_bytes(c);
	int low = 0, r = 0;
	socklen_t size = sizeof(low);

	if (tcp_get(fd, TCP_NOTSENT_LOWAT, &low, size) < 0 || tcp_set_int(fd, TCP_NOTSENT_LOWAT, -1) < 0)
		return error_errno(err, -errno, "TCP_NOTSENT_LOWAT");
	r = open_window(fd, c->rcv_nxt - tcp_fin_received(c->state), err);
	if (r == 0)
		r = tcp_repair_off(fd, 0, false, err);
	if (r == 0)
		r = put_sent(fd, c, c->sent_len - len, c->sent_len, err);
	if (r == 0 && fin && shutdown(fd, SHUT_WR) < 0)
		r = error_errno(err, -errno, "shutdown");
	if (r == 0)
		r = tcp_repair_on(fd, err);
	if (r == 0 && tcp_set_int(fd, TCP_NOTSENT_LOWAT, low) < 0)
		r = error_errno(err, -errno, "TCP_NOTSENT_LOWAT");
	return r;
}

/* In repair mode the FIN stands in the queue as one that was sent. */
int tcp_end_ours(int fd, const struct tcp_connection *c, struct ct_error *err)
{
	if (c->unsent)
		return put_unsent(fd, c, true, err);
	if (tcp_set_int(fd, TCP_REPAIR_QUEUE, TCP_SEND_QUEUE) < 0 || shutdown(fd, SHUT_WR) < 0)
		return error_errno(err, -errno, "shutdown");
	return 0;
}

int tcp_become(int fd, const struct tcp_connection *c, uint32_t seq, uint32_t ack, uint8_t flags,
		enum tcp_state becomes, struct ct_error *err)
{
	const struct tcp_segment s = { .seq = seq, .ack = ack, .flags = flags,
				       .timestamps = c->timestamps && c->peer_timestamp,
				       .time = c->peer_timestamp };
	const struct tcp_effect effect = { TCP_BECOMES, becomes };

	return inject(fd, c, &s, &effect, err);
}

/*
 * Only a packet can bring an urgent byte, and puts a mark before it. `snd`: the number that we would send next.
 */
static int put_urgent(int fd, const struct tcp_connection *c, uint32_t snd, uint32_t seq,
		      struct ct_error *err)
{
	const uint8_t *byte = (const uint8_t *)c->received + c->urgent_at;
	const struct tcp_segment s = { .seq = seq, .ack = snd, .data = byte, .len = 1,
				       .flags = TCP_FLAG_BYTE_ACK | TCP_FLAG_BYTE_URG };
	const struct tcp_effect effect = { TCP_RECEIVED, seq + 1 };
	int in_line = 0, r = inject(fd, c, &s, &effect, err);
	socklen_t len = sizeof(in_line);
	uint8_t taken;

	if (r < 0 || !c->urgent_read)
		return r;
	if (getsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &in_line, &len) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &(int){ 0 }, sizeof(int)) < 0 ||
	    recv(fd, &taken, 1, MSG_OOB | MSG_DONTWAIT) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &in_line, sizeof(in_line)) < 0)
		return error_errno(err, -errno, "its urgent byte");
	return 0;
}

int tcp_fill_received(int fd, const struct tcp_connection *c, uint32_t snd, uint32_t seq,
			 struct ct_error *err)
{
	const char *data = c->received;
	size_t n = c->urgent ? c->urgent_at : c->received_len;
	int r = fill(fd, TCP_RECV_QUEUE, data, n, err);

	if (r < 0 || !c->urgent)
		return r;
	r = put_urgent(fd, c, snd, seq - (uint32_t)(c->received_len - n), err);
	return r < 0 ? r : fill(fd, TCP_RECV_QUEUE, data + n + 1, c->received_len - n - 1, err);
}

int tcp_learn_round_trip(int fd, const struct tcp_connection *c, uint32_t snd, uint32_t seq, struct ct_error *err)
{
	struct tcp_segment s = { .seq = seq, .ack = snd + 1, .flags = TCP_FLAG_BYTE_ACK };
	const struct tcp_effect effect = { TCP_ACKNOWLEDGED, 0 };
	int r = fill(fd, TCP_SEND_QUEUE, "", 1, err);

	if (r == 0)
		r = tcp_echo(fd, c, &s, err);
	return r < 0 ? r : inject(fd, c, &s, &effect, err);
}

int tcp_put_spare(int fd, struct ct_error *err)
{
	return fill(fd, TCP_SEND_QUEUE, "", 1, err);
}

/*
 * As if both ends had closed at once: then the last packet is one that is not answered. What the socket leaves behind
 * has no filter, and an answer to the answer would meet it.
 */
static int end_both(int fd, const struct tcp_connection *c, uint32_t seq, struct ct_error *err)
{
	const struct tcp_segment ack = { .seq = c->rcv_nxt, .ack = c->snd_una, .flags = TCP_FLAG_BYTE_ACK };
	/* The socket is no longer part of it. */
	const struct tcp_effect over = { TCP_BECOMES, TCP_STATE_CLOSED };
	int r = tcp_end_ours(fd, c, err);

	if (r == 0)
		r = tcp_become(fd, c, seq, c->snd_una - 1, TCP_FLAG_BYTE_ACK | TCP_FLAG_BYTE_FIN,
			       TCP_STATE_CLOSING, err);
	if (r == 0)
		r = tcp_set_window(fd, &c->window, err);
	return r < 0 ? r : tcp_tell(fd, c, &ack, &over, err);
}

/* From ESTABLISHED to where it was. `seq`: behind the last byte received; `bare`: there is no spare byte. */
static int end(int fd, const struct tcp_connection *c, uint32_t seq, bool bare, struct ct_error *err)
{
	const uint8_t ack = TCP_FLAG_BYTE_ACK, fin = TCP_FLAG_BYTE_ACK | TCP_FLAG_BYTE_FIN;
	const uint32_t una = c->snd_una;
	const uint32_t spare = una - !bare; /* not to be acknowledged yet */
	int r = 0;

	switch (c->state) {
	case TCP_STATE_FIN_WAIT_1:
		return tcp_end_ours(fd, c, err);
	case TCP_STATE_FIN_WAIT_2:
		r = tcp_end_ours(fd, c, err);
		return r < 0 ? r : tcp_become(fd, c, seq, una, ack, TCP_STATE_FIN_WAIT_2, err);
	case TCP_STATE_TIME_WAIT:
		return end_both(fd, c, seq, err);
	case TCP_STATE_CLOSE_WAIT:
		r = tcp_become(fd, c, seq, spare, fin, TCP_STATE_CLOSE_WAIT, err);
		return r < 0 || !c->unsent ? r : put_unsent(fd, c, false, err);
	case TCP_STATE_CLOSING:
		r = tcp_end_ours(fd, c, err);
		return r < 0 ? r : tcp_become(fd, c, seq, spare, fin, TCP_STATE_CLOSING, err);
	case TCP_STATE_LAST_ACK:
		r = tcp_become(fd, c, seq, spare, fin, TCP_STATE_CLOSE_WAIT, err);
		return r < 0 ? r : tcp_end_ours(fd, c, err);
	default:
		return c->unsent ? put_unsent(fd, c, false, err) : 0;
	}
}

/* Both ways and all numbers; no packet. */
int tcp_make(int fd, struct tcp_connection *c, uint32_t snd, uint32_t rcv, struct ct_error *err)
{
	socklen_t len = sizeof(c->local);
	int r = set_number(fd, TCP_SEND_QUEUE, snd, err);

	if (r == 0)
		r = set_number(fd, TCP_RECV_QUEUE, rcv, err);
	if (r == 0)
		r = bind_local(fd, &c->local, err);
	/* What is asked for now is what segments are cut to; what the peer takes is told later (set_agreed()). */
	if (r == 0)
		tcp_set_int(fd, TCP_MAXSEG, c->max_segment < MSS_MAX ? (int)c->max_segment : MSS_MAX);
	if (r == 0 && connect(fd, (const struct sockaddr *)&c->remote, tcp_name_len(&c->remote)) < 0)
		r = error_errno(err, -errno, "connect");
	if (r == 0)
		tcp_set_int(fd, TCP_MAXSEG, 0);
	/* Where it was bound to no address it has one now. */
	if (r == 0 && getsockname(fd, (struct sockaddr *)&c->local, &len) < 0)
		r = error_errno(err, -errno, "getsockname");
	if (r == 0)
		r = set_agreed(fd, c, err);
	if (r == 0)
		r = widen(fd, err);
	return r;
}

/* The same SYN once more: whether the first arrived or not, the answer fits. */
int tcp_open_again(int fd, const struct tcp_connection *c, struct ct_error *err)
{
	int flags = fcntl(fd, F_GETFL), r = set_number(fd, TCP_SEND_QUEUE, c->snd_una, err);

	if (r == 0)
		r = bind_local(fd, &c->local, err);
	if (r < 0)
		return r;
	if (tcp_set_int(fd, TCP_REPAIR, TCP_REPAIR_OFF_NO_WP) < 0 || flags < 0 ||
	    fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return error_errno(err, -errno, "TCP_REPAIR");
	if (connect(fd, (const struct sockaddr *)&c->remote, tcp_name_len(&c->remote)) < 0 &&
	    errno != EINPROGRESS)
		return error_errno(err, -errno, "connect");
	return fcntl(fd, F_SETFL, flags) < 0 ? error_errno(err, -errno, "fcntl") : 0;
}

int tcp_restore(int fd, const struct tcp_connection *c, struct ct_error *err)
{
	/* Our FIN, where it was acknowledged, is the last byte before snd_una: it is sent and acknowledged again. */
	bool again = c->state == TCP_STATE_FIN_WAIT_2 || c->state == TCP_STATE_TIME_WAIT;
	bool spare = c->sent_len || tcp_fin_sent(c->state);
	/* A filter of the program's need not let our own packets through at the release. */
	const bool bare = again || c->filtered;
	const uint32_t snd = c->snd_una - again - (bare ? 0 : 1U + spare);
	const uint32_t seq = c->rcv_nxt - tcp_fin_received(c->state);
	struct tcp_connection mine = *c;
	struct tcp_window window = c->window;
	int r = tcp_repair_on(fd, err);

	if (r == 0)
		r = tcp_deafen(fd, err);
	if (r == 0 && c->state == TCP_STATE_SYN_SENT)
		return tcp_open_again(fd, c, err);
	if (r == 0 && c->state == TCP_STATE_CLOSED)
		return tcp_restore_closed(fd, c, err);
	if (r == 0)
		r = tcp_make(fd, &mine, snd, seq - (uint32_t)c->received_len, err);
	if (r == 0)
		r = tcp_fill_received(fd, &mine, snd, seq, err);
	if (r == 0 && !bare)
		r = tcp_learn_round_trip(fd, &mine, snd, seq, err);
	if (r == 0 && !bare && spare)
		r = tcp_put_spare(fd, err);
	if (r == 0)
		r = fill_sent(fd, c, c->sent_len - unsent_bytes(c), err);
	if (r == 0)
		r = end(fd, &mine, seq, bare, err);
	/* The peer's room is for the release to tell. */
	window.snd_wnd = 0;
	if (r == 0 && c->state != TCP_STATE_TIME_WAIT)
		r = tcp_set_window(fd, &window, err);
	return r == 0 && c->error ? tcp_raise_error(fd, &mine, err) : r;
}
