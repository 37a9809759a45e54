/* SPDX-License-Identifier: Apache-2.0 */
/* The options of man 7 ip and man 7 ipv6, of sockets of both families: those of IPv6 have the others too. */
#include <arpa/inet.h>
#include <linux/icmp.h>
#include <linux/icmpv6.h>
#include <linux/in6.h>
#include <string.h>
#include <sys/socket.h>

#include "libct/base/cleanup.h"
#include "libct/kind/inet.h"

/* Newer than the C library's headers, or only in those of the kernel. */
#ifndef IP_CHECKSUM
#define IP_CHECKSUM 23
#endif
#ifndef IP_RECVERR_RFC4884
#define IP_RECVERR_RFC4884 26
#endif
#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51
#endif
#ifndef IPV6_MULTICAST_ALL
#define IPV6_MULTICAST_ALL 29
#endif
#ifndef IPV6_RECVERR_RFC4884
#define IPV6_RECVERR_RFC4884 31
#endif
#ifndef IPV6_FLOWINFO_SEND
#define IPV6_FLOWINFO_SEND 33
#endif
#ifndef SOL_RAW
#define SOL_RAW 255
#endif

static const struct sock_option options[] = {
	{ "ip_tos", SOL_IP, IP_TOS },
	{ "ip_ttl", SOL_IP, IP_TTL },
	{ "ip_header", SOL_IP, IP_HDRINCL },
	{ "ip_receive_options", SOL_IP, IP_RECVOPTS },
	{ "ip_return_options", SOL_IP, IP_RETOPTS },
	{ "ip_packet_info", SOL_IP, IP_PKTINFO },
	{ "ip_mtu_discover", SOL_IP, IP_MTU_DISCOVER },
	{ "ip_receive_errors", SOL_IP, IP_RECVERR },
	{ "ip_receive_errors_4884", SOL_IP, IP_RECVERR_RFC4884 },
	{ "ip_receive_ttl", SOL_IP, IP_RECVTTL },
	{ "ip_receive_tos", SOL_IP, IP_RECVTOS },
	{ "ip_free_bind", SOL_IP, IP_FREEBIND },
	{ "ip_pass_security", SOL_IP, IP_PASSSEC },
	{ "ip_transparent", SOL_IP, IP_TRANSPARENT },
	{ "ip_receive_destination", SOL_IP, IP_RECVORIGDSTADDR },
	{ "ip_min_ttl", SOL_IP, IP_MINTTL },
	{ "ip_no_defragment", SOL_IP, IP_NODEFRAG },
	{ "ip_checksum", SOL_IP, IP_CHECKSUM },
	{ "ip_bind_no_port", SOL_IP, IP_BIND_ADDRESS_NO_PORT },
	{ "ip_receive_fragment_size", SOL_IP, IP_RECVFRAGSIZE },
	{ "ip_port_range", SOL_IP, IP_LOCAL_PORT_RANGE },
};

#define N_OPTIONS (sizeof(options) / sizeof(options[0]))

static const struct sock_option options6[] = {
	{ "ipv6_hops", SOL_IPV6, IPV6_UNICAST_HOPS },
	{ "ipv6_mtu_discover", SOL_IPV6, IPV6_MTU_DISCOVER },
	{ "ipv6_receive_errors", SOL_IPV6, IPV6_RECVERR },
	{ "ipv6_receive_errors_4884", SOL_IPV6, IPV6_RECVERR_RFC4884 },
	{ "ipv6_flow_send", SOL_IPV6, IPV6_FLOWINFO_SEND },
	{ "ipv6_header", SOL_IPV6, IPV6_HDRINCL },
	{ "ipv6_receive_packet_info", SOL_IPV6, IPV6_RECVPKTINFO },
	{ "ipv6_receive_hops", SOL_IPV6, IPV6_RECVHOPLIMIT },
	{ "ipv6_receive_hop_options", SOL_IPV6, IPV6_RECVHOPOPTS },
	{ "ipv6_receive_routing", SOL_IPV6, IPV6_RECVRTHDR },
	{ "ipv6_receive_destination_options", SOL_IPV6, IPV6_RECVDSTOPTS },
	{ "ipv6_receive_path_mtu", SOL_IPV6, IPV6_RECVPATHMTU },
	{ "ipv6_do_not_fragment", SOL_IPV6, IPV6_DONTFRAG },
	{ "ipv6_receive_class", SOL_IPV6, IPV6_RECVTCLASS },
	{ "ipv6_class", SOL_IPV6, IPV6_TCLASS },
	{ "ipv6_auto_flow_label", SOL_IPV6, IPV6_AUTOFLOWLABEL },
	{ "ipv6_address_preferences", SOL_IPV6, IPV6_ADDR_PREFERENCES },
	{ "ipv6_min_hops", SOL_IPV6, IPV6_MINHOPCOUNT },
	{ "ipv6_receive_original_destination", SOL_IPV6, IPV6_ORIGDSTADDR },
	{ "ipv6_transparent", SOL_IPV6, IPV6_TRANSPARENT },
	{ "ipv6_receive_fragment_size", SOL_IPV6, IPV6_RECVFRAGSIZE },
	{ "ipv6_free_bind", SOL_IPV6, IPV6_FREEBIND },
};

#define N_OPTIONS6 (sizeof(options6) / sizeof(options6[0]))

static const struct sock_option raw_options[] = {
	{ "raw_checksum", SOL_RAW, IPV6_CHECKSUM },
	{ "icmp_filter", SOL_RAW, ICMP_FILTER },
};

#define N_RAW_OPTIONS (sizeof(raw_options) / sizeof(raw_options[0]))

static const struct sock_option only = { "ipv6_only", SOL_IPV6, IPV6_V6ONLY };

/*
 * bind(2) of TCP and UDP to an address of IPv6 sets it, accept(2) and connect(2) do not. There it has no effect any
 * more, and a socket that is restored was bound.
 */
static void put_only(int fd, struct node *to)
{
	int value = sock_int(fd, only.level, only.number, -1);
	int type = sock_int(fd, SOL_SOCKET, SO_TYPE, 0), protocol = sock_int(fd, SOL_SOCKET, SO_PROTOCOL, 0);
	struct sockaddr_storage a;

	if (value < 0)
		return;
	if (type != SOCK_RAW && (protocol == IPPROTO_TCP || protocol == IPPROTO_UDP) && inet_local(fd, &a) == 0 && a.ss_family == AF_INET6) {
		const struct in6_addr *ip = &((const struct sockaddr_in6 *)&a)->sin6_addr;

		value |= !IN6_IS_ADDR_UNSPECIFIED(ip) && !IN6_IS_ADDR_V4MAPPED(ip);
	}
	node_put_i64(to, only.name, value);
}

/* An accepted connection shows here what it received; a stream has no use for them. */
static const struct sock_option datagram_options[] = {
	{ "ip_multicast_ttl", SOL_IP, IP_MULTICAST_TTL },
	{ "ip_multicast_loop", SOL_IP, IP_MULTICAST_LOOP },
	{ "ip_multicast_all", SOL_IP, IP_MULTICAST_ALL },
	{ "ipv6_multicast_hops", SOL_IPV6, IPV6_MULTICAST_HOPS },
	{ "ipv6_multicast_loop", SOL_IPV6, IPV6_MULTICAST_LOOP },
	{ "ipv6_multicast_all", SOL_IPV6, IPV6_MULTICAST_ALL },
};

#define N_DATAGRAM_OPTIONS (sizeof(datagram_options) / sizeof(datagram_options[0]))

/* Those that name a link by its number, some in network order. */
static const struct {
	const char *name;
	int level, number;
	bool swapped, multicast;
} links[] = {
	{ "ip_unicast_link", SOL_IP, IP_UNICAST_IF, true, false },
	{ "ipv6_unicast_link", SOL_IPV6, IPV6_UNICAST_IF, true, false },
	{ "ipv6_multicast_link", SOL_IPV6, IPV6_MULTICAST_IF, false, true },
};

static void put_links(int fd, bool stream, struct node *to)
{
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
		int index = sock_int(fd, links[i].level, links[i].number, 0);
		char name[16];

		if (links[i].multicast && stream)
			continue;
		if (links[i].swapped)
			index = (int)ntohl((uint32_t)index);
		if (index && inet_link_name(fd, (unsigned int)index, name) == 0)
			node_put_str(to, links[i].name, name);
	}
}

static int get_links(int fd, const struct node *from, struct ct_error *err)
{
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
		unsigned int index;
		const char *name;
		int e;

		if (!node_has(from, links[i].name))
			continue;
		name = node_str(from, links[i].name);
		e = inet_link_index(fd, name, &index);
		if (e < 0)
			return error_errno(err, e, "link '%s'", name);
		if (links[i].swapped)
			index = htonl(index);
		if (setsockopt(fd, links[i].level, links[i].number, &index, sizeof(index)) < 0)
			return error_errno(err, -errno, "set the option '%s'", links[i].name);
	}
	return 0;
}

/* Byte strings that are set as they are read. */
static const struct sock_option blobs[] = {
	{ "ip_options", SOL_IP, IP_OPTIONS },
	{ "icmpv6_filter", SOL_ICMPV6, ICMPV6_FILTER },
};

/* Headers that go with every packet: seldom, and refused. */
static const int headers[] = { IPV6_HOPOPTS, IPV6_RTHDRDSTOPTS, IPV6_RTHDR, IPV6_DSTOPTS };

static void put_blobs(struct dump *d, const struct fd_view *v, struct node *to)
{
	struct in_addr multicast = { 0 };
	socklen_t len = sizeof(multicast);
	char bytes[2048];

	for (size_t i = 0; i < sizeof(blobs) / sizeof(blobs[0]); i++) {
		len = sizeof(bytes);
		if (getsockopt(v->dup, blobs[i].level, blobs[i].number, bytes, &len) == 0 && len)
			node_put_blob(to, blobs[i].name, bytes, len);
	}
	len = sizeof(multicast);
	if (getsockopt(v->dup, SOL_IP, IP_MULTICAST_IF, &multicast, &len) == 0 && multicast.s_addr) {
		char text[INET_ADDRSTRLEN];
		bool own = multicast.s_addr == d->pod->config.address.ip.s_addr;

		node_put_str(to, "ip_multicast_address",
			     own ? "own" : inet_ntop(AF_INET, &multicast, text, sizeof(text)));
	}
	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		len = sizeof(bytes);
		if (getsockopt(v->dup, SOL_IPV6, headers[i], bytes, &len) == 0 && len) {
			dump_refuse_fd(d, v, "IPv6 extension headers that were set on it are not carried; "
					     "remove them first");
			return;
		}
	}
}

static int get_blobs(struct restore *r, int fd, const struct node *from, struct ct_error *err)
{
	for (size_t i = 0; i < sizeof(blobs) / sizeof(blobs[0]); i++) {
		const void *bytes;
		size_t len;

		if (!node_has(from, blobs[i].name))
			continue;
		bytes = node_blob(from, blobs[i].name, &len);
		if (len > 2048 ||
		    setsockopt(fd, blobs[i].level, blobs[i].number, bytes, (socklen_t)len) < 0)
			return error_errno(err, len > 2048 ? -EBADMSG : -errno, "set the option '%s'",
					   blobs[i].name);
	}
	if (node_has(from, "ip_multicast_address")) {
		const char *text = node_str(from, "ip_multicast_address");
		struct in_addr ip = r->pod->config.address.ip;

		if (strcmp(text, "own") && inet_pton(AF_INET, text, &ip) != 1)
			node_complain(from, "'%s' is not an address", text);
		else if (setsockopt(fd, SOL_IP, IP_MULTICAST_IF, &ip, sizeof(ip)) < 0)
			return error_errno(err, -errno, "set the option 'ip_multicast_address'");
	}
	return 0;
}

struct node *inet_put(struct dump *d, const struct fd_view *v, struct node *n)
{
	int family = sock_int(v->dup, SOL_SOCKET, SO_DOMAIN, 0), type = sock_int(v->dup, SOL_SOCKET, SO_TYPE, 0);
	bool stream = type == SOCK_STREAM;
	struct node *to;

	node_put_i64(n, "family", family);
	to = sock_put(d, v, n);
	sock_options_put(d, v->dup, options, N_OPTIONS, to);
	if (family == AF_INET6)
		sock_options_put(d, v->dup, options6, N_OPTIONS6, to);
	if (type == SOCK_RAW)
		sock_options_put(d, v->dup, raw_options, N_RAW_OPTIONS, to);
	if (family == AF_INET6)
		put_only(v->dup, to);
	if (!stream)
		sock_options_put(d, v->dup, datagram_options, N_DATAGRAM_OPTIONS, to);
	put_links(v->dup, stream, to);
	put_blobs(d, v, to);
	return to;
}

int inet_make(struct restore *r, const struct node *n, bool sized, int *ret_fd,
	      struct ct_error *err)
{
	__cleanup(sock_limit_end) struct sock_limit limit = { 0 };
	const struct node *from = node_object(n, "options");
	int family = (int)node_i64(n, "family", AF_INET, AF_INET6), e;
	cleanup_fd int fd = -1;

	if (family != AF_INET && family != AF_INET6)
		node_complain(n, "an internet socket of family %d", family);
	e = doc_check(r->doc, err);
	if (e == 0)
		e = sock_make(n, family, &fd, err);
	if (e == 0)
		e = sock_limit(r, &limit, err);
	if (e == 0)
		e = sock_options_get(fd, options, N_OPTIONS, from, err);
	if (e == 0)
		e = sock_options_get(fd, options6, N_OPTIONS6, from, err);
	if (e == 0)
		e = sock_options_get(fd, raw_options, N_RAW_OPTIONS, from, err);
	if (e == 0)
		e = sock_options_get(fd, &only, 1, from, err);
	if (e == 0)
		e = sock_options_get(fd, datagram_options, N_DATAGRAM_OPTIONS, from, err);
	if (e == 0)
		e = get_links(fd, from, err);
	if (e == 0)
		e = get_blobs(r, fd, from, err);
	/* After IP_TOS, which sets SO_PRIORITY. */
	if (e == 0)
		e = sized ? sock_get(n, fd, err) : sock_get_unsized(n, fd, err);
	if (e == 0)
		e = doc_check(r->doc, err);
	if (e == 0)
		*ret_fd = take_fd(&fd);
	return e;
}

int inet_bind(struct restore *r, const struct node *n, int fd, struct ct_error *err)
{
	int family = (int)node_i64(n, "family", AF_INET, AF_INET6);
	/* A raw IPv6 socket does not have the option of IPv4. */
	int level = family == AF_INET ? SOL_IP : SOL_IPV6;
	int option = family == AF_INET ? IP_FREEBIND : IPV6_FREEBIND;
	int before = sock_int(fd, level, option, 0), one = 1, e;
	__cleanup(sock_limit_end) struct sock_limit limit = { 0 };
	struct sockaddr_storage a;
	char text[INET_TEXT];

	if (!node_has(n, "local"))
		return 0;
	e = inet_address_get(r, fd, family, n, "local", &a, err);
	if (e == 0)
		e = sock_limit(r, &limit, err);
	if (e < 0)
		return e;
	/* An IPv6 address is not usable until the link has asked around for it. */
	if (setsockopt(fd, level, option, &one, sizeof(one)) < 0)
		return error_errno(err, -errno, "set FREEBIND");
	if (bind(fd, (struct sockaddr *)&a,
		 family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6)) < 0)
		return error_errno(err, -errno, "bind to %s", inet_text(&a, text));
	if (setsockopt(fd, level, option, &before, sizeof(before)) < 0)
		return error_errno(err, -errno, "set FREEBIND");
	return 0;
}
