/* SPDX-License-Identifier: Apache-2.0 */
/* The options of man 7 tcp. */
#include <fcntl.h>
#include <linux/tcp.h>
#include <poll.h>
#include <string.h>

#include "libct/base/cleanup.h"
#include "libct/base/io.h"
#include "libct/kind/tcp.h"

#ifndef TCP_AO_INFO
#define TCP_AO_INFO 40
#endif
#ifndef SO_BUF_LOCK
#define SO_BUF_LOCK 72
#endif

static const struct sock_option options[] = {
	{ "tcp_no_delay", IPPROTO_TCP, TCP_NODELAY },
	{ "tcp_cork", IPPROTO_TCP, TCP_CORK },
	{ "tcp_keep_idle", IPPROTO_TCP, TCP_KEEPIDLE },
	{ "tcp_keep_interval", IPPROTO_TCP, TCP_KEEPINTVL },
	{ "tcp_keep_count", IPPROTO_TCP, TCP_KEEPCNT },
	{ "tcp_syn_count", IPPROTO_TCP, TCP_SYNCNT },
	{ "tcp_linger", IPPROTO_TCP, TCP_LINGER2 },
	{ "tcp_defer_accept", IPPROTO_TCP, TCP_DEFER_ACCEPT },
	{ "tcp_thin_linear_timeouts", IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS },
	{ "tcp_thin_dupack", IPPROTO_TCP, TCP_THIN_DUPACK },
	{ "tcp_user_timeout", IPPROTO_TCP, TCP_USER_TIMEOUT },
	{ "tcp_fast_open", IPPROTO_TCP, TCP_FASTOPEN },
	{ "tcp_fast_open_no_cookie", IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE },
	{ "tcp_unsent_low", IPPROTO_TCP, TCP_NOTSENT_LOWAT },
	{ "tcp_save_syn", IPPROTO_TCP, TCP_SAVE_SYN },
	{ "tcp_inq", IPPROTO_TCP, TCP_INQ },
	{ "tcp_send_delay", IPPROTO_TCP, TCP_TX_DELAY },
	{ "tcp_rto_max", IPPROTO_TCP, TCP_RTO_MAX_MS },
	{ "tcp_rto_min", IPPROTO_TCP, TCP_RTO_MIN_US },
	{ "tcp_delay_max", IPPROTO_TCP, TCP_DELACK_MAX_US },
};

#define N_OPTIONS (sizeof(options) / sizeof(options[0]))

/*
 * Of a socket without a connection these are what a program chose. A connection tells by them how it goes,
 * or has no use for them any more.
 */
static const struct sock_option unconnected[] = {
	{ "tcp_max_segment", IPPROTO_TCP, TCP_MAXSEG },
	{ "tcp_window_clamp", IPPROTO_TCP, TCP_WINDOW_CLAMP },
	{ "tcp_quick_ack", IPPROTO_TCP, TCP_QUICKACK },
	{ "tcp_fast_open_connect", IPPROTO_TCP, TCP_FASTOPEN_CONNECT },
	{ "incoming_cpu", SOL_SOCKET, SO_INCOMING_CPU },
};

#define N_UNCONNECTED (sizeof(unconnected) / sizeof(unconnected[0]))

bool tcp_is_socket(const struct fd_view *v)
{
	return inet_is(v) && sock_int(v->dup, SOL_SOCKET, SO_PROTOCOL, 0) == IPPROTO_TCP;
}

bool tcp_is_connection(int fd)
{
	struct pollfd events = { fd, POLLRDHUP, 0 };
	int state = tcp_state(fd);

	if (state != TCP_STATE_CLOSED)
		return state > 0 && state != TCP_STATE_LISTENING;
	/* One that is over is closed like a new socket, but can still tell of its end. */
	poll(&events, 1, 0);
	return events.revents & (POLLRDHUP | POLLERR);
}

static void read_text(int fd, int option, char text[64])
{
	socklen_t len = 63;

	memset(text, 0, 64);
	if (getsockopt(fd, IPPROTO_TCP, option, text, &len) < 0)
		text[0] = '\0';
}

/* Signing by TCP-AO (RFC 5925): ENOENT without. */
static bool has_ao(int fd)
{
	char info[64] = { 0 };
	socklen_t len = sizeof(info);

	return getsockopt(fd, IPPROTO_TCP, TCP_AO_INFO, info, &len) == 0;
}

void tcp_options_put(struct dump *d, const struct fd_view *v, bool connection, struct node *to)
{
	char text[64];

	if (has_ao(v->dup))
		dump_refuse_fd(d, v, "the keys by which a TCP socket signs its segments (TCP_AO) are not carried; "
				     "close it before the checkpoint");
	if (connection && sock_int(v->dup, SOL_SOCKET, SO_ZEROCOPY, 0))
		dump_refuse_fd(d, v, "how far a TCP connection has sent without copying (SO_ZEROCOPY) cannot be read; "
				     "switch it off before the checkpoint");

	sock_options_put(d, v->dup, options, N_OPTIONS, to);
	if (!connection)
		sock_options_put(d, v->dup, unconnected, N_UNCONNECTED, to);
	read_text(v->dup, TCP_CONGESTION, text);
	if (text[0])
		node_put_str(to, "tcp_congestion", text);
	read_text(v->dup, TCP_ULP, text);
	if (text[0])
		dump_refuse_fd(d, v, "the upper layer protocol '%s' of a TCP socket is not carried; close it "
				     "before the checkpoint", text);
}

int tcp_congestion_get(const struct node *from, int fd, struct ct_error *err)
{
	const char *want;
	char text[64];

	if (!node_has(from, "tcp_congestion"))
		return 0;
	want = node_str(from, "tcp_congestion");
	read_text(fd, TCP_CONGESTION, text);
	if (strcmp(text, want) &&
	    setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, want, (socklen_t)strlen(want)) < 0)
		return error_errno(err, -errno, "set its congestion control to '%s'", want);
	return 0;
}

int tcp_options_get(struct restore *r, const struct node *n, bool connection, int fd,
		    struct ct_error *err)
{
	__cleanup(sock_limit_end) struct sock_limit limit = { 0 };
	const struct node *from = node_object(n, "options");
	int e;

	if (node_i64(n, "protocol", 0, INT32_MAX) != IPPROTO_TCP)
		node_complain(n, "a TCP socket of another protocol");
	e = sock_limit(r, &limit, err);
	if (e == 0)
		e = sock_options_get(fd, options, N_OPTIONS, from, err);
	if (e == 0 && !connection)
		e = sock_options_get(fd, unconnected, N_UNCONNECTED, from, err);
	return e < 0 ? e : tcp_congestion_get(from, fd, err);
}

/* The last of three numbers. */
static int largest(int proc, const char *name)
{
	cleanup_free char *text = NULL;
	int max = 0;

	if (io_read_file(proc, name, 100, &text) < 0 || sscanf(text, "%*d %*d %d", &max) != 1)
		return 0;
	return max;
}

int tcp_buffers_get(struct restore *r, const struct node *n, int fd, struct ct_error *err)
{
	static const struct {
		const char *name, *largest;
		int number, bit;
	} buffers[] = {
		{ "send_buffer", "sys/net/ipv4/tcp_wmem", SO_SNDBUF, 1 },
		{ "receive_buffer", "sys/net/ipv4/tcp_rmem", SO_RCVBUF, 2 },
	};
	const struct node *from = node_object(n, "options");
	int lock = (int)node_i64(from, "buffer_lock", 0, 3);

	for (size_t i = 0; i < 2; i++) {
		__cleanup(sock_limit_end) struct sock_limit limit = { 0 };
		int want = (int)node_i64(from, buffers[i].name, 0, INT32_MAX), e = 0;

		if (lock & buffers[i].bit) {
			e = sock_limit(r, &limit, err);
		} else {
			int most = largest(r->proc, buffers[i].largest);

			want = want > most ? most : want;
		}
		if (e == 0)
			e = sock_set_buffer(fd, buffers[i].number, want, err);
		if (e < 0)
			return e;
	}
	if (setsockopt(fd, SOL_SOCKET, SO_BUF_LOCK, &lock, sizeof(lock)) < 0)
		return error_errno(err, -errno, "set the option 'buffer_lock'");
	return 0;
}
