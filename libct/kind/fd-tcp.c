/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP sockets (man 7 tcp) without a connection: new, bound or listening, with the options that those have which
 * they will accept. Connections are another kind (fd-tcp-connection.c).
 *
 * A connection that waits to be accepted has no descriptor by which it could be read. Programs accept
 * within milliseconds, so the checkpoint looks again for a while before it refuses. Of one of which only the first
 * packet has come, the peer's kernel asks again.
 *
 * To accept it in the program's stead would be to take it away: no call puts a connection back into the queue, so a
 * checkpoint that fails or leaves the pod running could only hand it over by making it anew, from packets in the
 * peer's name, and would lose it if it were killed in between. Such packets would not do at a restore either: the kernel
 * chooses our first sequence number and the offset of our timestamps for those that it makes itself, while the peer goes by the
 * old ones.
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
	if (!info->tcpi_unacked)
		return;
	if (inet_local(v->dup, &local) == 0)
		inet_text(&local, text);
	dump_refuse_fd(d, v, "a TCP connection that waits to be accepted (at %s) is not carried; accept it "
			     "before the checkpoint", text);
	dump_passing(d);
	d->n_at_door++;
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
	.refuses = "TCP connections that wait to be accepted, for longer than a moment",
	.victims = "tcp-listen tcp-listen-own tcp-listen-shared tcp-bound tcp-waiting",
	.fd_is = tcp_is,
	.fd_dump = tcp_dump,
	.fd_restore = tcp_restore_socket,
	.fd_restore_late = tcp_restore_late,
};
