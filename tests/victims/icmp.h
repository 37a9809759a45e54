/* SPDX-License-Identifier: Apache-2.0 */
/* Messages of ICMP about the segments that a victim's TCP sockets send over its loopback link. Needs cap_net_raw. */
#pragma once
#include "tcp.h"

#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/ip_icmp.h>

/* To be opened before what is to be reported is sent. */
static inline int icmp_listen(int family)
{
	return CHECK_SYS(socket(family, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_TCP));
}

/* The first bytes of the next segment, with data, that the socket has sent. */
static inline void icmp_next(int raw, int fd, bool data, uint8_t head[8])
{
	struct sockaddr_storage a;
	socklen_t len = sizeof(a);

	CHECK_SYS(getsockname(fd, (struct sockaddr *)&a, &len));
	for (;;) {
		unsigned char packet[4096];
		ssize_t n = CHECK_SYS(recv(raw, packet, sizeof(packet), 0));
		unsigned char *tcp = packet + (a.ss_family == AF_INET ? (packet[0] & 15) * 4 : 0);
		bool has = packet + n > tcp + (tcp[12] >> 4) * 4;

		memcpy(head, tcp, 8);
		if (!memcmp(tcp, &((struct sockaddr_in *)&a)->sin_port, 2) && has == data)
			return;
	}
}

/* It did not arrive, for this reason: a code of "destination unreachable". Both ends are on the loopback link. */
static inline void icmp_report(int family, const uint8_t head[8], uint8_t code)
{
	struct {
		struct icmphdr icmp;
		struct iphdr ip;
		uint8_t head[8];
	} four = { .icmp = { .type = ICMP_DEST_UNREACH, .code = code },
		   .ip = { .version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_TCP, .tot_len = htons(40) } };
	struct {
		struct icmp6_hdr icmp;
		struct ip6_hdr ip;
		uint8_t head[8];
	} six = { .icmp = { .icmp6_type = ICMP6_DST_UNREACH, .icmp6_code = code } };
	struct sockaddr_storage to;
	socklen_t len = tcp_loopback(&to, family, 0);
	int fd = CHECK_SYS(socket(family, SOCK_RAW, family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6));
	uint32_t sum = 0;

	memcpy(four.head, head, 8);
	memcpy(six.head, head, 8);
	four.ip.saddr = four.ip.daddr = htonl(INADDR_LOOPBACK);
	six.ip.ip6_flow = htonl(6U << 28);
	six.ip.ip6_plen = htons(20);
	six.ip.ip6_nxt = IPPROTO_TCP;
	six.ip.ip6_src = six.ip.ip6_dst = in6addr_loopback;
	for (size_t i = 0; i < sizeof(four) / 2; i++)
		sum += ((uint16_t *)&four)[i];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	four.icmp.checksum = (uint16_t)~sum;
	if (family == AF_INET)
		CHECK_SYS(sendto(fd, &four, sizeof(four), 0, (struct sockaddr *)&to, len));
	else
		CHECK_SYS(sendto(fd, &six, sizeof(six), 0, (struct sockaddr *)&to, len));
	CHECK_SYS(close(fd));
}

static inline int icmp_error_of(int fd)
{
	int error = -1;
	socklen_t len = sizeof(error);

	CHECK_SYS(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len));
	return error;
}

static inline short icmp_polled(int fd)
{
	struct pollfd p = { fd, POLLIN | POLLOUT | POLLRDHUP, 0 };

	CHECK_SYS(poll(&p, 1, 0));
	return p.revents;
}
