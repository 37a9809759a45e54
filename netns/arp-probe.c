/* SPDX-License-Identifier: Apache-2.0 */
/* Is an address free on the Ethernet behind a bridge? RFC 5227. */
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <netinet/if_ether.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "libct/base/clock.h"
#include "libct/base/error.h"
#include "netns/claim.h"
#include "netns/netlink.h"

#define PROBES 3
#define INTERVAL_MS 100

/*
 * Whether somebody else has the address (any packet that names it as the sender's) or is about to
 * take it (a probe like ours).
 */
static bool is_conflict(const struct ether_arp *arp, const uint8_t own_mac[6], struct in_addr ip)
{
	static const uint8_t nobody[4];

	if (arp->ea_hdr.ar_hrd != htons(ARPHRD_ETHER) || arp->ea_hdr.ar_pro != htons(ETHERTYPE_IP) ||
	    !memcmp(arp->arp_sha, own_mac, ETH_ALEN))
		return false;
	if (!memcmp(arp->arp_spa, &ip, 4))
		return true;
	return arp->ea_hdr.ar_op == htons(ARPOP_REQUEST) && !memcmp(arp->arp_spa, nobody, 4) &&
	       !memcmp(arp->arp_tpa, &ip, 4);
}

/* 1: a conflict arrived before the time was over. */
static int listen_until(int fd, int64_t end, const uint8_t own_mac[6], struct in_addr ip,
			struct arp_holder *holder, uint8_t ret_mac[6])
{
	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		int64_t left = end - monotonic_ms();
		struct ether_arp arp;

		if (left <= 0)
			return 0;
		if (poll(&p, 1, (int)left) <= 0)
			continue;
		if (recv(fd, &arp, sizeof(arp), MSG_DONTWAIT) != sizeof(arp) ||
		    !is_conflict(&arp, own_mac, ip))
			continue;
		if (holder && !memcmp(arp.arp_sha, holder->mac, ETH_ALEN)) {
			holder->answered = true;
			continue;
		}
		memcpy(ret_mac, arp.arp_sha, ETH_ALEN);
		return 1;
	}
}

int arp_probe(const struct rt_link *link, struct in_addr ip, struct arp_holder *holder, uint8_t ret_mac[6],
	      struct ct_error *err)
{
	cleanup_fd int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_ll at = { .sll_family = AF_PACKET,
				  .sll_protocol = htons(ETHERTYPE_ARP),
				  .sll_ifindex = link->index,
				  .sll_halen = ETH_ALEN };
	struct ether_arp arp = { .ea_hdr = { .ar_hrd = htons(ARPHRD_ETHER),
					     .ar_pro = htons(ETHERTYPE_IP),
					     .ar_hln = ETH_ALEN,
					     .ar_pln = 4,
					     .ar_op = htons(ARPOP_REQUEST) } };
	int64_t began = monotonic_ms();
	int r = 0;

	memset(at.sll_addr, 0xff, ETH_ALEN);
	memcpy(arp.arp_sha, link->address, ETH_ALEN);
	memcpy(arp.arp_tpa, &ip, 4);
	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
		return error_errno(err, -errno, "packet socket on link '%s'", link->name);
	for (int i = 0; r == 0 && i < PROBES; i++) {
		if (sendto(fd, &arp, sizeof(arp), 0, (struct sockaddr *)&at, sizeof(at)) < 0)
			return error_errno(err, -errno, "ask on link '%s' who has an address", link->name);
		r = listen_until(fd, began + (i + 1) * INTERVAL_MS, link->address, ip, holder, ret_mac);
	}
	return r;
}
