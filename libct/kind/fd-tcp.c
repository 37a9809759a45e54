/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP sockets (man 7 tcp) without a connection: new, bound or listening, with the options that those have which
 * they will accept. Connections, waiting or established or ending, are refused.
 *
 * What no descriptor leads to is not carried: connections in TIME_WAIT, and those of which only the
 * first packet has come, for which the peer's kernel asks again.
 */
#include <linux/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "libct/base/cleanup.h"
#include "libct/kind/inet.h"

#ifndef TCP_RTO_MAX_MS
#define TCP_RTO_MAX_MS 44
#endif

/* RFC 9293; <netinet/tcp.h> has the names, and everything else that <linux/tcp.h> has. */
enum {
	ESTABLISHED = 1, SYN_SENT, SYN_RECEIVED, FIN_WAIT_1, FIN_WAIT_2, TIME_WAIT, CLOSED, CLOSE_WAIT,
	LAST_ACK, LISTENING, CLOSING
};

static const struct sock_option options[] = {
	{ "tcp_no_delay", IPPROTO_TCP, TCP_NODELAY },
	{ "tcp_max_segment", IPPROTO_TCP, TCP_MAXSEG },
	{ "tcp_cork", IPPROTO_TCP, TCP_CORK },
	{ "tcp_keep_idle", IPPROTO_TCP, TCP_KEEPIDLE },
	{ "tcp_keep_interval", IPPROTO_TCP, TCP_KEEPINTVL },
	{ "tcp_keep_count", IPPROTO_TCP, TCP_KEEPCNT },
	{ "tcp_syn_count", IPPROTO_TCP, TCP_SYNCNT },
	{ "tcp_linger", IPPROTO_TCP, TCP_LINGER2 },
	{ "tcp_defer_accept", IPPROTO_TCP, TCP_DEFER_ACCEPT },
	{ "tcp_window_clamp", IPPROTO_TCP, TCP_WINDOW_CLAMP },
	{ "tcp_quick_ack", IPPROTO_TCP, TCP_QUICKACK },
	{ "tcp_thin_linear_timeouts", IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS },
	{ "tcp_thin_dupack", IPPROTO_TCP, TCP_THIN_DUPACK },
	{ "tcp_user_timeout", IPPROTO_TCP, TCP_USER_TIMEOUT },
	{ "tcp_fast_open", IPPROTO_TCP, TCP_FASTOPEN },
	{ "tcp_fast_open_connect", IPPROTO_TCP, TCP_FASTOPEN_CONNECT },
	{ "tcp_fast_open_no_cookie", IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE },
	{ "tcp_unsent_low", IPPROTO_TCP, TCP_NOTSENT_LOWAT },
	{ "tcp_save_syn", IPPROTO_TCP, TCP_SAVE_SYN },
	{ "tcp_inq", IPPROTO_TCP, TCP_INQ },
	{ "tcp_send_delay", IPPROTO_TCP, TCP_TX_DELAY },
	{ "tcp_rto_max", IPPROTO_TCP, TCP_RTO_MAX_MS },
	/* Of a socket without a connection it is what a program chose. */
	{ "incoming_cpu", SOL_SOCKET, SO_INCOMING_CPU },
};

#define N_OPTIONS (sizeof(options) / sizeof(options[0]))

static bool tcp_is(const struct dump *d, const struct fd_view *v)
{
	return inet_is(v) && sock_int(v->dup, SOL_SOCKET, SO_PROTOCOL, 0) == IPPROTO_TCP;
}

static void refuse_connection(struct dump *d, const struct fd_view *v, int state)
{
	static const char *const phrases[] = {
		[ESTABLISHED] = "an established TCP connection",
		[SYN_SENT] = "a TCP connection that is being opened",
		[SYN_RECEIVED] = "a TCP connection that is being opened",
		[FIN_WAIT_1] = "a half-closed TCP connection",
		[FIN_WAIT_2] = "a half-closed TCP connection",
		[CLOSE_WAIT] = "a half-closed TCP connection",
		[LAST_ACK] = "a TCP connection that is being closed",
		[CLOSING] = "a TCP connection that is being closed",
	};
	const char *what = state > 0 && state < (int)(sizeof(phrases) / sizeof(phrases[0])) ? phrases[state]
											    : NULL;
	char a[INET_TEXT] = "?", b[INET_TEXT] = "?";
	struct sockaddr_storage local, remote;

	if (inet_local(v->dup, &local) == 0)
		inet_text(&local, a);
	if (inet_remote(v->dup, &remote) < 0) {
		dump_refuse_fd(d, v, "a TCP connection that has ended (at %s) is not carried yet; close it "
				     "before the checkpoint", a);
		return;
	}
	dump_refuse_fd(d, v, "%s (%s to %s) is not carried yet; close it before the checkpoint",
		       what ? what : "a TCP connection", a, inet_text(&remote, b));
}

static void dump_listening(struct dump *d, const struct fd_view *v, const struct tcp_info *info,
			   struct node *n)
{
	struct sockaddr_storage local;
	char text[INET_TEXT] = "?";

	/* Of a listening socket these are the connections to be accepted, and how many there may be. */
	node_put_u64(n, "backlog", info->tcpi_sacked);
	if (!info->tcpi_unacked)
		return;
	if (inet_local(v->dup, &local) == 0)
		inet_text(&local, text);
	dump_refuse_fd(d, v, "a TCP connection that waits to be accepted (at %s) is not carried yet; accept and "
			     "close it before the checkpoint", text);
	dump_passing(d);
}

static int tcp_dump(struct dump *d, const struct fd_view *v, struct node *n, struct ct_error *err)
{
	struct pollfd events = { v->dup, POLLRDHUP, 0 };
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);
	struct sockaddr_storage local;
	char text[64] = "";
	struct node *to;
	int r;

	if (getsockopt(v->dup, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
		return error_errno(err, -errno, "TCP_INFO");
	/* A connection that is over is closed like a new socket, but can still tell of its end. */
	poll(&events, 1, 0);
	if (info.tcpi_state != LISTENING &&
	    (info.tcpi_state != CLOSED || events.revents & (POLLRDHUP | POLLERR))) {
		refuse_connection(d, v, info.tcpi_state);
		return 0;
	}
	to = inet_put(d, v, n);
	sock_options_put(v->dup, options, N_OPTIONS, to);
	len = sizeof(text) - 1;
	if (getsockopt(v->dup, IPPROTO_TCP, TCP_CONGESTION, text, &len) == 0)
		node_put_str(to, "tcp_congestion", text);
	memset(text, 0, sizeof(text));
	len = sizeof(text) - 1;
	if (getsockopt(v->dup, IPPROTO_TCP, TCP_ULP, text, &len) == 0 && len && text[0])
		dump_refuse_fd(d, v, "the upper layer protocol '%s' of a TCP socket is not carried; close it "
				     "before the checkpoint", text);
	r = inet_local(v->dup, &local);
	if (r < 0)
		return error_errno(err, r, "getsockname");
	if (!inet_any(&local))
		inet_address_put(d, v->dup, n, "local", &local);
	if (info.tcpi_state == LISTENING)
		dump_listening(d, v, &info, n);
	return 0;
}

static int tcp_restore(struct restore *r, const struct node *n, uint32_t id, int *ret_fd,
		       struct ct_error *err)
{
	__cleanup(sock_limit_end) struct sock_limit limit = { 0 };
	const struct node *from = node_object(n, "options");
	int e;

	if (node_i64(n, "protocol", 0, INT32_MAX) != IPPROTO_TCP)
		node_complain(n, "a TCP socket of another protocol");
	e = inet_make(r, n, ret_fd, err);
	if (e == 0)
		e = sock_limit(r, &limit, err);
	if (e == 0)
		e = sock_options_get(*ret_fd, options, N_OPTIONS, from, err);
	if (e == 0 && node_has(from, "tcp_congestion")) {
		const char *want = node_str(from, "tcp_congestion");
		char text[64] = "";
		socklen_t len = sizeof(text) - 1;

		if ((getsockopt(*ret_fd, IPPROTO_TCP, TCP_CONGESTION, text, &len) < 0 || strcmp(text, want)) &&
		    setsockopt(*ret_fd, IPPROTO_TCP, TCP_CONGESTION, want, (socklen_t)strlen(want)) < 0)
			e = error_errno(err, -errno, "set its congestion control to '%s'", want);
	}
	return e < 0 ? e : inet_bind(r, n, *ret_fd, err);
}

/* Once all are bound: several may share a port as long as none listens. */
static int tcp_restore_late(struct restore *r, const struct node *n, int fd, struct ct_error *err)
{
	static const struct sock_option forgotten[] = { { "tcp_quick_ack", IPPROTO_TCP, TCP_QUICKACK } };

	if (!node_has(n, "backlog"))
		return 0;
	if (listen(fd, (int)node_u64(n, "backlog", INT32_MAX)) < 0)
		return error_errno(err, -errno, "listen");
	/* What was set after listen(2) is lost when it is set before. */
	return sock_options_get(fd, forgotten, 1, node_object(n, "options"), err);
}

const struct kind kind_tcp = {
	.name = "tcp",
	.carries = "TCP sockets that are new, bound or listening, with their options",
	.refuses = "TCP connections: established, waiting to be accepted, half-closed",
	.victims = "tcp-listen tcp-listen-own tcp-listen-shared tcp-bound tcp-established",
	.fd_is = tcp_is,
	.fd_dump = tcp_dump,
	.fd_restore = tcp_restore,
	.fd_restore_late = tcp_restore_late,
};
