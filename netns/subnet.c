/* SPDX-License-Identifier: Apache-2.0 */
/* Subnets: arithmetic, and the choice of one that clashes with nothing on this host. */
#include <arpa/inet.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "libct/base/error.h"
#include "netns/claim.h"
#include "netns/netlink.h"

static uint32_t mask(unsigned int prefix)
{
	return prefix ? ~(uint32_t)((1ull << (32 - prefix)) - 1) : 0;
}

struct in_addr subnet_gateway(const struct net_subnet *subnet)
{
	return (struct in_addr){ htonl(ntohl(subnet->address.s_addr) + 1) };
}

bool subnet_contains(const struct net_subnet *subnet, struct in_addr ip)
{
	return subnet_overlaps(subnet, ip, 32);
}

bool subnet_overlaps(const struct net_subnet *subnet, struct in_addr ip, unsigned int prefix)
{
	uint32_t common = mask(prefix < subnet->prefix ? prefix : subnet->prefix);

	return !((ntohl(subnet->address.s_addr) ^ ntohl(ip.s_addr)) & common);
}

int subnet_of_link(struct nl_sock *sock, int index, struct net_subnet *ret, struct in_addr *ret_own)
{
	cleanup_free struct rt_address *list = NULL;
	struct in_addr ip;
	size_t n;
	int r = rt_addresses(sock, AF_INET, &list, &n);

	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		if (list[i].index != index)
			continue;
		memcpy(&ip, list[i].bytes, sizeof(ip));
		ret->prefix = list[i].prefix;
		ret->address.s_addr = htonl(ntohl(ip.s_addr) & mask(ret->prefix));
		if (ret_own)
			*ret_own = ip;
		return 0;
	}
	return -ENOENT;
}

/* What this host already has: its addresses with their subnets, and its routes. */
struct taken {
	struct rt_address *addresses;
	size_t n_addresses;
	struct rt_route *routes;
	size_t n_routes;
};

static void taken_release(struct taken *t)
{
	free(t->addresses);
	free(t->routes);
}

static bool clashes_with_address(const struct taken *t, const struct net_subnet *subnet)
{
	struct in_addr ip;

	for (size_t i = 0; i < t->n_addresses; i++) {
		memcpy(&ip, t->addresses[i].bytes, sizeof(ip));
		if (subnet_overlaps(subnet, ip, t->addresses[i].prefix))
			return true;
	}
	return false;
}

static bool clashes_with_route(const struct taken *t, const struct net_subnet *subnet)
{
	struct in_addr ip;

	for (size_t i = 0; i < t->n_routes; i++) {
		if (t->routes[i].prefix == 0) /* a default route stands for what nobody else has */
			continue;
		memcpy(&ip, t->routes[i].destination, sizeof(ip));
		if (subnet_overlaps(subnet, ip, t->routes[i].prefix))
			return true;
	}
	return false;
}

/* The n-th subnet to try; false behind the last. */
static bool candidate(unsigned int n, struct net_subnet *ret)
{
	uint32_t address;

	ret->prefix = 16;
	if (n < 168) {
		address = 10u << 24 | (88 + n) << 16;
	} else if (n < 168 + 16) {
		address = 172u << 24 | (16 + n - 168) << 16;
	} else if (n < 168 + 16 + 256) {
		address = 192u << 24 | 168u << 16 | (n - 168 - 16) << 8;
		ret->prefix = 24;
	} else {
		return false;
	}
	ret->address.s_addr = htonl(address);
	return true;
}

static int check_wish(const struct taken *t, const struct net_subnet *wish, struct ct_error *err)
{
	char text[INET_ADDRSTRLEN];

	inet_ntop(AF_INET, &wish->address, text, sizeof(text));
	if (wish->prefix < 8 || wish->prefix > 30)
		return error_set(err, -EINVAL, "subnet %s/%u: the prefix must be from 8 to 30",
				 text, wish->prefix);
	if (ntohl(wish->address.s_addr) & ~mask(wish->prefix))
		return error_set(err, -EINVAL,
				 "subnet %s/%u: the address has bits behind the prefix", text,
				 wish->prefix);
	/*
	 * A wider route is no reason to refuse what was asked for by name; an address in the way
	 * is.
	 */
	if (clashes_with_address(t, wish))
		return error_set(err, -EADDRINUSE, "subnet %s/%u overlaps an address of this host",
				 text, wish->prefix);
	return 0;
}

int subnet_choose(struct nl_sock *sock, const struct net_subnet *wish, struct net_subnet *ret,
		  struct ct_error *err)
{
	__cleanup(taken_release) struct taken taken = { 0 };
	struct net_subnet subnet;
	int r = rt_addresses(sock, AF_INET, &taken.addresses, &taken.n_addresses);

	if (r == 0)
		r = rt_routes(sock, AF_INET, &taken.routes, &taken.n_routes);
	if (r < 0)
		return error_errno(err, r, "list the addresses and routes of this host");
	if (wish) {
		r = check_wish(&taken, wish, err);
		if (r == 0)
			*ret = *wish;
		return r;
	}
	for (unsigned int n = 0; candidate(n, &subnet); n++) {
		if (clashes_with_address(&taken, &subnet) || clashes_with_route(&taken, &subnet))
			continue;
		*ret = subnet;
		return 0;
	}
	return error_set(
		err, -EADDRINUSE,
		"every private subnet overlaps an address or a route of this host; give one");
}
