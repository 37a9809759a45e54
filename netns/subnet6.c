/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IPv6 of bridges and pods: which subnet a bridge gets, which address follows from an IPv4 address, and whether this host
 * has IPv6 and forwards it. docs/adr/0013-ipv6-addresses.md.
 */
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>

#include "libct/base/error.h"
#include "libct/base/io.h"
#include "netns/claim.h"
#include "netns/netlink.h"

#define CONF "/proc/sys/net/ipv6/conf/"
#define SUBNETS 65536
#define WIDE 16 /* routes shorter than this lead elsewhere in general */
#define IP_BITS 32 /* of the IPv4 address in an address that is made from it */

/* ---- what the host has ---- */

/* A number of /proc/sys/net/ipv6/conf/LINK; -ENOENT: there is no IPv6. */
static int setting(const char *link, const char *name)
{
	cleanup_free char *text = NULL;
	char path[128];
	ssize_t n;

	snprintf(path, sizeof(path), CONF "%s/%s", link, name);
	n = io_read_file(AT_FDCWD, path, 64, &text);
	return n < 0 ? (int)n : atoi(text);
}

bool ipv6_on(const char *link)
{
	return setting(link, "disable_ipv6") == 0;
}

/*
 * Forwarding is all of the host's or nobody's, and a host that forwards takes no router advertisements any more
 * (accept_ra 1): it would lose its own addresses and default route. So it is the administrator who switches it on,
 * with accept_ra 2 where the host lives on advertisements. Pods of a host that does not forward reach it and
 * each other.
 */
bool ipv6_forwards(void)
{
	return setting("all", "forwarding") > 0;
}

/* ---- arithmetic ---- */

static bool same_bits(const struct in6_addr *a, const struct in6_addr *b, unsigned int n)
{
	unsigned int bytes = n / 8, rest = n % 8;

	return !memcmp(a, b, bytes) && (!rest || !((a->s6_addr[bytes] ^ b->s6_addr[bytes]) >> (8 - rest)));
}

bool subnet6_contains(const struct net_subnet6 *subnet, const struct in6_addr *ip)
{
	return subnet->prefix && same_bits(&subnet->address, ip, subnet->prefix);
}

bool ip6_from_ip(const struct net_subnet6 *subnet, struct in_addr ip, uint8_t n, struct in6_addr *ret)
{
	if (!subnet->prefix || subnet->prefix + 8 + IP_BITS > 128)
		return false;
	*ret = subnet->address;
	ret->s6_addr[11] = n;
	memcpy(ret->s6_addr + 12, &ip, sizeof(ip));
	return true;
}

static void mask(struct in6_addr *ip, unsigned int prefix)
{
	for (unsigned int i = 0; i < 16; i++)
		if (i * 8 >= prefix)
			ip->s6_addr[i] = 0;
		else if (prefix < (i + 1) * 8)
			ip->s6_addr[i] &= (uint8_t)(0xff00 >> (prefix - i * 8));
}

/* ---- subnets ---- */

int subnet6_of_link(struct nl_sock *sock, int index, struct net_subnet6 *ret, struct in6_addr *ret_own)
{
	cleanup_free struct rt_address *list = NULL;
	size_t n;
	int r = rt_addresses(sock, AF_INET6, &list, &n);

	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		/* One that the host has by a router advertisement comes and goes. */
		if (list[i].index != index || list[i].scope != RT_SCOPE_UNIVERSE ||
		    !(list[i].flags & IFA_F_PERMANENT) || !list[i].prefix)
			continue;
		memcpy(ret_own, list[i].bytes, sizeof(*ret_own));
		*ret = (struct net_subnet6){ *ret_own, list[i].prefix };
		mask(&ret->address, ret->prefix);
		return 0;
	}
	return -ENOENT;
}

/* Whether nobody on this host has any part of it. */
static bool is_free(const struct net_subnet6 *subnet, const struct rt_address *addresses, size_t n_addresses,
		    const struct rt_route *routes, size_t n_routes)
{
	struct in6_addr ip;

	for (size_t i = 0; i < n_addresses; i++) {
		memcpy(&ip, addresses[i].bytes, sizeof(ip));
		if (same_bits(&subnet->address, &ip,
			      addresses[i].prefix < subnet->prefix ? addresses[i].prefix : subnet->prefix))
			return false;
	}
	for (size_t i = 0; i < n_routes; i++) {
		/* What stands for much more, or for multicasts, is in nobody's way. */
		if (routes[i].prefix < WIDE || routes[i].destination[0] == 0xff)
			continue;
		memcpy(&ip, routes[i].destination, sizeof(ip));
		if (same_bits(&subnet->address, &ip,
			      routes[i].prefix < subnet->prefix ? routes[i].prefix : subnet->prefix))
			return false;
	}
	return true;
}

int subnet6_choose(struct nl_sock *sock, const struct net_subnet *from, struct net_subnet6 *ret,
		   struct ct_error *err)
{
	/* fd, and 40 bits that were drawn at random once: RFC 4193, section 3.2. */
	struct net_subnet6 subnet = { { .s6_addr = { 0xfd, 0x40, 0x23, 0x52, 0xb4, 0x4b } }, 64 };
	uint32_t number = ntohl(from->address.s_addr);
	cleanup_free struct rt_address *addresses = NULL;
	cleanup_free struct rt_route *routes = NULL;
	size_t n_addresses, n_routes;
	int r = rt_addresses(sock, AF_INET6, &addresses, &n_addresses);

	if (r == 0)
		r = rt_routes(sock, AF_INET6, &routes, &n_routes);
	if (r < 0)
		return error_errno(err, r, "list the IPv6 addresses and routes of this host");
	number = number >> 16 ^ number;
	for (uint32_t i = 0; i < SUBNETS; i++) {
		uint16_t id = htons((uint16_t)(number + i));

		memcpy(subnet.address.s6_addr + 6, &id, sizeof(id));
		if (!is_free(&subnet, addresses, n_addresses, routes, n_routes))
			continue;
		*ret = subnet;
		return 0;
	}
	*ret = (struct net_subnet6){ 0 };
	return 0;
}

int subnet6_ensure(struct nl_sock *sock, const struct rt_link *bridge, const struct net_subnet *from,
		   struct in_addr own, struct net_subnet6 *ret, struct ct_error *err)
{
	struct in6_addr own6;
	int r = 0;

	*ret = (struct net_subnet6){ 0 };
	if (!ipv6_on(bridge->name))
		return 0;
	r = subnet6_of_link(sock, bridge->index, ret, &own6);
	if (r == 0)
		return 0;
	if (r == -ENOENT)
		r = subnet6_choose(sock, from, ret, err);
	else
		error_errno(err, r, "read the IPv6 address of bridge '%s'", bridge->name);
	if (r < 0 || !ip6_from_ip(ret, own, 0, &own6))
		return r;
	r = rt_address6_add(sock, bridge->index, &own6, ret->prefix);
	return r < 0 ? error_errno(err, r, "set the IPv6 address of bridge '%s'", bridge->name) : 0;
}
