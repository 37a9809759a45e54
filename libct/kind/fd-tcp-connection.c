/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP connections (man 7 tcp) in every state that a descriptor can have: netns/tcp.h says how one is read and made
 * again. Both ends may be in the pod, or one outside, which notices a pause.
 *
 * First the sending sides of all are read, then the receiving sides of all, and at last how much was not sent: on
 * the pod's loopback packets go on arriving while all processes are stopped. A socket is in repair mode for some microseconds only,
 * and the pod's monitor has a duplicate of it meanwhile, to switch it off should podckpt be killed. The pod's cgroup is frozen
 * until that is done: a task that is only traced would run on at once, and find a socket that neither sends nor receives.
 *
 * What begins anew in the restored connection: the congestion window, ECN. Where in the send queue an urgent byte is only the
 * kernel's memory tells; where that cannot be read it arrives as an ordinary one. Errors that wait to be told are read there too, and are
 * made as they were the first time (netns/tcp-end.c). What a message of ICMP in the error queue quotes is not carried.
 */
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "libct/base/cleanup.h"
#include "libct/kind/tcp.h"
#include "netns/netlink.h"
#include "netns/sockdiag.h"
#include "netns/tcp-held.h"

#define TRIES 10
/* What a descriptor can be in. */
#define STATES                                                                                     \
	(~(1u << TCP_STATE_LISTENING | 1u << TCP_STATE_TIME_WAIT | 1u << TCP_STATE_SYN_RECEIVED))

struct tcp_registry {
	struct tcp_half {
		uint32_t id; /* ascending */
		struct tcp_connection c;
		int fd; /* what it has not sent is looked at again; or -1 */
		struct node *send;
	} *list;
	size_t n, max;
};

static void tcp_half_release(struct tcp_half *half)
{
	tcp_connection_release(&half->c);
	fd_close(take_fd(&half->fd));
}

void tcp_registry_free(struct tcp_registry *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->n; i++)
		tcp_half_release(&t->list[i]);
	free(t->list);
	free(t);
}

static struct tcp_half *add_half(struct dump *d, uint32_t id)
{
	struct tcp_registry *t = d->tcp;

	if (!t)
		t = d->tcp = calloc(1, sizeof(*t));
	if (!t)
		return NULL;
	if (t->n == t->max) {
		struct tcp_half *grown = realloc(t->list, sizeof(*grown) * (t->max ? t->max * 2 : 64));

		if (!grown)
			return NULL;
		t->list = grown;
		t->max = t->max ? t->max * 2 : 64;
	}
	t->list[t->n] = (struct tcp_half){ .id = id, .fd = -1 };
	return &t->list[t->n++];
}

static int by_id(const void *a, const void *b)
{
	uint32_t x = ((const struct tcp_half *)a)->id, y = ((const struct tcp_half *)b)->id;

	return (x > y) - (x < y);
}

static struct tcp_half *find_half(struct dump *d, uint32_t id)
{
	struct tcp_half key = { .id = id };

	return d->tcp ? bsearch(&key, d->tcp->list, d->tcp->n, sizeof(key), by_id) : NULL;
}

static bool connection_is(const struct dump *d, const struct fd_view *v)
{
	return tcp_is_socket(v) && tcp_is_connection(v->dup);
}

/* ---- dump ---- */

/* Reads one half of the connection, in repair mode for as long as that takes. */
static int read_half(struct dump *d, const struct fd_view *v,
		     int (*read)(int, struct tcp_connection *, struct ct_error *),
		     struct tcp_connection *c, struct ct_error *err)
{
	int in_line = sock_int(v->dup, SOL_SOCKET, SO_OOBINLINE, 0);
	int reuse = sock_int(v->dup, SOL_SOCKET, SO_REUSEADDR, 0), offset, r, q;

	/* A restored one is in repair mode until it is let go. */
	if (tcp_repairing(v->dup))
		return read(v->dup, c, err);
	/* Of a pod that is being restored nothing is left if we are killed. */
	if (d->guard) {
		r = dump_freeze_again(d, err);
		if (r == 0)
			r = guard_socket(d->guard, v->dup, reuse, in_line, err);
		if (r < 0)
			return r;
	}
	r = tcp_repair_on(v->dup, err);
	if (r < 0)
		return r;
	offset = sock_int(v->dup, SOL_SOCKET, SO_PEEK_OFF, -1);
	if (offset >= 0)
		setsockopt(v->dup, SOL_SOCKET, SO_PEEK_OFF, &(int){ -1 }, sizeof(int));
	r = read(v->dup, c, err);
	if (offset >= 0)
		setsockopt(v->dup, SOL_SOCKET, SO_PEEK_OFF, &offset, sizeof(offset));
	q = tcp_repair_off(v->dup, reuse, false, r < 0 ? NULL : err);
	/* Not to be left so: a pod that goes on must find it as it was. */
	for (int i = 0; q < 0 && i < TRIES && tcp_repair_off(v->dup, reuse, false, NULL) < 0; i++)
		;
	return r < 0 ? r : q;
}

/* What changed while it was read is at rest at a later look. */
static int unsteady(struct dump *d, const struct fd_view *v, int r, const struct ct_error *err)
{
	if (r == -EOPNOTSUPP)
		dump_refuse_fd(d, v, "a TCP connection cannot be read: %s", err ? err->text : "");
	else if (r == -EAGAIN)
		dump_refuse_fd(d, v, "a TCP connection cannot be read: %s; try again", err ? err->text : "");
	else
		return r;
	dump_passing(d);
	return 0;
}

/* A connection that is being opened keeps the other end to itself, but for sock_diag(7). */
static int find_remote(struct dump *d, const struct fd_view *v, struct sockaddr_storage *ret,
		       uint32_t *ret_queued, struct ct_error *err)
{
	cleanup_free struct sockdiag_inet *list = NULL;
	size_t n = 0;
	int r = sockdiag_inet_all(d->netns, IPPROTO_TCP, &list, &n, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		struct sockaddr_in6 *six = (struct sockaddr_in6 *)ret;

		if (list[i].ino != (uint32_t)v->st.st_ino)
			continue;
		*ret = (struct sockaddr_storage){ .ss_family = (sa_family_t)list[i].family };
		six->sin6_port = htons(list[i].remote_port);
		if (list[i].family == AF_INET)
			memcpy(&((struct sockaddr_in *)ret)->sin_addr, list[i].remote, 4);
		else
			memcpy(&six->sin6_addr, list[i].remote, 16);
		if (list[i].family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&six->sin6_addr))
			six->sin6_scope_id = (uint32_t)list[i].ifindex;
		*ret_queued = list[i].wqlen;
		return 0;
	}
	return error_set(err, -EAGAIN, "it changed while it was read");
}

/* 1: refused. Fast open: the SYN has data, or waits for some; the queue of such a connection cannot be read or made. */
static int check_opening(struct dump *d, const struct fd_view *v, struct ct_error *err)
{
	struct pollfd events = { v->dup, POLLOUT, 0 };
	struct sockaddr_storage remote;
	uint32_t queued = 0;
	int r;

	poll(&events, 1, 0);
	/* It may be written to already: the SYN counts as one byte that is queued. */
	r = events.revents & POLLOUT ? 0 : find_remote(d, v, &remote, &queued, err);
	if (r < 0 || (!(events.revents & POLLOUT) && queued <= 1))
		return r;
	dump_refuse_fd(d, v, "a TCP connection that is opened with data in its first packet (fast open) is not "
			     "carried; try again");
	dump_passing(d);
	return 1;
}

static int refuse_error(struct dump *d, const struct fd_view *v, const struct sockaddr_storage *local,
			const struct tcp_pending *p)
{
	char text[INET_TEXT];

	if (p->foreign || p->reports > 1)
		dump_refuse_fd(d, v, "messages that nobody has read yet are in the error queue (MSG_ERRQUEUE) of a TCP connection "
				     "(at %s), which are not carried; read them first", inet_text(local, text));
	else
		dump_refuse_fd(d, v, "an error that nobody has read yet is pending on a TCP connection (at "
				     "%s), which is not carried; read it first", inet_text(local, text));
	dump_passing(d);
	return 1;
}

/*
 * Is there nothing to tell of one that is over? It was open once, or both ends had agreed on nothing, and it was not given up for
 * the peer's silence. Programs may have hundreds of these, and to read each costs a millisecond.
 */
static bool ended_well(int fd)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 && !info.tcpi_retransmits && !info.tcpi_probes &&
	       info.tcpi_options & (TCPI_OPT_TIMESTAMPS | TCPI_OPT_SACK | TCPI_OPT_WSCALE);
}

/*
 * 1: refused. What waits to be told, of a connection that nobody uses at the time for hours perhaps. To be asked before
 * SO_ERROR is, which would take it.
 */
static int dump_error(struct dump *d, const struct fd_view *v, struct node *n, struct ct_error *err)
{
	struct pollfd events = { v->dup, 0, 0 };
	const int state = tcp_state(v->dup);
	struct ct_error words = { 0 };
	struct tcp_connection c = { .state = (enum tcp_state)state };
	struct tcp_pending p = { 0 };
	struct kernel *kernel;
	int r;

	poll(&events, 1, 0);
	if (!(events.revents & POLLERR) && (state != TCP_STATE_CLOSED || ended_well(v->dup)))
		return 0;
	r = pod_kernel(d->pod, &kernel, &words);
	if (r == 0)
		r = tcp_pending(kernel, v->dup, &p, &words);
	if (r < 0 && r != -EOPNOTSUPP && r != -EAGAIN)
		return error_set(err, r, "%s", words.text);
	if (inet_local(v->dup, &c.local) < 0 || inet_remote(v->dup, &c.remote) < 0)
		c.remote = c.local;
	if (r < 0)
		return events.revents & POLLERR ? refuse_error(d, v, &c.local, &p) : 0;
	c.error = p.error;
	c.soft_error = state == TCP_STATE_CLOSED ? p.soft_error : 0;
	c.opening = state == TCP_STATE_CLOSED && p.opening;
	c.ended = state == TCP_STATE_CLOSED && p.ended && c.error != EPIPE && (c.error || c.soft_error);
	c.reported = p.reports;
	c.report = p.report;
	inet_to_family(c.local.ss_family, &c.report.from);
	if (p.foreign || p.reports > 1 || !tcp_can_restore_error(&c))
		return refuse_error(d, v, &c.local, &p);
	tcp_error_put(d, v->dup, &c, n);
	return 0;
}

static int connection_dump(struct dump *d, const struct fd_view *v, struct node *n,
			   struct ct_error *err)
{
	struct tcp_connection *c;
	struct tcp_half *half;
	uint32_t queued;
	int r;

	/* TCP_REPAIR and SO_ERROR would change what these say. */
	tcp_options_put(d, v, true, inet_put(d, v, n));
	r = dump_error(d, v, n, err);
	if (r)
		return r > 0 ? 0 : r;
	if (tcp_state(v->dup) == TCP_STATE_SYN_RECEIVED) {
		dump_refuse_fd(d, v, "a TCP connection that both ends open at once, or with data in the first packet, "
				     "is not carried; try again");
		dump_passing(d);
		return 0;
	}
	r = tcp_state(v->dup) == TCP_STATE_SYN_SENT ? check_opening(d, v, err) : 0;
	if (r)
		return r > 0 ? 0 : unsteady(d, v, r, err);
	if (d->preflight)
		return 0;
	half = add_half(d, v->id);
	if (!half)
		return error_errno(err, -ENOMEM, "connections");
	c = &half->c;
	r = read_half(d, v, tcp_dump_send, c, err);
	if (r == 0 && c->state == TCP_STATE_SYN_SENT)
		r = find_remote(d, v, &c->remote, &queued, err);
	return unsteady(d, v, r, err);
}

static int connection_link(struct dump *d, const struct fd_view *v, struct node *n,
			   struct ct_error *err)
{
	struct tcp_half *half = find_half(d, v->id);
	struct pollfd events = { v->dup, POLLRDHUP, 0 };
	struct tcp_connection *c;
	int r;

	/* Refused. */
	if (!half)
		return 0;
	c = &half->c;
	r = read_half(d, v, tcp_dump_receive, c, err);
	if (r < 0)
		return unsteady(d, v, r, err);
	tcp_held_urgent(d, v->dup, c);
	half->send = tcp_connection_put(d, v->dup, c, false, n);
	poll(&events, 1, 0);
	/* Shut down by the program, not by a FIN. */
	if (events.revents & POLLRDHUP && !tcp_fin_received(c->state) && c->state != TCP_STATE_CLOSED)
		node_put_bool(n, "shutdown_receive", true);
	if (half->send && c->unsent)
		half->fd = fcntl(v->dup, F_DUPFD_CLOEXEC, 0);
	if (c->state != TCP_STATE_SYN_SENT && c->state != TCP_STATE_CLOSED)
		node_put_i64(n, "window_clamp", sock_int(v->dup, IPPROTO_TCP, TCP_WINDOW_CLAMP, 0));
	/* Thousands of them may be large: the manifest has a copy. */
	tcp_connection_release(c);
	return 0;
}

/*
 * On the pod's loopback bytes go on being sent until all sides are read: what somebody has received counts as sent. Where
 * there is no descriptor left for that, everything does.
 */
int tcp_dump_unsent(struct dump *d, struct ct_error *err)
{
	for (size_t i = 0; d->tcp && i < d->tcp->n; i++) {
		struct tcp_half *half = &d->tcp->list[i];
		size_t unsent = 0;
		int r;

		if (half->fd < 0)
			continue;
		r = tcp_unsent(half->fd, &unsent, err);
		if (r < 0)
			return r;
		if (unsent > half->c.unsent)
			unsent = half->c.unsent;
		if (unsent)
			node_put_u64(half->send, "unsent", unsent);
		fd_close(take_fd(&half->fd));
	}
	return 0;
}

/* ---- restore ---- */

static int connection_restore(struct restore *r, const struct node *n, uint32_t id, int *ret_fd,
			      struct ct_error *err)
{
	int e = inet_make(r, n, false, ret_fd, err);

	return e < 0 ? e : tcp_options_get(r, n, true, *ret_fd, err);
}

int tcp_bind_local(struct restore *r, const struct node *n, struct tcp_connection *c, int fd, struct ct_error *err)
{
	__cleanup(sock_limit_end) struct sock_limit limit = { 0 };
	char text[INET_TEXT];
	int e = sock_limit(r, &limit, err);

	if (e < 0)
		return e;
	/* Given up, at a link-local address that went with the Ethernet address: any will do. */
	if (r->moved && c->local.ss_family == AF_INET6 && !inet_ipv4(&c->local) && tcp_leads_outside(n) &&
	    !node_has(node_object(n, "local"), "own6"))
		((struct sockaddr_in6 *)&c->local)->sin6_addr = in6addr_any;
	if (bind(fd, (const struct sockaddr *)&c->local,
		 c->local.ss_family == AF_INET ? sizeof(struct sockaddr_in)
					       : sizeof(struct sockaddr_in6)) < 0)
		return error_errno(err, -errno, "bind to %s", inet_text(&c->local, text));
	return 0;
}

/* After the listening sockets: several of these may have the port of one that could not be bound behind them. */
static int connection_restore_late(struct restore *r, const struct node *n, int fd,
				   struct ct_error *err)
{
	int reuse = (int)node_i64(node_object(n, "options"), "reuse_address", 0, 1);
	struct tcp_connection c;
	int e = tcp_connection_get(r, n, fd, STATES, &c, err);

	c.filtered = node_has(node_object(n, "options"), "filter");
	if (e == 0)
		e = tcp_repair_on(fd, err);
	if (e == 0)
		e = tcp_bind_local(r, n, &c, fd, err);
	if (e == 0)
		e = tcp_restore(fd, &c, err);
	if (e == 0)
		e = tcp_buffers_get(r, n, fd, err);
	if (e < 0)
		return e;
	if (node_has(n, "window_clamp")) {
		int clamp = (int)node_i64(n, "window_clamp", 0, INT32_MAX);

		if (setsockopt(fd, IPPROTO_TCP, TCP_WINDOW_CLAMP, &clamp, sizeof(clamp)) < 0)
			return error_errno(err, -errno, "TCP_WINDOW_CLAMP");
	}
	if (node_has(n, "shutdown_receive") && node_bool(n, "shutdown_receive") &&
	    shutdown(fd, SHUT_RD) < 0)
		return error_errno(err, -errno, "shutdown");
	e = sock_filter_get(r, n, fd, err);
	return e < 0 ? e : tcp_reuse_address(fd, reuse, err);
}

int tcp_check_address(struct restore *r, struct ct_error *err)
{
	size_t count = tcp_held_count(r);

	for (size_t i = 0; i < r->n_ofds; i++) {
		const struct node *n = restore_ofd_node(r, (uint32_t)i, r->root);

		if (!strcmp(node_str(n, "kind"), kind_tcp_connection.name) && tcp_leads_outside(n))
			count++;
	}
	if (!count || !r->moved || r->options->tcp_close)
		return doc_check(r->doc, err);
	return error_set(err, -EINVAL,
			 "the pod has %zu TCP connection%s that cannot go on at another address; restore it "
			 "without --ip, --ip6 and --mac, or give %s up with --tcp-close",
			 count, count > 1 ? "s" : "", count > 1 ? "them" : "it");
}

static int release(struct restore *r, const struct node *n, int fd, struct ct_error *err)
{
	int reuse = (int)node_i64(node_object(n, "options"), "reuse_address", 0, 1);
	struct tcp_connection c;
	int e;

	e = tcp_connection_get(r, n, fd, STATES, &c, err);
	if (e == 0)
		e = inet_local(fd, &c.local);
	if (e < 0)
		return e;
	if (!r->options->tcp_close || !tcp_leads_outside(n))
		return tcp_release(fd, &c, reuse, err);
	/* The peer of the old address knows nothing of the new one. */
	return tcp_abort(fd, &c, reuse, !r->moved, err);
}

struct release {
	struct restore *r;
	struct ct_error *err;
};

static int release_all(void *context)
{
	struct restore *r = ((struct release *)context)->r;
	struct ct_error *err = ((struct release *)context)->err;

	for (size_t i = 0; i < r->n_ofds; i++) {
		const struct node *n = restore_ofd_node(r, (uint32_t)i, r->root);
		int e;

		if (strcmp(node_str(n, "kind"), kind_tcp_connection.name))
			continue;
		e = release(r, n, r->ofds[i], err);
		if (e < 0)
			return error_prefix(err, e, "descriptors[%zu] (%s)", i, kind_tcp_connection.name);
	}
	return tcp_held_release(r, err);
}

/* In the pod's network: a reset is sent there. */
int tcp_release_all(struct restore *r, struct ct_error *err)
{
	struct release call = { r, err };
	cleanup_fd int netns = proc_open(r->proc, r->pod->state.pid1, "ns/net", O_RDONLY);

	if (netns < 0)
		return error_errno(err, netns, "open the pod's network namespace");
	return netns_call(netns, release_all, &call);
}

const struct kind kind_tcp_connection = {
	.name = "tcp_connection",
	.carries = "TCP connections in every state, both ends in the pod or one outside: what was not sent, not "
		   "acknowledged, not read; urgent bytes; windows, options; errors that wait to be read. Where the kernel's memory cannot be read, an "
		   "urgent byte that the peer has not acknowledged arrives as an ordinary one",
	.refuses = "errors that wait to be read where the kernel's memory cannot be read, and that of a connection that was ended by "
		   "`ss -K` (ECONNABORTED); several messages in the error queue (MSG_ERRQUEUE); data in the first packet (fast open); signed segments (TCP_MD5SIG, "
		   "TCP_AO); sends without copying (SO_ZEROCOPY); before Linux 6.9 received bytes on both sides of an urgent one; "
		   "kernel TLS and other upper layer protocols",
	.victims = "tcp-established tcp-queues tcp-unsent tcp-half-closed tcp-opening tcp-options tcp-shared-port "
		   "tcp-urgent tcp-urgent-hidden tcp-urgent-far tcp-error tcp-error-silence tcp-error-opening tcp-error-live "
		   "tcp-error-other tcp-terminal tcp-fast-open tcp-signed tcp-zero-copy tcp-filter sock-filter-queue",
	.fd_is = connection_is,
	.fd_dump = connection_dump,
	.fd_link = connection_link,
	.fd_restore = connection_restore,
	.fd_restore_late = connection_restore_late,
};
