/* SPDX-License-Identifier: Apache-2.0 */
/* Tells the Ethernet where the pod's address is now: RFC 5227, section 3. */
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/if_ether.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "libct/base/error.h"
#include "netns/net.h"
#include "netns/netlink.h"

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

int net_announce(int netns_fd, const struct net_config *config, struct ct_error *err)
{
	/* Some listen to one, some to the other. */
	static const uint16_t operations[] = { ARPOP_REQUEST, ARPOP_REPLY };
	cleanup_fd int fd = netns_socket(netns_fd, AF_PACKET, SOCK_DGRAM, 0);
	struct sockaddr_ll to = { .sll_family = AF_PACKET,
				  .sll_protocol = htons(ETHERTYPE_ARP),
				  .sll_halen = ETH_ALEN };
	struct ifreq request = { .ifr_name = "eth0" };

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
	return 0;
}
