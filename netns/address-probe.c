/* SPDX-License-Identifier: Apache-2.0 */
/* Are addresses free on the Ethernet behind a bridge? RFC 5227 for IPv4, RFC 4862 section 5.4 for IPv6. */
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <netinet/icmp6.h>
#include <netinet/if_ether.h>
#include <netinet/ip6.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "libct/base/clock.h"
#include "libct/base/error.h"
#include "netns/checksum.h"
#include "netns/claim.h"
#include "netns/netlink.h"

#define PROBES 3
#define INTERVAL_MS 100
#define HOPS 255 /* less was routed, and is not believed */

struct question {
	struct ether_arp arp;
	struct solicitation {
		struct ip6_hdr ip;
		struct nd_neighbor_solicit ask;
	} nd;
	struct sockaddr_ll arp_to, nd_to;
};

/* ---- IPv4 ---- */

static void ask_arp(struct question *q, const struct rt_link *link, struct in_addr ip)
{
	q->arp = (struct ether_arp){ .ea_hdr = { .ar_hrd = htons(ARPHRD_ETHER),
						 .ar_pro = htons(ETHERTYPE_IP),
						 .ar_hln = ETH_ALEN,
						 .ar_pln = 4,
						 .ar_op = htons(ARPOP_REQUEST) } };
	memcpy(q->arp.arp_sha, link->address, ETH_ALEN);
	memcpy(q->arp.arp_tpa, &ip, 4);
	memset(q->arp_to.sll_addr, 0xff, ETH_ALEN);
}

/*
 * Whether somebody else has the address (any packet that names it as the sender's) or is about to
 * take it (a probe like ours).
 */
static bool is_arp_conflict(const struct question *q, const struct ether_arp *arp)
{
	static const uint8_t nobody[4];

	if (arp->ea_hdr.ar_hrd != htons(ARPHRD_ETHER) || arp->ea_hdr.ar_pro != htons(ETHERTYPE_IP) ||
	    !memcmp(arp->arp_sha, q->arp.arp_sha, ETH_ALEN))
		return false;
	if (!memcmp(arp->arp_spa, q->arp.arp_tpa, 4))
		return true;
	return arp->ea_hdr.ar_op == htons(ARPOP_REQUEST) && !memcmp(arp->arp_spa, nobody, 4) &&
	       !memcmp(arp->arp_tpa, q->arp.arp_tpa, 4);
}

/* ---- IPv6 ---- */

/* RFC 4443, section 2.3: over addresses, length, protocol and message. */
static uint16_t checksum(const struct solicitation *s)
{
	uint32_t sum = checksum_add(IPPROTO_ICMPV6 + sizeof(s->ask), &s->ip.ip6_src, 2 * sizeof(s->ip.ip6_src));

	return htons((uint16_t)~checksum_add(sum, &s->ask, sizeof(s->ask)));
}

/* From nobody, to the group of all whose addresses end in these three bytes. */
static void ask_nd(struct question *q, const struct in6_addr *ip6)
{
	struct solicitation *s = &q->nd;
	const uint8_t *end = ip6->s6_addr + 13;

	*s = (struct solicitation){ .ask = { .nd_ns_type = ND_NEIGHBOR_SOLICIT, .nd_ns_target = *ip6 } };
	s->ip.ip6_flow = htonl(6U << 28);
	s->ip.ip6_plen = htons(sizeof(s->ask));
	s->ip.ip6_nxt = IPPROTO_ICMPV6;
	s->ip.ip6_hlim = HOPS;
	s->ip.ip6_dst = (struct in6_addr){ .s6_addr = { 0xff, 2, [11] = 1, 0xff, end[0], end[1], end[2] } };
	s->ask.nd_ns_cksum = checksum(s);
	memcpy(q->nd_to.sll_addr, (const uint8_t[]){ 0x33, 0x33, 0xff, end[0], end[1], end[2] }, ETH_ALEN);
}

/* Likewise. What solicitation and advertisement have in common stands in the same places. */
static bool is_nd_conflict(const struct question *q, const struct solicitation *s)
{
	if (s->ip.ip6_nxt != IPPROTO_ICMPV6 || s->ip.ip6_hlim != HOPS ||
	    !IN6_ARE_ADDR_EQUAL(&s->ask.nd_ns_target, &q->nd.ask.nd_ns_target))
		return false;
	return s->ask.nd_ns_type == ND_NEIGHBOR_ADVERT ||
	       (s->ask.nd_ns_type == ND_NEIGHBOR_SOLICIT && IN6_IS_ADDR_UNSPECIFIED(&s->ip.ip6_src));
}

/* ---- both ---- */

static int open_socket(const struct rt_link *link, uint16_t protocol, struct sockaddr_ll *to)
{
	cleanup_fd int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	to->sll_family = AF_PACKET;
	to->sll_protocol = htons(protocol);
	to->sll_ifindex = link->index;
	to->sll_halen = ETH_ALEN;
	if (fd < 0 || bind(fd, (const struct sockaddr *)to, sizeof(*to)) < 0)
		return -errno;
	return take_fd(&fd);
}

/* Reads one packet of a socket: the family of the address that it shows as taken, else 0. */
static int take_in(int fd, int family, const struct question *q, struct address_holder *holder, uint8_t ret_mac[6])
{
	struct sockaddr_ll from = { 0 };
	socklen_t from_len = sizeof(from);
	union {
		struct ether_arp arp;
		struct solicitation nd;
	} in;
	ssize_t n = recvfrom(fd, &in, sizeof(in), MSG_DONTWAIT, (struct sockaddr *)&from, &from_len);

	if (family == AF_INET ? n < (ssize_t)sizeof(in.arp) || !is_arp_conflict(q, &in.arp)
			      : n < (ssize_t)sizeof(in.nd) || !is_nd_conflict(q, &in.nd))
		return 0;
	memcpy(ret_mac, family == AF_INET ? in.arp.arp_sha : from.sll_addr, ETH_ALEN);
	if (!holder || memcmp(ret_mac, holder->mac, ETH_ALEN))
		return family;
	*(family == AF_INET ? &holder->answered : &holder->answered6) = true;
	return 0;
}

static int listen_until(int arp, int nd, int64_t end, const struct question *q,
			struct address_holder *holder, uint8_t ret_mac[6])
{
	for (;;) {
		struct pollfd p[] = { { .fd = arp, .events = POLLIN }, { .fd = nd, .events = POLLIN } };
		int64_t left = end - monotonic_ms();
		int family = 0;

		if (left <= 0)
			return 0;
		if (poll(p, 2, (int)left) <= 0)
			continue;
		if (p[0].revents)
			family = take_in(arp, AF_INET, q, holder, ret_mac);
		if (!family && p[1].revents)
			family = take_in(nd, AF_INET6, q, holder, ret_mac);
		if (family)
			return family;
	}
}

int address_probe(const struct rt_link *link, struct in_addr ip, const struct in6_addr *ip6,
		  struct address_holder *holder, uint8_t ret_mac[6], struct ct_error *err)
{
	bool six = !IN6_IS_ADDR_UNSPECIFIED(ip6);
	struct question q = { 0 };
	cleanup_fd int arp = open_socket(link, ETHERTYPE_ARP, &q.arp_to);
	cleanup_fd int nd = six ? open_socket(link, ETHERTYPE_IPV6, &q.nd_to) : -1;
	int64_t began = monotonic_ms();
	int r = 0;

	if (arp < 0 || (six && nd < 0))
		return error_errno(err, arp < 0 ? arp : nd, "packet socket on link '%s'", link->name);
	ask_arp(&q, link, ip);
	if (six)
		ask_nd(&q, ip6);
	for (int i = 0; r == 0 && i < PROBES; i++) {
		if (sendto(arp, &q.arp, sizeof(q.arp), 0, (struct sockaddr *)&q.arp_to, sizeof(q.arp_to)) < 0 ||
		    (six && sendto(nd, &q.nd, sizeof(q.nd), 0, (struct sockaddr *)&q.nd_to,
				   sizeof(q.nd_to)) < 0))
			return error_errno(err, -errno, "ask on link '%s' who has an address", link->name);
		r = listen_until(arp, nd, began + (i + 1) * INTERVAL_MS, &q, holder, ret_mac);
	}
	return r;
}
