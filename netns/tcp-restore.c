/* SPDX-License-Identifier: Apache-2.0 */
/* Making a connection. */
#include <fcntl.h>
#include <limits.h>
#include <linux/sockios.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#include "libct/base/cleanup.h"
#include "libct/base/error.h"
#include "netns/tcp-impl.h"

#define CHUNK (32 << 10) /* bytes put into a queue at a time */
#define ARRIVAL_MS 2000
#define MSS_DEFAULT 536
#define ROOM 65535 /* a receive window, for the peer's FIN to be heard */

static socklen_t name_len(const struct sockaddr_storage *a)
{
	return a->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

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
	return bind(fd, (const struct sockaddr *)a, name_len(a)) < 0 ? error_errno(err, -errno, "bind") : 0;
}

static int set_agreed(int fd, const struct tcp_connection *c, struct ct_error *err)
{
	struct tcp_repair_opt list[4];
	socklen_t n = 0;

	list[n++] = (struct tcp_repair_opt){ 2 /* maximum segment size */, c->max_segment };
	if (c->scaling)
		list[n++] = (struct tcp_repair_opt){ 3, c->snd_scale | (uint32_t)c->rcv_scale << 16 };
	if (c->sack)
		list[n++] = (struct tcp_repair_opt){ 4, 0 };
	if (c->timestamps)
		list[n++] = (struct tcp_repair_opt){ 8, 0 };
	if (tcp_set(fd, TCP_REPAIR_OPTIONS, list, n * (socklen_t)sizeof(list[0])) < 0)
		return error_errno(err, -errno, "TCP_REPAIR_OPTIONS");
	if (tcp_set(fd, TCP_TIMESTAMP, &c->timestamp, sizeof(c->timestamp)) < 0)
		return error_errno(err, -errno, "TCP_TIMESTAMP");
	return 0;
}

static int fill(int fd, int queue, const char *data, size_t len, struct ct_error *err)
{
	if (tcp_set_int(fd, TCP_REPAIR_QUEUE, queue) < 0)
		return error_errno(err, -errno, "TCP_REPAIR_QUEUE");
	while (len) {
		ssize_t n = send(fd, data, len < CHUNK ? len : CHUNK, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_errno(err, -errno, "fill its queue");
		data += n;
		len -= (size_t)n;
	}
	return 0;
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

static int set_window(int fd, const struct tcp_window *w, struct ct_error *err)
{
	if (tcp_set(fd, TCP_REPAIR_WINDOW, w, sizeof(*w)) < 0)
		return error_errno(err, -errno, "TCP_REPAIR_WINDOW");
	return 0;
}

/* Room for one segment, and a word of the peer's about its own. */
static int open_window(int fd, uint32_t rcv_nxt, struct ct_error *err)
{
	struct tcp_window w = { .snd_wl1 = rcv_nxt - 1, .snd_wnd = ROOM, .max_window = ROOM,
				.rcv_wnd = ROOM, .rcv_wup = rcv_nxt };

	return set_window(fd, &w, err);
}

/* Loopback delivers at once, but for a busy machine. */
static int await(int fd, enum tcp_state state, struct ct_error *err)
{
	struct timespec begin, now;
	int is;

	clock_gettime(CLOCK_MONOTONIC, &begin);
	while ((is = tcp_state(fd)) != (int)state) {
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (is < 0 || (now.tv_sec - begin.tv_sec) * 1000 + (now.tv_nsec - begin.tv_nsec) / 1000000 >
				      ARRIVAL_MS)
			return error_set(err, -ETIMEDOUT, "it stays %s and does not become %s",
					 tcp_state_name((enum tcp_state)is), tcp_state_name(state));
		sched_yield();
	}
	return 0;
}

/* In repair mode the FIN stands in the queue as one that was sent. */
static int end_ours(int fd, struct ct_error *err)
{
	if (tcp_set_int(fd, TCP_REPAIR_QUEUE, TCP_SEND_QUEUE) < 0 || shutdown(fd, SHUT_WR) < 0)
		return error_errno(err, -errno, "shutdown");
	return 0;
}

static int tell(int fd, const struct tcp_connection *c, uint32_t seq, uint32_t ack, uint8_t flags,
		enum tcp_state becomes, struct ct_error *err)
{
	int r = open_window(fd, seq, err);

	if (r == 0) {
		r = tcp_inject(&c->remote, &c->local, seq, ack, flags, TCP_WINDOW_ANY);
		if (r < 0)
			return error_errno(err, r, "send a packet to ourselves");
	}
	return r < 0 ? r : await(fd, becomes, err);
}

bool tcp_has_spare(int fd, enum tcp_state state)
{
	return state != TCP_STATE_FIN_WAIT_2 && state != TCP_STATE_CLOSED &&
	       state != TCP_STATE_SYN_SENT && tcp_is_deaf(fd) && tcp_repairing(fd);
}

/* Loopback delivers at once, but for a busy machine: waits until no more than `left` bytes are unacknowledged. */
static int await_acknowledged(int fd, int left, struct ct_error *err)
{
	struct timespec begin, now;
	int n = 0;

	clock_gettime(CLOCK_MONOTONIC, &begin);
	while (ioctl(fd, SIOCOUTQ, &n) == 0 && n > left) {
		clock_gettime(CLOCK_MONOTONIC, &now);
		if ((now.tv_sec - begin.tv_sec) * 1000 + (now.tv_nsec - begin.tv_nsec) / 1000000 > ARRIVAL_MS)
			return error_set(err, -ETIMEDOUT, "it does not hear our own packets");
		sched_yield();
	}
	return 0;
}

/*
 * Two bytes of no meaning in front of the queue. The first is acknowledged at once: that is a round-trip time,
 * and timeouts are 200 ms from then on. The second is the spare one.
 */
static int put_spare(int fd, const struct tcp_connection *c, uint32_t snd, uint32_t seq,
		     struct ct_error *err)
{
	static const char none[2];
	int r = fill(fd, TCP_SEND_QUEUE, none, 1, err);

	if (r == 0)
		r = open_window(fd, seq, err);
	if (r == 0) {
		r = tcp_inject(&c->remote, &c->local, seq, snd + 1, TCP_FLAG_BYTE_ACK, TCP_WINDOW_ANY);
		if (r < 0)
			return error_errno(err, r, "send a packet to ourselves");
	}
	if (r == 0)
		r = await_acknowledged(fd, 0, err);
	return r < 0 ? r : fill(fd, TCP_SEND_QUEUE, none, 1, err);
}

/* What the peer has said last, once more, with the acknowledgement of the spare byte. */
static int acknowledge_spare(int fd, struct ct_error *err)
{
	struct sockaddr_storage local = { 0 }, remote = { 0 };
	socklen_t len = sizeof(local), remote_len = sizeof(remote);
	struct tcp_info info = { 0 };
	struct tcp_window window;
	uint32_t write_seq, rcv_nxt;
	int queued = 0, r;

	if (getsockname(fd, (struct sockaddr *)&local, &len) < 0 ||
	    getpeername(fd, (struct sockaddr *)&remote, &remote_len) < 0)
		return error_errno(err, -errno, "its names");
	if (tcp_set_int(fd, TCP_REPAIR_QUEUE, TCP_SEND_QUEUE) < 0 ||
	    tcp_get(fd, TCP_QUEUE_SEQ, &write_seq, sizeof(write_seq)) < 0 ||
	    tcp_set_int(fd, TCP_REPAIR_QUEUE, TCP_RECV_QUEUE) < 0 ||
	    tcp_get(fd, TCP_QUEUE_SEQ, &rcv_nxt, sizeof(rcv_nxt)) < 0 ||
	    tcp_get(fd, TCP_REPAIR_WINDOW, &window, sizeof(window)) < 0 ||
	    tcp_get(fd, TCP_INFO, &info, sizeof(info)) < 0 || ioctl(fd, SIOCOUTQ, &queued) < 0)
		return error_errno(err, -errno, "its numbers");
	/* The kernel puts out what is to be sent only where the queue is that of no repair. */
	if (tcp_set_int(fd, TCP_REPAIR_QUEUE, TCP_NO_QUEUE) < 0)
		return error_errno(err, -errno, "TCP_REPAIR_QUEUE");
	r = tcp_inject(&remote, &local, rcv_nxt, write_seq - (uint32_t)queued + 1, TCP_FLAG_BYTE_ACK,
		       (uint16_t)(window.snd_wnd >> info.tcpi_snd_wscale));
	if (r < 0)
		return error_errno(err, r, "send a packet to ourselves");
	return await_acknowledged(fd, queued - 1, err);
}

/* From ESTABLISHED to where it was. `seq`: behind the last byte received. */
static int end(int fd, const struct tcp_connection *c, uint32_t seq, struct ct_error *err)
{
	const uint8_t ack = TCP_FLAG_BYTE_ACK, fin = TCP_FLAG_BYTE_ACK | TCP_FLAG_BYTE_FIN;
	const uint32_t una = c->snd_una, all = una + (uint32_t)c->sent_len + 1;
	const uint32_t spare = una - 1; /* not to be acknowledged yet */
	int r = 0;

	switch (c->state) {
	case TCP_STATE_FIN_WAIT_1:
		return end_ours(fd, err);
	case TCP_STATE_FIN_WAIT_2:
		r = end_ours(fd, err);
		return r < 0 ? r : tell(fd, c, seq, una, ack, TCP_STATE_FIN_WAIT_2, err);
	case TCP_STATE_CLOSE_WAIT:
		return tell(fd, c, seq, spare, fin, TCP_STATE_CLOSE_WAIT, err);
	case TCP_STATE_CLOSING:
		r = end_ours(fd, err);
		return r < 0 ? r : tell(fd, c, seq, spare, fin, TCP_STATE_CLOSING, err);
	case TCP_STATE_LAST_ACK:
	case TCP_STATE_CLOSED:
		r = tell(fd, c, seq, c->state == TCP_STATE_CLOSED ? una : spare, fin,
			 TCP_STATE_CLOSE_WAIT, err);
		if (r == 0)
			r = end_ours(fd, err);
		if (r == 0 && c->state == TCP_STATE_CLOSED)
			r = tell(fd, c, seq + 1, all, ack, TCP_STATE_CLOSED, err);
		return r;
	default:
		return 0;
	}
}

/* Both ways and all numbers; no packet. */
static int make(int fd, struct tcp_connection *c, uint32_t snd, uint32_t rcv, struct ct_error *err)
{
	socklen_t len = sizeof(c->local);
	int r = set_number(fd, TCP_SEND_QUEUE, snd, err);

	if (r == 0)
		r = set_number(fd, TCP_RECV_QUEUE, rcv, err);
	if (r == 0)
		r = bind_local(fd, &c->local, err);
	if (r == 0 && connect(fd, (const struct sockaddr *)&c->remote, name_len(&c->remote)) < 0)
		r = error_errno(err, -errno, "connect");
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
static int open_again(int fd, const struct tcp_connection *c, struct ct_error *err)
{
	int flags = fcntl(fd, F_GETFL), r = set_number(fd, TCP_SEND_QUEUE, c->snd_una, err);

	if (r == 0)
		r = bind_local(fd, &c->local, err);
	if (r < 0)
		return r;
	if (tcp_set_int(fd, TCP_REPAIR, TCP_REPAIR_OFF_NO_WP) < 0 || flags < 0 ||
	    fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return error_errno(err, -errno, "TCP_REPAIR");
	if (connect(fd, (const struct sockaddr *)&c->remote, name_len(&c->remote)) < 0 &&
	    errno != EINPROGRESS)
		return error_errno(err, -errno, "connect");
	return fcntl(fd, F_SETFL, flags) < 0 ? error_errno(err, -errno, "fcntl") : 0;
}

int tcp_restore(int fd, const struct tcp_connection *c, struct ct_error *err)
{
	/* Our FIN, where it was acknowledged, is the last byte before snd_una: it is sent and acknowledged again. */
	bool bare = c->state == TCP_STATE_FIN_WAIT_2 || c->state == TCP_STATE_CLOSED;
	uint32_t snd;
	const uint32_t seq = c->rcv_nxt - tcp_fin_received(c->state);
	struct tcp_connection mine = *c;
	int r = tcp_repair_on(fd, err);

	if (r == 0)
		r = tcp_deafen(fd, err);
	if (r == 0 && c->state == TCP_STATE_SYN_SENT)
		return open_again(fd, c, err);
	/* Where a connection that is over led to, nobody can tell any more. */
	if (c->state == TCP_STATE_CLOSED) {
		mine.remote = c->local;
		((struct sockaddr_in *)&mine.remote)->sin_port ^= htons(1);
		mine.max_segment = MSS_DEFAULT;
	}
	/* A filter of the program's would not let our own packets through for certain. */
	bare |= !tcp_is_deaf(fd);
	snd = c->snd_una - (c->state == TCP_STATE_FIN_WAIT_2) - (bare ? 0 : 2);
	if (r == 0)
		r = make(fd, &mine, snd, seq - (uint32_t)c->received_len, err);
	if (r == 0)
		r = fill(fd, TCP_RECV_QUEUE, c->received, c->received_len, err);
	if (r == 0 && !bare)
		r = put_spare(fd, &mine, snd, seq, err);
	if (r == 0)
		r = fill(fd, TCP_SEND_QUEUE, c->sent, c->sent_len, err);
	if (r == 0)
		r = end(fd, &mine, seq, err);
	if (r == 0 && c->state != TCP_STATE_CLOSED)
		r = set_window(fd, &c->window, err);
	return r;
}

int tcp_abort(int fd, const struct tcp_connection *c, int reuse_address, bool tell,
	      struct ct_error *err)
{
	const uint32_t end = c->snd_una + (uint32_t)c->sent_len + tcp_fin_sent(c->state) -
			     (c->state == TCP_STATE_FIN_WAIT_2);
	const uint8_t flags = TCP_FLAG_BYTE_RST | TCP_FLAG_BYTE_ACK;
	bool opening = c->state == TCP_STATE_SYN_SENT;
	int r;

	if (c->state == TCP_STATE_CLOSED)
		return tcp_release(fd, reuse_address, err);
	/* Of a SYN the reset acknowledges it. */
	r = tcp_inject(&c->remote, &c->local, c->rcv_nxt, c->snd_una + opening, flags, 0);
	if (r == 0 && tell)
		r = tcp_inject(&c->local, &c->remote, opening ? c->snd_una + 1 : end, c->rcv_nxt, flags, 0);
	if (r < 0)
		return error_errno(err, r, "send a reset");
	r = await(fd, TCP_STATE_CLOSED, err);
	if (r == 0)
		r = tcp_hear(fd, err);
	if (r == 0 && tcp_repairing(fd))
		r = tcp_repair_off(fd, reuse_address, false, err);
	return r;
}

int tcp_release(int fd, int reuse_address, struct ct_error *err)
{
	int state = tcp_state(fd), r;
	bool spare;

	if (state < 0)
		return error_errno(err, state, "TCP_INFO");
	spare = tcp_has_spare(fd, (enum tcp_state)state);
	r = tcp_hear(fd, err);
	if (r == 0 && spare)
		r = acknowledge_spare(fd, err);
	if (r == 0 && tcp_repairing(fd))
		r = tcp_repair_off(fd, reuse_address, true, err);
	return r;
}
