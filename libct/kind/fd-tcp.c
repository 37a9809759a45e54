/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP sockets (man 7 tcp) without a connection: new, bound or listening, with the options that those have which
 * they will accept. Connections are another kind (fd-tcp-connection.c).
 *
 * Those that wait to be accepted have no descriptor either: tcp-held.c reads and makes them.
 */
#include <linux/tcp.h>
#include <sys/socket.h>

#include "libct/base/cleanup.h"
#include "libct/kind/tcp.h"

static bool tcp_is(const struct dump *d, const struct fd_view *v)
{
	return tcp_is_socket(v) && !tcp_is_connection(v->dup);
}

static void dump_listening(struct dump *d, const struct fd_view *v, const struct tcp_info *info,
			   struct node *n)
{
	struct sockaddr_storage local;
	char text[INET_TEXT] = "?";

	/* Of a listening socket these are the connections to be accepted, and how many there may be. */
	node_put_u64(n, "backlog", info->tcpi_sacked);
	if (!info->tcpi_unacked || d->pod->config.net != CT_NET_HOST)
		return;
	if (inet_local(v->dup, &local) == 0)
		inet_text(&local, text);
	dump_refuse_fd(d, v, "a TCP connection that waits to be accepted (at %s) is not carried from the host's own "
			     "network; accept it before the checkpoint", text);
	dump_passing(d);
}

static int tcp_dump(struct dump *d, const struct fd_view *v, struct node *n, struct ct_error *err)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);
	struct sockaddr_storage local;
	int r;

	if (getsockopt(v->dup, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
		return error_errno(err, -errno, "TCP_INFO");
	tcp_options_put(d, v, false, inet_put(d, v, n));
	r = inet_local(v->dup, &local);
	if (r < 0)
		return error_errno(err, r, "getsockname");
	if (!inet_any(&local))
		inet_address_put(d, v->dup, n, "local", &local);
	if (info.tcpi_state == TCP_STATE_LISTENING)
		dump_listening(d, v, &info, n);
	return 0;
}

static int tcp_restore_socket(struct restore *r, const struct node *n, uint32_t id, int *ret_fd,
			      struct ct_error *err)
{
	int e = inet_make(r, n, true, ret_fd, err);

	if (e == 0)
		e = tcp_options_get(r, n, false, *ret_fd, err);
	/* Who waits to be accepted inherits it. */
	if (e == 0)
		e = sock_filter_get(r, n, *ret_fd, err);
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
	.carries = "TCP sockets that are new, bound or listening, with their options and the connections that wait to be "
		   "accepted, also with an urgent byte or reset by the peer, or to be made (SYN_RECEIVED)",
	.refuses = "such connections on the host's own network, and, for longer than a moment, where the kernel cannot be "
		   "read by BPF or is older than Linux 6.10",
	.victims = "tcp-listen tcp-listen-own tcp-listen-shared tcp-bound tcp-waiting tcp-waiting-urgent "
		   "tcp-waiting-reset tcp-waiting-refused tcp-request",
	.fd_is = tcp_is,
	.fd_dump = tcp_dump,
	.fd_restore = tcp_restore_socket,
	.fd_restore_late = tcp_restore_late,
};
