/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP and UDP sockets over IPv4 and IPv6 that are not in the middle of a conversation: fresh, bound
 * or listening; UDP connected too (man 7 tcp, udp, ip, ipv6). The state of a TCP socket is that of
 * TCP_INFO. TIME_WAIT belongs to no descriptor: it ends with the pod.
 *
 * Connections, those that wait to be accepted, and datagrams that wait to be read are refused.
 */
#include <arpa/inet.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "libct/base/cleanup.h"
#include "libct/kind/sock.h"

/* enum of include/net/tcp_states.h, which is part of what TCP_INFO gives. */
enum { STATE_ESTABLISHED = 1, STATE_CLOSE = 7, STATE_LISTEN = 10 };

static const char *const state_names[] = {
	"?", "an established", "a connecting (SYN_SENT)", "a connecting (SYN_RECV)",
	"a closing (FIN_WAIT1)", "a closing (FIN_WAIT2)", "a closing (TIME_WAIT)", "a closed",
	"a half-closed (CLOSE_WAIT)", "a closing (LAST_ACK)", "a listening", "a closing (CLOSING)",
	"a connecting (NEW_SYN_RECV)",
};

static const struct sock_option tcp_options[] = {
	{ "tcp_nodelay", IPPROTO_TCP, TCP_NODELAY },
	{ "tcp_cork", IPPROTO_TCP, TCP_CORK },
	{ "tcp_maxseg", IPPROTO_TCP, TCP_MAXSEG },
	{ "tcp_keepidle", IPPROTO_TCP, TCP_KEEPIDLE },
	{ "tcp_keepintvl", IPPROTO_TCP, TCP_KEEPINTVL },
	{ "tcp_keepcnt", IPPROTO_TCP, TCP_KEEPCNT },
	{ "tcp_syncnt", IPPROTO_TCP, TCP_SYNCNT },
	{ "tcp_linger2", IPPROTO_TCP, TCP_LINGER2 },
	{ "tcp_defer_accept", IPPROTO_TCP, TCP_DEFER_ACCEPT },
	{ "tcp_window_clamp", IPPROTO_TCP, TCP_WINDOW_CLAMP },
	{ "tcp_user_timeout", IPPROTO_TCP, TCP_USER_TIMEOUT },
	{ "tcp_notsent_lowat", IPPROTO_TCP, TCP_NOTSENT_LOWAT },
	{ "tcp_save_syn", IPPROTO_TCP, TCP_SAVE_SYN },
	{ "tcp_fastopen_connect", IPPROTO_TCP, TCP_FASTOPEN_CONNECT },
	{ "tcp_fastopen_no_cookie", IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE },
	{ "tcp_inq", IPPROTO_TCP, TCP_INQ },
	{ "tcp_thin_linear_timeouts", IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS },
};

static const struct sock_option udp_options[] = {
	{ "udp_cork", IPPROTO_UDP, UDP_CORK },
	{ "udp_segment", IPPROTO_UDP, UDP_SEGMENT },
	{ "udp_gro", IPPROTO_UDP, UDP_GRO },
	{ "udp_no_check6_tx", IPPROTO_UDP, UDP_NO_CHECK6_TX },
	{ "udp_no_check6_rx", IPPROTO_UDP, UDP_NO_CHECK6_RX },
};

/* IPv6 sockets have these too: they may speak IPv4. */
static const struct sock_option ip_options[] = {
	{ "ip_tos", IPPROTO_IP, IP_TOS },
	{ "ip_ttl", IPPROTO_IP, IP_TTL },
	{ "ip_minttl", IPPROTO_IP, IP_MINTTL },
	{ "ip_freebind", IPPROTO_IP, IP_FREEBIND },
	{ "ip_transparent", IPPROTO_IP, IP_TRANSPARENT },
	{ "ip_bind_address_no_port", IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT },
	{ "ip_mtu_discover", IPPROTO_IP, IP_MTU_DISCOVER },
	{ "ip_pktinfo", IPPROTO_IP, IP_PKTINFO },
	{ "ip_recvtos", IPPROTO_IP, IP_RECVTOS },
	{ "ip_recvttl", IPPROTO_IP, IP_RECVTTL },
	{ "ip_recverr", IPPROTO_IP, IP_RECVERR },
	{ "ip_recvorigdstaddr", IPPROTO_IP, IP_RECVORIGDSTADDR },
	{ "ip_multicast_ttl", IPPROTO_IP, IP_MULTICAST_TTL },
	{ "ip_multicast_loop", IPPROTO_IP, IP_MULTICAST_LOOP },
	{ "ip_multicast_all", IPPROTO_IP, IP_MULTICAST_ALL },
};

static const struct sock_option ipv6_options[] = {
	{ "ipv6_v6only", IPPROTO_IPV6, IPV6_V6ONLY },
	{ "ipv6_unicast_hops", IPPROTO_IPV6, IPV6_UNICAST_HOPS },
	{ "ipv6_multicast_hops", IPPROTO_IPV6, IPV6_MULTICAST_HOPS },
	{ "ipv6_multicast_loop", IPPROTO_IPV6, IPV6_MULTICAST_LOOP },
	{ "ipv6_mtu_discover", IPPROTO_IPV6, IPV6_MTU_DISCOVER },
	{ "ipv6_tclass", IPPROTO_IPV6, IPV6_TCLASS },
	{ "ipv6_dontfrag", IPPROTO_IPV6, IPV6_DONTFRAG },
	{ "ipv6_recvpktinfo", IPPROTO_IPV6, IPV6_RECVPKTINFO },
	{ "ipv6_recvhoplimit", IPPROTO_IPV6, IPV6_RECVHOPLIMIT },
	{ "ipv6_recvtclass", IPPROTO_IPV6, IPV6_RECVTCLASS },
	{ "ipv6_recverr", IPPROTO_IPV6, IPV6_RECVERR },
	{ "ipv6_freebind", IPPROTO_IPV6, IPV6_FREEBIND },
	{ "ipv6_transparent", IPPROTO_IPV6, IPV6_TRANSPARENT },
};

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static bool inet_is(const struct dump *d, const struct fd_view *v)
{
	int type, protocol;

	if (!sock_is(v, AF_INET) && !sock_is(v, AF_INET6))
		return false;
	type = sock_int(v->dup, SOL_SOCKET, SO_TYPE, -1);
	protocol = sock_int(v->dup, SOL_SOCKET, SO_PROTOCOL, -1);
	return (type == SOCK_STREAM && protocol == IPPROTO_TCP) ||
	       (type == SOCK_DGRAM && protocol == IPPROTO_UDP);
}

static uint16_t port_of(const union address *a)
{
	return ntohs(a->any.sa_family == AF_INET6 ? a->v6.sin6_port : a->v4.sin_port);
}

/* "10.88.0.2:6379", "[::1]:80" */
static const char *show(const union address *a, char text[80])
{
	char ip[INET6_ADDRSTRLEN] = "?";

	if (a->any.sa_family == AF_INET6) {
		inet_ntop(AF_INET6, &a->v6.sin6_addr, ip, sizeof(ip));
		snprintf(text, 80, "[%s]:%u", ip, port_of(a));
	} else {
		inet_ntop(AF_INET, &a->v4.sin_addr, ip, sizeof(ip));
		snprintf(text, 80, "%s:%u", ip, port_of(a));
	}
	return text;
}

static void put_address(struct node *n, const char *key, const union address *a)
{
	struct node *to = node_put_object(n, key);
	char ip[INET6_ADDRSTRLEN] = "?";

	if (a->any.sa_family == AF_INET6) {
		inet_ntop(AF_INET6, &a->v6.sin6_addr, ip, sizeof(ip));
		node_put_u64(to, "flow", ntohl(a->v6.sin6_flowinfo));
		node_put_u64(to, "scope", a->v6.sin6_scope_id);
	} else {
		inet_ntop(AF_INET, &a->v4.sin_addr, ip, sizeof(ip));
	}
	node_put_str(to, "ip", ip);
	node_put_u64(to, "port", port_of(a));
}

static socklen_t get_address(const struct node *n, const char *key, int family, union address *ret)
{
	const struct node *from = node_object(n, key);
	const char *ip = node_str(from, "ip");
	uint16_t port = htons((uint16_t)node_u64(from, "port", 65535));

	memset(ret, 0, sizeof(*ret));
	ret->any.sa_family = (sa_family_t)family;
	if (inet_pton(family, ip, family == AF_INET6 ? (void *)&ret->v6.sin6_addr
						     : (void *)&ret->v4.sin_addr) != 1)
		node_complain(from, "'%s' is not an address", ip);
	if (family == AF_INET) {
		ret->v4.sin_port = port;
		return sizeof(ret->v4);
	}
	ret->v6.sin6_port = port;
	ret->v6.sin6_flowinfo = htonl((uint32_t)node_u64(from, "flow", UINT32_MAX));
	ret->v6.sin6_scope_id = (uint32_t)node_u64(from, "scope", UINT32_MAX);
	return sizeof(ret->v6);
}

static void dump_tcp(struct dump *d, const struct fd_view *v, const union address *local,
		     struct node *n)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);
	union address peer = { 0 };
	char here[80], there[80];

	getsockopt(v->dup, IPPROTO_TCP, TCP_INFO, &info, &len);
	if (info.tcpi_state == STATE_LISTEN) {
		/* Of a listening socket these two are the queue's length and its limit (man 7 tcp). */
		node_put_u64(n, "backlog", info.tcpi_sacked);
		if (info.tcpi_unacked)
			dump_refuse_fd(d, v,
				       "%u TCP connections to %s wait to be accepted, which are not carried "
				       "yet; let the program accept them before the checkpoint",
				       info.tcpi_unacked, show(local, here));
		return;
	}
	if (info.tcpi_state == STATE_CLOSE)
		return;
	len = sizeof(peer);
	getpeername(v->dup, &peer.any, &len);
	dump_refuse_fd(d, v,
		       "%s TCP connection (%s to %s) is not carried yet; close it before the checkpoint",
		       info.tcpi_state < COUNT(state_names) ? state_names[info.tcpi_state] : "a",
		       show(local, here), show(&peer, there));
}

static void dump_udp(struct dump *d, const struct fd_view *v, const union address *local,
		     struct node *n)
{
	union address peer = { 0 };
	socklen_t len = sizeof(peer);
	char here[80];

	if (getpeername(v->dup, &peer.any, &len) == 0)
		put_address(n, "peer", &peer);
	if (sock_queued(v->dup))
		dump_refuse_fd(d, v,
			       "datagrams to %s wait to be read, which are not carried yet; let the "
			       "program read them before the checkpoint",
			       show(local, here));
}

static int inet_dump(struct dump *d, const struct fd_view *v, struct node *n, struct ct_error *err)
{
	struct node *options = sock_put(d, v, n);
	union address local = { 0 };
	socklen_t len = sizeof(local);
	bool tcp = sock_int(v->dup, SOL_SOCKET, SO_TYPE, -1) == SOCK_STREAM;
	bool v6 = sock_is(v, AF_INET6);

	if (getsockname(v->dup, &local.any, &len) < 0)
		return error_errno(err, -errno, "getsockname");
	node_put_u64(n, "family", v6 ? 6 : 4);
	sock_options_put(v->dup, ip_options, COUNT(ip_options), options);
	if (v6)
		sock_options_put(v->dup, ipv6_options, COUNT(ipv6_options), options);
	if (tcp) {
		char name[16] = "";

		len = sizeof(name) - 1;
		sock_options_put(v->dup, tcp_options, COUNT(tcp_options), options);
		if (getsockopt(v->dup, IPPROTO_TCP, TCP_CONGESTION, name, &len) == 0)
			node_put_str(n, "congestion", name);
		node_put_i64(n, "fastopen", sock_int(v->dup, IPPROTO_TCP, TCP_FASTOPEN, 0));
		dump_tcp(d, v, &local, n);
	} else {
		sock_options_put(v->dup, udp_options, COUNT(udp_options), options);
		if (sock_int(v->dup, IPPROTO_UDP, UDP_ENCAP, 0))
			dump_refuse_fd(d, v, "a UDP socket of an IPsec tunnel is not carried; close it");
		dump_udp(d, v, &local, n);
	}
	if (port_of(&local))
		put_address(n, "local", &local);
	return 0;
}

static int set_options(const struct node *n, int fd, int family, bool tcp, struct ct_error *err)
{
	const struct node *options = node_object(n, "options");
	int e = sock_options_get(fd, ip_options, COUNT(ip_options), options, err);

	if (e == 0 && family == AF_INET6)
		e = sock_options_get(fd, ipv6_options, COUNT(ipv6_options), options, err);
	if (e == 0 && tcp)
		e = sock_options_get(fd, tcp_options, COUNT(tcp_options), options, err);
	if (e == 0 && !tcp)
		e = sock_options_get(fd, udp_options, COUNT(udp_options), options, err);
	if (e == 0 && tcp && node_has(n, "congestion")) {
		const char *name = node_str(n, "congestion");

		if (setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, (socklen_t)strlen(name)) < 0)
			return error_errno(err, errno == ENOENT ? -ENOSYS : -errno,
					   "congestion control '%s'", name);
	}
	return e < 0 ? e : sock_get(n, fd, err);
}

static int inet_restore(struct restore *r, const struct node *n, uint32_t id, int *ret_fd,
			struct ct_error *err)
{
	int family = node_u64(n, "family", 6) == 6 ? AF_INET6 : AF_INET;
	bool tcp = node_has(n, "fastopen");
	cleanup_fd int fd = -1;
	union address a;
	char text[80];
	socklen_t len;
	int e = sock_make(n, family, &fd, err);

	if (e == 0)
		e = set_options(n, fd, family, tcp, err);
	if (e == 0 && node_has(n, "local")) {
		len = get_address(n, "local", family, &a);
		e = doc_check(r->doc, err);
		if (e == 0 && bind(fd, &a.any, len) < 0)
			e = error_errno(err, -errno, "bind to %s", show(&a, text));
	}
	if (e < 0)
		return e;
	if (tcp) {
		int fastopen = (int)node_i64(n, "fastopen", 0, INT32_MAX);

		if (fastopen && setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN, &fastopen, sizeof(fastopen)) < 0)
			return error_errno(err, -errno, "setsockopt TCP_FASTOPEN");
		if (node_has(n, "backlog") &&
		    listen(fd, (int)node_u64(n, "backlog", INT32_MAX)) < 0)
			return error_errno(err, -errno, "listen");
	} else if (node_has(n, "peer")) {
		len = get_address(n, "peer", family, &a);
		if (connect(fd, &a.any, len) < 0)
			return error_errno(err, -errno, "connect to %s", show(&a, text));
	}
	*ret_fd = take_fd(&fd);
	return 0;
}

const struct kind kind_inet = {
	.name = "inet",
	.carries = "TCP sockets that are fresh, bound or listening, UDP sockets (connected too), over "
		   "IPv4 and IPv6, with their options",
	.refuses = "TCP connections, those waiting to be accepted, datagrams waiting to be read",
	.victims = "tcp-listen udp-sockets tcp-established",
	.fd_is = inet_is,
	.fd_dump = inet_dump,
	.fd_restore = inet_restore,
};
