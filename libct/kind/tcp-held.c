/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP connections of the pod's network that no descriptor leads to (netns/tcp-held.h): those that wait to be accepted, as
 * "waiting" of their listening socket, in its order; and orphans, which a program has closed: as "orphans" of the network those
 * that have bytes or their end to send, and go on sending, with their options (tcp-kept.c); as "passive" those that
 * only wait for the peer (FIN_WAIT_2, TIME_WAIT): the numbers, by which a late packet of the peer's is answered; their time begins anew.
 *
 * They are read from the kernel's memory between the sending and the receiving sides of the others
 * (fd-tcp-connection.c). Where a kernel does not let itself be read they are refused, for longer than a moment: servers accept
 * within milliseconds, and peers acknowledge; and so are those to be accepted where a kernel could not be led to make them
 * again (tcp_can_enqueue()). On the host's network it is unknown whose they are.
 *
 * sock_diag(7) also tells the keys by which segments are signed (TCP_MD5SIG): they are seen once a socket has a port.
 */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "libct/base/cleanup.h"
#include "libct/base/kernel.h"
#include "libct/kind/tcp.h"
#include "netns/net.h"
#include "netns/netlink.h"
#include "netns/sockdiag.h"
#include "netns/tcp-held.h"

#define WAITING                                                                                    \
	(1u << TCP_STATE_ESTABLISHED | 1u << TCP_STATE_CLOSE_WAIT | 1u << TCP_STATE_SYN_RECEIVED)
#define SENDING (1u << TCP_STATE_FIN_WAIT_1 | 1u << TCP_STATE_CLOSING | 1u << TCP_STATE_LAST_ACK)
#define PASSIVE (1u << TCP_STATE_FIN_WAIT_2 | 1u << TCP_STATE_TIME_WAIT)

struct held_registry {
	struct sockdiag_inet *sockets; /* all, for the listening ones */
	size_t n_sockets;
	struct tcp_held *list;
	size_t n;
	struct tcp_urgent *urgent;
	size_t n_urgent;
};

void held_registry_free(struct held_registry *h)
{
	if (!h)
		return;
	tcp_held_free(h->list, h->n);
	free(h->urgent);
	free(h->sockets);
	free(h);
}

static bool is_in(unsigned int states, enum tcp_state state)
{
	return states & 1u << state;
}

/* ---- dump ---- */

static void check_keys(struct dump *d, const struct sockdiag_inet *s)
{
	struct fd_view v;

	if (s->signs && (dump_find_fd(d, s->ino, &kind_tcp, &v) || dump_find_fd(d, s->ino, &kind_tcp_connection, &v)))
		dump_refuse_fd(d, &v, "the keys by which a TCP socket signs its segments (TCP_MD5SIG) are not carried; "
				      "remove them before the checkpoint");
}

/* Is there anything that only the kernel knows? A connection in state CLOSED is over. */
static bool is_held(const struct sockdiag_inet *s)
{
	return s->state == TCP_STATE_LISTENING ? s->rqlen : !s->ino && s->state != TCP_STATE_CLOSED;
}

/* What would be lost. Of those who wait to be accepted, their listening socket says so. */
static bool matters(const struct sockdiag_inet *s)
{
	return s->state == TCP_STATE_LISTENING || s->state == TCP_STATE_SYN_RECEIVED ||
	       (is_in(SENDING, (enum tcp_state)s->state) && s->wqlen);
}

static bool waits(const struct sockdiag_inet *s)
{
	return s->state == TCP_STATE_LISTENING || s->state == TCP_STATE_SYN_RECEIVED;
}

/* `what`: that cannot be done with it. */
static void refuse(struct dump *d, const struct sockdiag_inet *s, const char *what, const char *why)
{
	struct fd_view v;

	if (s->state != TCP_STATE_LISTENING)
		dump_refuse(d, "a TCP connection (port %u to port %u of its peer) that %s cannot be %s: %s; try again",
			    s->local_port, s->remote_port,
			    s->state == TCP_STATE_SYN_RECEIVED ? "is just being made"
							       : "was closed while bytes are under way",
			    what, why);
	else if (dump_find_fd(d, s->ino, &kind_tcp, &v))
		dump_refuse_fd(d, &v, "a TCP connection that waits to be accepted (at port %u) cannot be %s: %s; accept "
				      "it before the checkpoint", s->local_port, what, why);
	else
		dump_refuse(d, "a TCP connection that waits to be accepted (at port %u) cannot be %s: %s; try again",
			    s->local_port, what, why);
	dump_passing(d);
}

static void refuse_all(struct dump *d, const struct held_registry *h, bool (*which)(const struct sockdiag_inet *s),
		       const char *what, const char *why)
{
	for (size_t i = 0; i < h->n_sockets; i++)
		if (is_held(&h->sockets[i]) && which(&h->sockets[i]))
			refuse(d, &h->sockets[i], what, why);
}

/* An image of what this host could not make again would be of little use: its pod is over. */
static int check_waiting(struct dump *d, const struct held_registry *h, struct ct_error *err)
{
	struct ct_error words = { 0 };
	bool any = false;
	int r;

	for (size_t i = 0; i < h->n_sockets; i++)
		any |= is_held(&h->sockets[i]) && waits(&h->sockets[i]);
	r = any && !d->pod->can_enqueue ? tcp_can_enqueue(&words) : 0;
	/* Not to be tried again while the pod is stopped. */
	d->pod->can_enqueue |= any && r == 0;
	if (r == -EOPNOTSUPP)
		refuse_all(d, h, waits, "made again", words.text);
	else if (r < 0)
		return error_set(err, r, "%s", words.text);
	return 0;
}

struct look {
	struct kernel *kernel;
	struct held_registry *h;
	struct ct_error *err;
};

static int look(void *context)
{
	struct look *l = context;

	return tcp_held_all(l->kernel, &l->h->list, &l->h->n, l->err);
}

static int read_held(struct dump *d, struct held_registry *h, struct ct_error *err)
{
	struct look l = { .h = h, .err = err };
	int r = pod_kernel(d->pod, &l.kernel, err);

	return r < 0 ? r : netns_call(d->netns, look, &l);
}

/* ---- urgent bytes of those that have a descriptor ---- */

/*
 * Is there one that may have sent an urgent byte? In the look before the stop any may, by then: where the kernel has what is
 * to be known already.
 */
static bool may_be_urgent(const struct dump *d, const struct held_registry *h)
{
	struct fd_view v;

	if (d->n_orphans)
		return true;
	for (size_t i = 0; i < h->n_sockets; i++) {
		const struct sockdiag_inet *s = &h->sockets[i];

		if (s->state != TCP_STATE_LISTENING && s->ino && (s->wqlen || d->preflight) &&
		    dump_find_fd(d, s->ino, &kind_tcp_connection, &v))
			return true;
	}
	return false;
}

static int look_urgent(void *context)
{
	struct look *l = context;

	return tcp_urgent_all(l->kernel, &l->h->urgent, &l->h->n_urgent, l->err);
}

/* Where the kernel's memory cannot be read the byte arrives as an ordinary one. */
static int find_urgent(struct dump *d, struct held_registry *h, struct ct_error *err)
{
	struct ct_error words = { 0 };
	struct look l = { .h = h, .err = &words };
	int r;

	if (!may_be_urgent(d, h))
		return 0;
	r = pod_kernel(d->pod, &l.kernel, &words);
	if (r == 0)
		r = netns_call(d->netns, look_urgent, &l);
	if (r == -EOPNOTSUPP)
		return 0;
	return r < 0 ? error_set(err, r, "%s", words.text) : 0;
}

void tcp_held_urgent(const struct dump *d, int fd, struct tcp_connection *c)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);

	if (!d->held || !d->held->n_urgent || getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) < 0)
		return;
	for (size_t i = 0; i < d->held->n_urgent; i++) {
		const struct tcp_urgent *u = &d->held->urgent[i];

		if (u->cookie != cookie)
			continue;
		/* Acknowledged before we looked at it: what is left of it in the queue is dropped as received twice. */
		if (u->urgent && u->end - c->snd_una <= c->sent_len)
			c->sent_urgent = u->end - c->snd_una;
		c->soft_error = u->soft_error;
	}
}

/* What the second look at a connection would find out, when the pod is stopped. */
static void check_hidden(struct dump *d, const struct held_registry *h)
{
	struct fd_view v;

	if (!d->preflight || !h->n_urgent || !tcp_hides_behind_mark())
		return;
	for (size_t i = 0; i < h->n_urgent; i++)
		for (size_t k = 0; h->urgent[i].between && k < h->n_sockets; k++)
			if (h->sockets[k].cookie == h->urgent[i].cookie &&
			    dump_find_fd(d, h->sockets[k].ino, &kind_tcp_connection, &v)) {
				dump_refuse_fd(d, &v, "a TCP connection cannot be read: %s", tcp_hidden);
				dump_passing(d);
			}
}

int tcp_held_look(struct dump *d, struct ct_error *err)
{
	struct held_registry *h = d->held = calloc(1, sizeof(*h));
	struct ct_error words = { 0 };
	bool any = false;
	int r;

	if (!h)
		return error_errno(err, -ENOMEM, "connections");
	r = sockdiag_inet_all(d->netns, IPPROTO_TCP, &h->sockets, &h->n_sockets, err);
	for (size_t i = 0; r == 0 && i < h->n_sockets; i++) {
		check_keys(d, &h->sockets[i]);
		any |= is_held(&h->sockets[i]);
	}
	if (r == 0)
		r = find_urgent(d, h, err);
	if (r == 0)
		check_hidden(d, h);
	/* On the host's network they may be anybody's: fd-tcp.c. */
	if (r < 0 || !any || d->pod->config.net == CT_NET_HOST)
		return r;
	r = read_held(d, h, &words);
	if (r == -EOPNOTSUPP || (r == -EAGAIN && !d->preflight))
		refuse_all(d, h, matters, "read", words.text);
	else if (r < 0 && r != -EAGAIN)
		return error_set(err, r, "%s", words.text);
	else
		return check_waiting(d, h, err);
	return 0;
}

static bool same_ends(const struct tcp_connection *a, const struct tcp_connection *b)
{
	return !memcmp(&a->local, &b->local, sizeof(a->local)) && !memcmp(&a->remote, &b->remote, sizeof(a->remote));
}

/* What an orphan could still send to somebody in the pod while the receiving sides were read counts as sent. */
int tcp_held_settle(struct dump *d, struct ct_error *err)
{
	struct held_registry now = { 0 };
	bool any = false;
	int r;

	for (size_t i = 0; d->held && i < d->held->n; i++)
		any |= d->held->list[i].c.unsent;
	if (!any)
		return 0;
	r = read_held(d, &now, err);
	if (r < 0 && r != -EAGAIN)
		return r;
	for (size_t i = 0; i < d->held->n; i++) {
		struct tcp_connection *c = &d->held->list[i].c;
		size_t unsent = 0;

		for (size_t k = 0; k < now.n; k++)
			if (same_ends(&now.list[k].c, c))
				unsent = now.list[k].c.unsent;
		if (c->unsent > unsent)
			c->unsent = unsent;
	}
	tcp_held_free(now.list, now.n);
	return 0;
}

/* `fd`: any socket of the network. */
static struct node *put(struct dump *d, int fd, const struct tcp_connection *c, struct node *to)
{
	struct node *n = node_put_object(to, NULL), *send;

	node_put_i64(n, "family", c->local.ss_family);
	send = tcp_connection_put(d, fd, c, true, n);
	if (c->unsent)
		node_put_u64(send, "unsent", c->unsent);
	return n;
}

/* The node of a listening socket. */
static struct node *find_listener(struct dump *d, uint64_t cookie)
{
	const struct held_registry *h = d->held;
	struct fd_view v;

	for (size_t i = 0; i < h->n_sockets; i++)
		if (h->sockets[i].cookie == cookie && dump_find_fd(d, h->sockets[i].ino, &kind_tcp, &v))
			return dump_descriptor_node(d, v.id);
	return NULL;
}

/* All of one listening socket follow each other. */
static void put_waiting(struct dump *d, int fd)
{
	const struct held_registry *h = d->held;
	struct node *array = NULL;
	uint64_t at = 0;

	for (size_t i = 0; i < h->n; i++) {
		const struct tcp_held *held = &h->list[i];

		if (!held->listener)
			continue;
		if (!is_in(WAITING, held->c.state)) {
			dump_refuse(d, "a TCP connection that waits to be accepted and is %s already is not carried; try again",
				    tcp_state_name(held->c.state));
			dump_passing(d);
			continue;
		}
		if (held->listener != at) {
			struct node *n = find_listener(d, held->listener);

			at = held->listener;
			array = n ? node_put_array(n, "waiting") : NULL;
			if (!n) {
				dump_refuse(d, "a TCP connection waits to be accepted at a socket that nobody has; try again");
				dump_passing(d);
			}
		}
		if (array)
			put(d, fd, &held->c, array);
	}
}

/* Of a pod that is being restored the orphans to be have descriptors: ours. */
static int put_restored(struct dump *d, int fd, struct node *to, struct ct_error *err)
{
	struct tcp_connection c = { 0 };
	int r = tcp_dump_send(fd, &c, err);

	if (r == 0)
		r = tcp_dump_receive(fd, &c, err);
	tcp_held_urgent(d, fd, &c);
	if (r == 0)
		r = tcp_kept_put(d, fd, NULL, c.local.ss_family, put(d, fd, &c, to), err);
	tcp_connection_release(&c);
	return r;
}

static bool is_orphan(const struct tcp_held *held, unsigned int states)
{
	return !held->listener && is_in(states, held->c.state);
}

static size_t count_orphans(const struct held_registry *h, unsigned int states)
{
	size_t count = 0;

	for (size_t i = 0; i < h->n; i++)
		count += is_orphan(&h->list[i], states);
	return count;
}

static int put_orphans(struct dump *d, int fd, unsigned int states, struct node *array, struct ct_error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < d->held->n; i++) {
		const struct tcp_held *held = &d->held->list[i];
		struct node *n = is_orphan(held, states) ? put(d, fd, &held->c, array) : NULL;

		if (n && states == SENDING)
			r = tcp_kept_put(d, fd, &held->kept, held->c.local.ss_family, n, err);
	}
	return r;
}

int tcp_held_put(struct dump *d, struct node *n, struct ct_error *err)
{
	cleanup_fd int fd = -1;
	struct node *array;
	int r = 0;

	if (!d->held || (!d->held->n && !d->n_orphans))
		return 0;
	/* For the names of links. */
	fd = netns_socket(d->netns, AF_INET, SOCK_STREAM, 0);
	if (fd < 0)
		return error_errno(err, fd, "socket");
	put_waiting(d, fd);
	/* These are over by themselves within a minute. */
	if (count_orphans(d->held, PASSIVE))
		r = put_orphans(d, fd, PASSIVE, node_put_array(node_put_object(n, "volatile"), "passive"), err);
	if (!d->n_orphans && !count_orphans(d->held, SENDING))
		return r;
	array = node_put_array(n, "orphans");
	if (r == 0)
		r = put_orphans(d, fd, SENDING, array, err);
	for (size_t i = 0; r == 0 && i < d->n_orphans; i++)
		r = put_restored(d, d->orphans[i], array, err);
	return r;
}

/* ---- restore ---- */

/* With --tcp-close; and at another address nobody asks for what is passive. */
static bool is_given_up(const struct restore *r, const struct node *n)
{
	return tcp_leads_outside(n) && (r->options->tcp_close || r->moved);
}

int tcp_held_check(struct restore *r, struct ct_error *err)
{
	struct ct_error words = { 0 };
	bool any = false;
	int e;

	for (size_t i = 0; i < r->n_ofds; i++) {
		const struct node *n = restore_ofd_node(r, (uint32_t)i, r->root), *array;

		if (strcmp(node_str(n, "kind"), kind_tcp.name) || !node_has(n, "waiting"))
			continue;
		array = node_array(n, "waiting");
		for (size_t k = 0; k < node_count(array); k++)
			any |= !is_given_up(r, node_at(array, k));
	}
	e = doc_check(r->doc, err);
	if (e < 0 || !any)
		return e;
	e = tcp_can_enqueue(&words);
	return e < 0 ? error_set(err, e, "a TCP connection that waits to be accepted cannot be made again: %s", words.text)
		     : 0;
}

static int reuse_address(const struct node *n)
{
	const struct node *options = node_has(n, "options") ? node_object(n, "options") : NULL;

	return options && node_has(options, "reuse_address") ? (int)node_i64(options, "reuse_address", 0, 1) : 0;
}

static int restore_orphan(struct restore *r, const struct node *n, struct ct_error *err)
{
	cleanup_fd int fd = socket((int)node_i64(n, "family", AF_INET, AF_INET6), SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct tcp_connection c;
	int e;

	if (fd < 0)
		return error_errno(err, -errno, "socket");
	e = tcp_connection_get(r, n, fd, SENDING, &c, err);
	if (e == 0)
		e = tcp_kept_get(r, n, fd, err);
	if (e < 0 || is_given_up(r, n))
		return e;
	e = tcp_repair_on(fd, err);
	if (e == 0)
		e = tcp_bind_local(r, n, &c, fd, err);
	if (e == 0)
		e = tcp_restore(fd, &c, err);
	if (e == 0)
		e = tcp_reuse_address(fd, reuse_address(n), err);
	if (e == 0)
		r->orphans[r->n_orphans++] = take_fd(&fd);
	return e;
}

static int restore_orphans(struct restore *r, const struct node *array, struct ct_error *err)
{
	size_t count = node_count(array);
	int e = doc_check(r->doc, err);

	r->orphans = e < 0 ? NULL : calloc(count + 1, sizeof(*r->orphans));
	if (e == 0 && !r->orphans)
		return error_errno(err, -ENOMEM, "connections");
	for (size_t i = 0; e == 0 && i < count; i++) {
		e = restore_orphan(r, node_at(array, i), err);
		if (e < 0)
			return error_prefix(err, e, "orphans[%zu]", i);
	}
	return e;
}

static int restore_passive(struct restore *r, const struct node *array, struct ct_error *err)
{
	/* For the names of links. */
	cleanup_fd int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return error_errno(err, -errno, "socket");
	for (size_t i = 0; i < node_count(array); i++) {
		const struct node *n = node_at(array, i);
		struct tcp_connection c;
		int e = tcp_connection_get(r, n, fd, PASSIVE, &c, err);

		if (e == 0 && !is_given_up(r, n))
			e = tcp_restore_time_wait(&c, err);
		/* There is no way to the peer: nobody will ask. */
		if (e == -ENETUNREACH || e == -EHOSTUNREACH)
			continue;
		if (e < 0)
			return error_prefix(err, e, "passive[%zu]", i);
	}
	return doc_check(r->doc, err);
}

static int restore_waiting(struct restore *r, int listener, const struct node *array, struct ct_error *err)
{
	for (size_t i = 0; i < node_count(array); i++) {
		const struct node *n = node_at(array, i);
		struct tcp_connection c;
		struct sockaddr_storage own;
		int e = tcp_connection_get(r, n, listener, WAITING, &c, err);

		if (e == 0)
			e = inet_local(listener, &own);
		if (e == 0 && inet_port(&own) != inet_port(&c.local))
			node_complain(n, "a connection to port %u", ntohs(inet_port(&c.local)));
		if (e == 0)
			e = doc_check(r->doc, err);
		if (e == 0 && !is_given_up(r, n))
			e = tcp_enqueue(r->proc, listener, &c, err);
		if (e < 0)
			return error_prefix(err, e, "waiting[%zu]", i);
	}
	return doc_check(r->doc, err);
}

/* Of those in the pod both ends must be there: what answers for the one would tell the other that it is not. */
static int restore_held(struct restore *r, const struct node *n, struct ct_error *err)
{
	int e = node_has(n, "orphans") ? restore_orphans(r, node_array(n, "orphans"), err) : 0;

	if (e == 0 && node_has(n, "volatile"))
		e = restore_passive(r, node_array(node_object(n, "volatile"), "passive"), err);
	for (size_t i = 0; e == 0 && i < r->n_ofds; i++) {
		const struct node *of = restore_ofd_node(r, (uint32_t)i, r->root);

		if (strcmp(node_str(of, "kind"), kind_tcp.name) || !node_has(of, "waiting"))
			continue;
		e = restore_waiting(r, r->ofds[i], node_array(of, "waiting"), err);
		if (e < 0)
			return error_prefix(err, e, "descriptors[%zu] (%s)", i, kind_tcp.name);
	}
	return e;
}

static bool has_held(struct restore *r, const struct node *n)
{
	bool has = node_has(n, "orphans") || node_has(n, "volatile");

	for (size_t i = 0; !has && i < r->n_ofds; i++)
		has = node_has(restore_ofd_node(r, (uint32_t)i, r->root), "waiting");
	return has;
}

/*
 * What the kernel answers to the packets that lead each to where it was, the peer has had long ago; and one that has gone would answer
 * with a reset, which ends what waits for its time.
 */
int tcp_held_restore(struct restore *r, const struct node *n, struct ct_error *err)
{
	int e;

	if (r->pod->config.net != CT_NET_BRIDGE || !has_held(r, n))
		return restore_held(r, n, err);
	e = net_mute(true, err);
	if (e == 0)
		e = restore_held(r, n, err);
	return e < 0 ? e : net_mute(false, err);
}

static size_t count_outside(const struct node *array)
{
	size_t count = 0;

	for (size_t i = 0; i < node_count(array); i++)
		count += tcp_leads_outside(node_at(array, i));
	return count;
}

size_t tcp_held_count(struct restore *r)
{
	const struct node *net = node_object(node_object(r->root, "pod_state"), kind_net.name);
	size_t count = node_has(net, "orphans") ? count_outside(node_array(net, "orphans")) : 0;

	for (size_t i = 0; i < r->n_ofds; i++) {
		const struct node *n = restore_ofd_node(r, (uint32_t)i, r->root);

		if (!strcmp(node_str(n, "kind"), kind_tcp.name) && node_has(n, "waiting"))
			count += count_outside(node_array(n, "waiting"));
	}
	return count;
}

/* The peer of the old address knows nothing of the new one. */
static int tell_given_up(struct restore *r, const struct node *array, unsigned int states, int fd, struct ct_error *err)
{
	int e = 0;

	for (size_t i = 0; e == 0 && !r->moved && i < node_count(array); i++) {
		const struct node *n = node_at(array, i);
		struct tcp_connection c;

		e = tcp_connection_get(r, n, fd, states, &c, err);
		if (e == 0 && is_given_up(r, n))
			e = tcp_reset_peer(&c, err);
	}
	return e;
}

/* Nobody has them from now on: they go on by themselves. */
static int release_orphans(struct restore *r, const struct node *array, struct ct_error *err)
{
	size_t at = 0;

	for (size_t i = 0; at < r->n_orphans; i++) {
		const struct node *n = node_at(array, i);
		struct tcp_connection c;
		int e;

		if (is_given_up(r, n))
			continue;
		e = tcp_connection_get(r, n, r->orphans[at], SENDING, &c, err);
		if (e == 0)
			e = tcp_release(r->orphans[at], &c, reuse_address(n), err);
		if (e < 0)
			return error_prefix(err, e, "orphans[%zu]", i);
		fd_close(take_fd(&r->orphans[at++]));
	}
	return 0;
}

int tcp_held_release(struct restore *r, struct ct_error *err)
{
	const struct node *net = node_object(node_object(r->root, "pod_state"), kind_net.name);
	cleanup_fd int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int e = 0;

	if (fd < 0)
		return error_errno(err, -errno, "socket");
	if (node_has(net, "orphans")) {
		e = release_orphans(r, node_array(net, "orphans"), err);
		if (e == 0)
			e = tell_given_up(r, node_array(net, "orphans"), SENDING, fd, err);
	}
	for (size_t i = 0; e == 0 && i < r->n_ofds; i++) {
		const struct node *n = restore_ofd_node(r, (uint32_t)i, r->root);

		if (!strcmp(node_str(n, "kind"), kind_tcp.name) && node_has(n, "waiting"))
			e = tell_given_up(r, node_array(n, "waiting"), WAITING, fd, err);
	}
	return e;
}
