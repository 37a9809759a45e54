/* SPDX-License-Identifier: Apache-2.0 */
/* Tells the Ethernet where the pod's addresses are now: RFC 5227, section 3, and RFC 4861, section 7.2.6. */
#include <arpa/inet.h>
#include <linux/if_addr.h>
#include <linux/if_packet.h>
#include <linux/rtnetlink.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/if_ether.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "libct/base/error.h"
#include "netns/net.h"
#include "netns/netlink.h"
#include "netns/rt.h"

static void make_arp(struct ether_arp *arp, uint16_t operation, const struct net_config *config)
{
	*arp = (struct ether_arp){ .ea_hdr = { .ar_hrd = htons(ARPHRD_ETHER),
					       .ar_pro = htons(ETHERTYPE_IP),
					       .ar_hln = ETH_ALEN,
					       .ar_pln = 4,
					       .ar_op = htons(operation) } };
	memcpy(arp->arp_sha, config->mac, ETH_ALEN);
	memcpy(arp->arp_spa, &config->ip, 4);
	memcpy(arp->arp_tpa, &config->ip, 4);
	if (operation == ARPOP_REPLY)
		memset(arp->arp_tha, 0xff, ETH_ALEN);
}

/* One advertisement to all nodes, which overrides what they know. */
static int advertise(int netns_fd, const struct rt_address *a, const uint8_t mac[6])
{
	cleanup_fd int fd = netns_socket(netns_fd, AF_INET6, SOCK_RAW, IPPROTO_ICMPV6);
	struct sockaddr_in6 to = { .sin6_family = AF_INET6, .sin6_addr.s6_addr = { 0xff, 2, [15] = 1 } };
	struct sockaddr_in6 from = { .sin6_family = AF_INET6 };
	const int hops = 255; /* less was routed, and is not believed */
	struct {
		struct nd_neighbor_advert head;
		struct nd_opt_hdr option;
		uint8_t mac[6];
	} packet = {
		.head = { .nd_na_type = ND_NEIGHBOR_ADVERT, .nd_na_flags_reserved = ND_NA_FLAG_OVERRIDE },
		.option = { ND_OPT_TARGET_LINKADDR, 1 },
	};

	to.sin6_scope_id = from.sin6_scope_id = (uint32_t)a->index;
	memcpy(&from.sin6_addr, a->bytes, 16);
	memcpy(&packet.head.nd_na_target, a->bytes, 16);
	memcpy(packet.mac, mac, sizeof(packet.mac));
	if (fd < 0)
		return fd;
	if (setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, &hops, sizeof(hops)) < 0 ||
	    setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, &a->index, sizeof(a->index)) < 0 ||
	    bind(fd, (struct sockaddr *)&from, sizeof(from)) < 0 ||
	    sendto(fd, &packet, sizeof(packet), 0, (struct sockaddr *)&to, sizeof(to)) < 0)
		return -errno;
	return 0;
}

/* Every IPv6 address of the link, where the host has IPv6 at all. */
static int advertise_all(int netns_fd, int index, const uint8_t mac[6], struct ct_error *err)
{
	cleanup_free struct rt_address *list = NULL;
	cleanup_sock struct nl_sock *inside = NULL;
	size_t n = 0;
	int r = netlink_open(netns_fd, NETLINK_ROUTE, &inside, err);

	if (r < 0)
		return r;
	r = rt_addresses(inside, AF_INET6, &list, &n);
	for (size_t i = 0; r == 0 && i < n; i++)
		if (list[i].index == index && !(list[i].flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED)))
			r = advertise(netns_fd, &list[i], mac);
	return r < 0 ? error_errno(err, r, "announce the IPv6 addresses") : 0;
}

int net_announce(int netns_fd, const struct net_config *config, int *ret_done, struct ct_error *err)
{
	/* Some listen to one, some to the other. */
	static const uint16_t operations[] = { ARPOP_REQUEST, ARPOP_REPLY };
	int fd = netns_socket(netns_fd, AF_PACKET, SOCK_DGRAM, 0);
	struct sockaddr_ll to = { .sll_family = AF_PACKET,
				  .sll_protocol = htons(ETHERTYPE_ARP),
				  .sll_halen = ETH_ALEN };
	struct ifreq request = { .ifr_name = "eth0" };

	*ret_done = fd < 0 ? -1 : fd;
	if (fd < 0)
		return error_errno(err, fd, "packet socket");
	if (ioctl(fd, SIOCGIFINDEX, &request) < 0)
		return error_errno(err, -errno, "link 'eth0' inside");
	to.sll_ifindex = request.ifr_ifindex;
	memset(to.sll_addr, 0xff, ETH_ALEN);
	for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++) {
		struct ether_arp arp;

		make_arp(&arp, operations[i], config);
		if (sendto(fd, &arp, sizeof(arp), 0, (struct sockaddr *)&to, sizeof(to)) < 0)
			return error_errno(err, -errno, "announce the address");
	}
	return advertise_all(netns_fd, request.ifr_ifindex, config->mac, err);
}
