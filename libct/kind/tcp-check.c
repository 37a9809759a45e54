/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What sock_diag(7) knows about the TCP of a pod's network and no descriptor tells.
 *
 * Connections that no descriptor leads to: those that a program has closed and whose last bytes or whose end
 * the peer does not have yet, and those that are just being made. All of it is over in a moment, or refused. Nothing is
 * at stake where only the peer's end is waited for (FIN_WAIT_2 without a descriptor, TIME_WAIT): these are not
 * carried. A peer that ends such a connection later gets a reset, when it has everything; and a port is free
 * again at once, which it would have been within a minute.
 *
 * Keys by which segments are signed (TCP_MD5SIG): they are seen once a socket has a port.
 */
#include <netinet/in.h>

#include "libct/base/cleanup.h"
#include "libct/kind/tcp.h"
#include "netns/sockdiag.h"

static void check_keys(struct dump *d, const struct sockdiag_inet *s)
{
	struct fd_view v;

	if (s->signs && (dump_find_fd(d, s->ino, &kind_tcp, &v) || dump_find_fd(d, s->ino, &kind_tcp_connection, &v)))
		dump_refuse_fd(d, &v, "the keys by which a TCP socket signs its segments (TCP_MD5SIG) are not carried; "
				      "remove them before the checkpoint");
}

static bool is_orphan(const struct sockdiag_inet *s)
{
	return !s->ino && (s->state == TCP_STATE_SYN_RECEIVED ||
			   (tcp_fin_sent((enum tcp_state)s->state) && s->wqlen));
}

bool tcp_in_passing(const struct sockdiag_inet *s)
{
	return s->state == TCP_STATE_LISTENING ? s->rqlen : is_orphan(s);
}

static void check_orphan(struct dump *d, const struct sockdiag_inet *s)
{
	bool opening = s->state == TCP_STATE_SYN_RECEIVED;

	if (!is_orphan(s))
		return;
	dump_refuse(d, "a TCP connection (port %u to port %u of its peer) that %s is not carried; try again",
		    s->local_port, s->remote_port,
		    opening ? "is just being made" : "was closed while bytes are under way");
	dump_passing(d);
	d->n_at_door++;
}

int tcp_check_sockets(struct dump *d, struct ct_error *err)
{
	cleanup_free struct sockdiag_inet *list = NULL;
	size_t count = 0;
	int r = sockdiag_inet_all(d->netns, IPPROTO_TCP, &list, &count, err);

	for (size_t i = 0; r == 0 && i < count; i++) {
		check_keys(d, &list[i]);
		/* On the host's network it may be anybody's. */
		if (d->pod->config.net != CT_NET_HOST)
			check_orphan(d, &list[i]);
	}
	return r;
}
