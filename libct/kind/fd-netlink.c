/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Netlink sockets (man 7 netlink): protocol, port, groups, options. Messages that nobody has read yet are
 * refused, and so are protocols whose state in the kernel hangs on the socket (queues of
 * netfilter, IPsec) and groups of generic netlink, whose numbers are another boot's. Audit has no such
 * state here: the kernel lets nobody in a PID namespace become its daemon.
 */
#include <linux/netlink.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "libct/base/cleanup.h"
#include "libct/kind/sock.h"

#ifndef SOL_NETLINK
#define SOL_NETLINK 270
#endif

#define GROUPS_MAX 1024 /* bits; the largest family has some forty */

static const struct sock_option options[] = {
	{ "netlink_packet_info", SOL_NETLINK, NETLINK_PKTINFO },
	{ "netlink_broadcast_error", SOL_NETLINK, NETLINK_BROADCAST_ERROR },
	{ "netlink_no_overrun_error", SOL_NETLINK, NETLINK_NO_ENOBUFS },
	{ "netlink_all_namespaces", SOL_NETLINK, NETLINK_LISTEN_ALL_NSID },
	{ "netlink_cap_ack", SOL_NETLINK, NETLINK_CAP_ACK },
	{ "netlink_extended_ack", SOL_NETLINK, NETLINK_EXT_ACK },
	{ "netlink_strict_check", SOL_NETLINK, NETLINK_GET_STRICT_CHK },
};

#define N_OPTIONS (sizeof(options) / sizeof(options[0]))

static bool netlink_is(const struct dump *d, const struct fd_view *v)
{
	return sock_is(v, AF_NETLINK);
}

static bool protocol_carried(int protocol)
{
	switch (protocol) {
	case NETLINK_ROUTE:
	case NETLINK_USERSOCK:
	case NETLINK_SOCK_DIAG:
	case NETLINK_KOBJECT_UEVENT:
	case NETLINK_GENERIC:
	case NETLINK_AUDIT:
		return true;
	}
	return false;
}

static void dump_groups(struct dump *d, const struct fd_view *v, int protocol, struct node *n)
{
	uint32_t bits[GROUPS_MAX / 32] = { 0 };
	socklen_t len = sizeof(bits);
	struct node *groups = NULL;

	if (getsockopt(v->dup, SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, bits, &len) < 0)
		return;
	if (len > sizeof(bits)) {
		dump_refuse_fd(d, v, "a netlink socket with %u groups is not carried", len * 8);
		return;
	}
	for (uint32_t i = 0; i < len * 8; i++) {
		if (!(bits[i / 32] >> i % 32 & 1))
			continue;
		if (protocol == NETLINK_GENERIC) {
			dump_refuse_fd(d, v, "groups of a generic netlink socket are not carried; leave "
					     "them first");
			return;
		}
		if (!groups)
			groups = node_put_array(n, "groups");
		node_put_u64(groups, NULL, i + 1);
	}
}

static int netlink_dump(struct dump *d, const struct fd_view *v, struct node *n, struct ct_error *err)
{
	int protocol = sock_int(v->dup, SOL_SOCKET, SO_PROTOCOL, -1);
	struct pollfd events = { v->dup, 0, 0 };
	struct sockaddr_nl a = { 0 };
	socklen_t len = sizeof(a);

	if (!protocol_carried(protocol)) {
		dump_refuse_fd(d, v, "a netlink socket of protocol %d is not carried; close it first",
			       protocol);
		return 0;
	}
	sock_options_put(d, v->dup, options, N_OPTIONS, sock_put(d, v, n));
	poll(&events, 1, 0);
	if (events.revents & POLLERR) {
		dump_refuse_fd(d, v, "it has lost messages and nobody has read the error yet, which is not "
				     "carried; read it first");
		dump_passing(d);
	}
	if (sock_queued(v->dup)) {
		dump_refuse_fd(d, v, "netlink messages that nobody has read yet are not carried; read them first");
		dump_passing(d);
	}
	if (getsockname(v->dup, (struct sockaddr *)&a, &len) < 0)
		return error_errno(err, -errno, "getsockname");
	if (a.nl_pid)
		node_put_u64(n, "port", a.nl_pid);
	dump_groups(d, v, protocol, n);
	len = sizeof(a);
	if (getpeername(v->dup, (struct sockaddr *)&a, &len) == 0 && (a.nl_pid || a.nl_groups)) {
		node_put_u64(n, "peer_port", a.nl_pid);
		node_put_hex(n, "peer_groups", a.nl_groups);
	}
	return 0;
}

static int restore_groups(const struct node *n, int fd, struct ct_error *err)
{
	const struct node *groups;

	if (!node_has(n, "groups"))
		return 0;
	groups = node_array(n, "groups");
	for (size_t i = 0; i < node_count(groups); i++) {
		int group = (int)node_at_u64(groups, i, GROUPS_MAX);

		if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) < 0)
			return error_errno(err, -errno, "join netlink group %d", group);
	}
	return 0;
}

static int netlink_restore(struct restore *r, const struct node *n, uint32_t id, int *ret_fd,
			   struct ct_error *err)
{
	__cleanup(sock_limit_end) struct sock_limit limit = { 0 };
	struct sockaddr_nl a = { .nl_family = AF_NETLINK };
	int e;

	if (!protocol_carried((int)node_i64(n, "protocol", 0, 64)))
		node_complain(n, "a netlink socket of another protocol");
	e = doc_check(r->doc, err);
	if (e == 0)
		e = sock_make(n, AF_NETLINK, ret_fd, err);
	if (e == 0)
		e = sock_limit(r, &limit, err);
	if (e == 0)
		e = sock_options_get(*ret_fd, options, N_OPTIONS, node_object(n, "options"), err);
	if (e == 0)
		e = sock_get(n, *ret_fd, err);
	if (e == 0)
		e = sock_filter_get(r, n, *ret_fd, err);
	if (e < 0)
		return e;
	if (node_has(n, "port")) {
		a.nl_pid = (uint32_t)node_u64(n, "port", UINT32_MAX);
		if (bind(*ret_fd, (struct sockaddr *)&a, sizeof(a)) < 0)
			return error_errno(err, -errno, "bind to netlink port %u", a.nl_pid);
	}
	e = restore_groups(n, *ret_fd, err);
	if (e == 0 && node_has(n, "peer_port")) {
		a.nl_pid = (uint32_t)node_u64(n, "peer_port", UINT32_MAX);
		a.nl_groups = (uint32_t)node_hex(n, "peer_groups");
		if (connect(*ret_fd, (struct sockaddr *)&a, sizeof(a)) < 0)
			e = error_errno(err, -errno, "connect to netlink port %u", a.nl_pid);
	}
	return e;
}

const struct kind kind_netlink = {
	.name = "netlink",
	.carries = "netlink sockets of routes, sock_diag, uevents, audit and generic netlink: port, groups, options",
	.refuses = "messages that were not read, netlink of netfilter and IPsec",
	.victims = "netlink-route netlink-unread netlink-audit",
	.fd_is = netlink_is,
	.fd_dump = netlink_dump,
	.fd_restore = netlink_restore,
};
