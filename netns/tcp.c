/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a connection. */
#include "netns/tcp.h"

#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>

#include "libct/base/cleanup.h"
#include "libct/base/error.h"
#include "netns/tcp-impl.h"

/* Times that a queue is read again because packets came and went meanwhile. */
#define TRIES 100
#define SEGMENT_MAX (256 << 10) /* of a buffer of the kernel's, which may hold many segments */

static const char *const names[] = {
	[TCP_STATE_ESTABLISHED] = "established", [TCP_STATE_SYN_SENT] = "syn-sent",
	[TCP_STATE_SYN_RECEIVED] = "syn-received", [TCP_STATE_FIN_WAIT_1] = "fin-wait-1",
	[TCP_STATE_FIN_WAIT_2] = "fin-wait-2", [TCP_STATE_TIME_WAIT] = "time-wait",
	[TCP_STATE_CLOSED] = "closed", [TCP_STATE_CLOSE_WAIT] = "close-wait",
	[TCP_STATE_LAST_ACK] = "last-ack", [TCP_STATE_LISTENING] = "listening",
	[TCP_STATE_CLOSING] = "closing",
};

#define N_STATES ((int)(sizeof(names) / sizeof(names[0])))

void tcp_connection_release(struct tcp_connection *c)
{
	free(c->sent);
	free(c->received);
	c->sent = c->received = NULL;
}

int tcp_state(int fd)
{
	struct tcp_info info = { 0 };

	return tcp_get(fd, TCP_INFO, &info, sizeof(info)) < 0 ? -errno : info.tcpi_state;
}

const char *tcp_state_name(enum tcp_state state)
{
	return (int)state > 0 && (int)state < N_STATES ? names[state] : "unknown";
}

int tcp_state_by_name(const char *name)
{
	for (int i = 1; i < N_STATES; i++)
		if (!strcmp(names[i], name))
			return i;
	return -EINVAL;
}

bool tcp_fin_sent(enum tcp_state state)
{
	return state == TCP_STATE_FIN_WAIT_1 || state == TCP_STATE_FIN_WAIT_2 ||
	       state == TCP_STATE_CLOSING || state == TCP_STATE_LAST_ACK ||
	       state == TCP_STATE_TIME_WAIT;
}

bool tcp_fin_received(enum tcp_state state)
{
	return state == TCP_STATE_CLOSE_WAIT || state == TCP_STATE_CLOSING ||
	       state == TCP_STATE_LAST_ACK || state == TCP_STATE_TIME_WAIT;
}

bool tcp_repairing(int fd)
{
	int on = 0;

	return tcp_get(fd, TCP_REPAIR, &on, sizeof(on)) == 0 && on;
}

int tcp_repair_on(int fd, struct ct_error *err)
{
	return tcp_set_int(fd, TCP_REPAIR, TCP_REPAIR_ON) < 0 ? error_errno(err, -errno, "TCP_REPAIR") : 0;
}

int tcp_reuse_address(int fd, int reuse_address, struct ct_error *err)
{
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &reuse_address, sizeof(reuse_address)) < 0)
		return error_errno(err, -errno, "SO_REUSEADDR");
	return 0;
}

int tcp_repair_off(int fd, int reuse_address, bool probe, struct ct_error *err)
{
	if (tcp_set_int(fd, TCP_REPAIR, probe ? TCP_REPAIR_OFF : TCP_REPAIR_OFF_NO_WP) < 0)
		return error_errno(err, -errno, "TCP_REPAIR");
	/* It has become 0. */
	return reuse_address ? tcp_reuse_address(fd, reuse_address, err) : 0;
}

static int read_names(int fd, struct tcp_connection *c, struct ct_error *err)
{
	socklen_t len = sizeof(c->local);

	if (getsockname(fd, (struct sockaddr *)&c->local, &len) < 0)
		return error_errno(err, -errno, "getsockname");
	len = sizeof(c->remote);
	if (getpeername(fd, (struct sockaddr *)&c->remote, &len) < 0 && errno != ENOTCONN)
		return error_errno(err, -errno, "getpeername");
	return 0;
}

/* What both ends have agreed on when they met. */
static int read_agreed(int fd, const struct tcp_info *info, struct tcp_connection *c,
		       struct ct_error *err)
{
	c->timestamps = info->tcpi_options & TCPI_OPT_TIMESTAMPS;
	c->sack = info->tcpi_options & TCPI_OPT_SACK;
	c->scaling = info->tcpi_options & TCPI_OPT_WSCALE;
	c->round_trip = info->tcpi_rtt;
	c->snd_scale = c->scaling ? info->tcpi_snd_wscale : 0;
	c->rcv_scale = c->scaling ? info->tcpi_rcv_wscale : 0;
	if (tcp_get(fd, TCP_MAXSEG, &c->max_segment, sizeof(c->max_segment)) < 0)
		return error_errno(err, -errno, "TCP_MAXSEG");
	return 0;
}

/* The number behind the last byte of a queue, which is the one to be read from now on. */
static int queue_end(int fd, int queue, uint32_t *ret, struct ct_error *err)
{
	if (tcp_set_int(fd, TCP_REPAIR_QUEUE, queue) < 0)
		return error_errno(err, -errno, "TCP_REPAIR_QUEUE");
	if (tcp_get(fd, TCP_QUEUE_SEQ, ret, sizeof(*ret)) < 0)
		return error_errno(err, -errno, "TCP_QUEUE_SEQ");
	return 0;
}

int tcp_unsent(int fd, size_t *ret, struct ct_error *err)
{
	int n = 0;

	if (ioctl(fd, SIOCOUTQNSD, &n) < 0)
		return error_errno(err, -errno, "SIOCOUTQNSD");
	*ret = n < 0 ? 0 : (size_t)n;
	return 0;
}

/* Bytes of the send queue, our FIN included, that the peer has not acknowledged, and of these those not sent. */
static int unacknowledged(int fd, size_t *ret, size_t *ret_unsent, struct ct_error *err)
{
	int n = 0;

	if (ioctl(fd, SIOCOUTQ, &n) < 0)
		return error_errno(err, -errno, "SIOCOUTQ");
	*ret = n < 0 ? 0 : (size_t)n;
	return tcp_unsent(fd, ret_unsent, err);
}

/* Reads a whole queue; *ret_len may be more than `expected`. */
static int peek(int fd, size_t expected, void **ret, size_t *ret_len, struct ct_error *err)
{
	for (size_t size = expected + SEGMENT_MAX;; size *= 2) {
		cleanup_free char *data = malloc(size);
		ssize_t n;

		if (!data)
			return error_errno(err, -ENOMEM, "a queue of %zu bytes", expected);
		n = recv(fd, data, size, MSG_PEEK | MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN)
			n = 0;
		if (n < 0 && errno == EFAULT && size < (1u << 30))
			continue; /* the send queue is handed out in whole buffers of the kernel's */
		if (n < 0)
			return error_errno(err, -errno, "read its queue");
		if ((size_t)n == size && size < (1u << 30))
			continue;
		*ret_len = (size_t)n;
		*ret = take_ptr(data);
		return 0;
	}
}

/* One attempt: 1 where it moved meanwhile. */
static int read_sent(int fd, struct tcp_connection *c, struct ct_error *err)
{
	cleanup_free char *data = NULL;
	size_t before, after, unsent, unsent_after, n = 0, fin;
	uint32_t end = 0;
	int state, r = queue_end(fd, TCP_SEND_QUEUE, &end, err);

	if (r == 0)
		r = unacknowledged(fd, &before, &unsent, err);
	if (r == 0 && before)
		r = peek(fd, before, (void **)&data, &n, err);
	if (r == 0)
		r = unacknowledged(fd, &after, &unsent_after, err);
	state = tcp_state(fd);
	if (r < 0 || state < 0)
		return r < 0 ? r : error_errno(err, state, "TCP_INFO");
	fin = tcp_fin_sent(c->state) && c->state != TCP_STATE_FIN_WAIT_2 ? 1 : 0;
	if (before != after || unsent != unsent_after || unsent > before || state != (int)c->state || n + fin < before) {
		c->state = (enum tcp_state)state;
		return 1;
	}
	if (tcp_has_spare(fd, c->state) && before)
		before--;
	c->snd_una = end - (uint32_t)before;
	c->sent_len = before - fin;
	c->unsent = unsent;
	/* The first buffer may begin before the first byte that is wanted. */
	if (data)
		memmove(data, data + n - c->sent_len, c->sent_len);
	free(c->sent);
	c->sent = take_ptr(data);
	return 0;
}

int tcp_dump_send(int fd, struct tcp_connection *c, struct ct_error *err)
{
	struct tcp_info info = { 0 };
	int r = read_names(fd, c, err);

	if (r < 0)
		return r;
	if (tcp_get(fd, TCP_INFO, &info, sizeof(info)) < 0)
		return error_errno(err, -errno, "TCP_INFO");
	c->state = (enum tcp_state)info.tcpi_state;
	if (c->state == TCP_STATE_CLOSED)
		return 0;
	if (c->state == TCP_STATE_SYN_SENT) {
		r = queue_end(fd, TCP_SEND_QUEUE, &c->snd_una, err);
		c->snd_una--;
		return r;
	}
	r = read_agreed(fd, &info, c, err);
	for (int i = 0; r == 0 && i < TRIES; i++) {
		r = read_sent(fd, c, err);
		if (r <= 0)
			return r;
		r = 0;
	}
	return r < 0 ? r : error_set(err, -EAGAIN, "its send queue does not come to rest");
}

/* With SO_OOBINLINE as it is to be for one question. */
static int ask(int fd, int in_line, int (*question)(int fd, int *ret), int *ret)
{
	int was = 0, r;
	socklen_t len = sizeof(was);

	if (getsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &was, &len) < 0)
		return -errno;
	if (was != in_line && setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &in_line, sizeof(in_line)) < 0)
		return -errno;
	r = question(fd, ret);
	if (was != in_line && setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &was, sizeof(was)) < 0)
		return -errno;
	return r;
}

static int waiting(int fd, int *ret)
{
	return ioctl(fd, SIOCINQ, ret) < 0 ? -errno : 0;
}

/* The byte, or -1: none, or taken already. -EAGAIN: it has not arrived. */
static int urgent_byte(int fd, int *ret)
{
	unsigned char byte;
	ssize_t n = recv(fd, &byte, 1, MSG_OOB | MSG_PEEK | MSG_DONTWAIT);

	*ret = n == 1 ? byte : -1;
	return n < 0 && errno == EAGAIN ? -EAGAIN : 0;
}

const char tcp_hidden[] = "it has received bytes before and behind an urgent one, which can be read since Linux 6.9; "
			  "read as far as that one first";

static int set_peek_offset(int fd, int offset, struct ct_error *err)
{
	if (setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &offset, sizeof(offset)) == 0)
		return 0;
	if (errno == EOPNOTSUPP)
		return error_set(err, -EOPNOTSUPP, "%s", tcp_hidden);
	return error_errno(err, -errno, "SO_PEEK_OFF");
}

bool tcp_hides_behind_mark(void)
{
	cleanup_fd int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int offset;
	socklen_t len = sizeof(offset);

	return fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &offset, &len) < 0 && errno == EOPNOTSUPP;
}

/*
 * A read ends before the mark; the next one begins behind the urgent byte, or with it where it is in line. Appends the
 * rest of `all` bytes to the `n` in *data; 1: it moved meanwhile.
 */
static int read_behind_mark(int fd, int byte, size_t n, size_t all, char **data, struct ct_error *err)
{
	cleanup_free void *rest = NULL;
	size_t rest_len = 0;
	int in_line = 0, r = 0;
	socklen_t len = sizeof(in_line);
	char *grown;

	if (getsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &in_line, &len) < 0)
		return error_errno(err, -errno, "SO_OOBINLINE");
	/* The last one is known already. */
	in_line &= byte < 0 || all > n + 1;
	if (all > n + !in_line) {
		if (n)
			r = set_peek_offset(fd, (int)n, err);
		if (r == 0)
			r = peek(fd, all - n, &rest, &rest_len, err);
		if (n && r == 0)
			r = set_peek_offset(fd, -1, err);
	}
	if (r < 0)
		return r;
	if (n + !in_line + rest_len != all)
		return 1;
	grown = realloc(*data, all);
	if (!grown)
		return error_errno(err, -ENOMEM, "a queue of %zu bytes", all);
	*data = grown;
	if (!in_line)
		grown[n] = (char)(byte < 0 ? 0 : byte);
	if (rest_len)
		memcpy(grown + n + !in_line, rest, rest_len);
	return 0;
}

static int read_queue(int fd, struct tcp_connection *c, struct ct_error *err)
{
	cleanup_free char *data = NULL;
	int before_mark = 0, all = 0, at_mark = 0, byte = -1, r;
	size_t n = 0;

	/* Closed before all was known. */
	if (waiting(fd, &before_mark) < 0 || ioctl(fd, SIOCATMARK, &at_mark) < 0)
		before_mark = 0;
	if (before_mark || at_mark) {
		r = ask(fd, 1, waiting, &all);
		if (r < 0)
			return error_errno(err, r, "SIOCINQ");
	}
	r = ask(fd, 0, urgent_byte, &byte);
	/* Announced, and not here: its own segment announces it again. */
	if (r == -EAGAIN)
		r = at_mark = 0;
	if (r < 0)
		return error_errno(err, r, "SO_OOBINLINE");
	if (all && !at_mark)
		r = peek(fd, (size_t)all, (void **)&data, &n, err);
	c->urgent = at_mark || n < (size_t)all;
	c->urgent_read = c->urgent && byte < 0;
	c->urgent_at = n;
	if (r == 0 && c->urgent)
		r = read_behind_mark(fd, byte, n, (size_t)all, &data, err);
	if (r)
		return r;
	c->received_len = c->urgent ? (size_t)all : n;
	free(c->received);
	c->received = take_ptr(data);
	return 0;
}

/* One attempt, 1 where something arrived meanwhile: the state, the windows and the numbers are of one moment. */
static int read_received(int fd, struct tcp_connection *c, enum tcp_state *ret_state, struct ct_error *err)
{
	uint32_t before = 0;
	int state, r = queue_end(fd, TCP_RECV_QUEUE, &before, err);

	if (r == 0)
		r = read_queue(fd, c, err);
	if (r)
		return r;
	state = tcp_state(fd);
	if (state < 0)
		return error_errno(err, state, "TCP_INFO");
	if (state != TCP_STATE_CLOSED && tcp_get(fd, TCP_REPAIR_WINDOW, &c->window, sizeof(c->window)) < 0)
		return error_errno(err, -errno, "TCP_REPAIR_WINDOW");
	if (state != TCP_STATE_CLOSED && tcp_get(fd, TCP_TIMESTAMP, &c->timestamp, sizeof(c->timestamp)) < 0)
		return error_errno(err, -errno, "TCP_TIMESTAMP");
	*ret_state = (enum tcp_state)state;
	r = queue_end(fd, TCP_RECV_QUEUE, &c->rcv_nxt, err);
	return r ? r : before != c->rcv_nxt;
}

/* Of the two looks, the first knows what we have sent, the second what we have received. */
static int join_states(struct tcp_connection *c, enum tcp_state now, struct ct_error *err)
{
	bool sent = tcp_fin_sent(c->state), acknowledged = c->state == TCP_STATE_FIN_WAIT_2;
	bool received = tcp_fin_received(now);

	if (now == c->state)
		return 0;
	if ((acknowledged && received) || now == TCP_STATE_CLOSED || c->state == TCP_STATE_SYN_SENT)
		return error_set(err, -EAGAIN, "it changed while it was read");
	if (!sent)
		c->state = received ? TCP_STATE_CLOSE_WAIT : TCP_STATE_ESTABLISHED;
	else if (received && c->state == TCP_STATE_FIN_WAIT_1)
		c->state = TCP_STATE_CLOSING;
	return 0;
}

int tcp_dump_receive(int fd, struct tcp_connection *c, struct ct_error *err)
{
	enum tcp_state now = c->state;
	int r = 1;

	if (c->state == TCP_STATE_SYN_SENT)
		return tcp_state(fd) == TCP_STATE_SYN_SENT
			       ? 0
			       : error_set(err, -EAGAIN, "it changed while it was read");
	for (int i = 0; r == 1 && i < TRIES; i++)
		r = read_received(fd, c, &now, err);
	if (r == 1)
		return error_set(err, -EAGAIN, "its receive queue does not come to rest");
	if (r < 0)
		return r;
	/* Nothing can follow: no number means anything any more. */
	if (c->state == TCP_STATE_CLOSED) {
		c->rcv_nxt = 0;
		return 0;
	}
	return join_states(c, now, err);
}
