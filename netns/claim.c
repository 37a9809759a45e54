/* SPDX-License-Identifier: Apache-2.0 */
#include "netns/claim.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>

#include "libct/base/error.h"
#include "libct/base/io.h"
#include "netns/netlink.h"

#define PREFIX "podckpt "
#define MAC_FORMAT "%02x:%02x:%02x:%02x:%02x:%02x"
#define MAC_BYTES(m) (m)[0], (m)[1], (m)[2], (m)[3], (m)[4], (m)[5]

int claim_lock(struct ct_error *err)
{
	cleanup_fd int fd = -1;
	int r = io_mkdir_p("/run/podckpt", 0755);

	if (r < 0)
		return error_errno(err, r, "mkdir '/run/podckpt'");
	fd = open(CLAIM_LOCK, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return error_errno(err, -errno, "open '" CLAIM_LOCK "'");
	while (flock(fd, LOCK_EX) < 0)
		if (errno != EINTR)
			return error_errno(err, -errno, "lock '" CLAIM_LOCK "'");
	return take_fd(&fd);
}

void claim_text(const struct claim *claim, char text[CLAIM_TEXT_MAX])
{
	char ip[INET_ADDRSTRLEN], ip6[INET6_ADDRSTRLEN] = "";
	bool six = !IN6_IS_ADDR_UNSPECIFIED(&claim->ip6);

	inet_ntop(AF_INET, &claim->ip, ip, sizeof(ip));
	if (six)
		inet_ntop(AF_INET6, &claim->ip6, ip6, sizeof(ip6));
	snprintf(text, CLAIM_TEXT_MAX, PREFIX "%s%s%s " MAC_FORMAT, ip, six ? " " : "", ip6, MAC_BYTES(claim->mac));
}

/* What stands behind the IPv4 address: an IPv6 address, a hardware address, both, or none. */
static bool parse_rest(const char *rest, struct claim *ret)
{
	char word[INET6_ADDRSTRLEN];
	int n;

	for (; sscanf(rest, "%45s%n", word, &n) == 1; rest += n)
		if (inet_pton(AF_INET6, word, &ret->ip6) != 1 &&
		    sscanf(word, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx", &ret->mac[0], &ret->mac[1], &ret->mac[2],
			   &ret->mac[3], &ret->mac[4], &ret->mac[5]) != 6)
			return false;
	return true;
}

bool claim_of_link(const struct rt_link *link, struct claim *ret)
{
	char ip[INET_ADDRSTRLEN];
	int n;

	if (strcmp(link->kind, "veth"))
		return false;
	*ret = (struct claim){ 0 };
	return sscanf(link->alias, PREFIX "%15s%n", ip, &n) == 1 && inet_pton(AF_INET, ip, &ret->ip) == 1 &&
	       parse_rest(link->alias + n, ret);
}

bool claim_stands(const struct claim *claim)
{
	return claim->ip.s_addr;
}

bool bridge_is_shared(const struct rt_link *links, size_t n, int bridge)
{
	struct claim claim;

	for (size_t i = 0; i < n; i++)
		if (links[i].master == bridge && !claim_of_link(&links[i], &claim))
			return true;
	return false;
}

/* The link that claims an address, or NULL. */
static const struct rt_link *claimed_by(const struct rt_link *links, size_t n, struct in_addr ip)
{
	struct claim claim;

	for (size_t i = 0; i < n; i++)
		if (claim_of_link(&links[i], &claim) && claim.ip.s_addr == ip.s_addr)
			return &links[i];
	return NULL;
}

static int check_wish(const struct rt_link *links, size_t n, const struct claim_space *space,
		      struct in_addr wish, struct ct_error *err)
{
	const struct net_subnet *subnet = &space->subnet;
	uint32_t hosts = (uint32_t)((1ull << (32 - subnet->prefix)) - 1);
	uint32_t host = ntohl(wish.s_addr) & hosts;
	char text[INET_ADDRSTRLEN], net[INET_ADDRSTRLEN];
	const struct rt_link *owner;

	inet_ntop(AF_INET, &wish, text, sizeof(text));
	inet_ntop(AF_INET, &subnet->address, net, sizeof(net));
	if (!subnet_contains(subnet, wish))
		return error_set(err, -EINVAL,
				 "address %s is not in the subnet %s/%u of the bridge '%s'", text, net,
				 subnet->prefix, space->bridge);
	if (host == 0 || host == hosts)
		return error_set(err, -EINVAL, "address %s is the %s address of the subnet %s/%u",
				 text, host ? "broadcast" : "network", net, subnet->prefix);
	if (wish.s_addr == space->own.s_addr)
		return error_set(err, -EADDRINUSE, "address %s is taken by the bridge '%s'", text,
				 space->bridge);
	owner = claimed_by(links, n, wish);
	if (owner)
		return error_set(err, -EADDRINUSE, "address %s is taken by another pod (link '%s')",
				 text, owner->name);
	return 0;
}

static int compare_u32(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* The claims and the bridge's own address as numbers, ascending. The caller frees *ret. */
static int claims_sorted(const struct rt_link *links, size_t n, const struct claim_space *space,
			 uint32_t **ret, size_t *ret_n)
{
	uint32_t *list = calloc(n + 1, sizeof(*list));
	struct claim claim;
	size_t count = 0;

	if (!list)
		return -ENOMEM;
	list[count++] = ntohl(space->own.s_addr);
	for (size_t i = 0; i < n; i++)
		if (claim_of_link(&links[i], &claim))
			list[count++] = ntohl(claim.ip.s_addr);
	qsort(list, count, sizeof(*list), compare_u32);
	*ret = list;
	*ret_n = count;
	return 0;
}

static int next_free(const struct rt_link *links, size_t n, const struct claim_space *space,
		     struct in_addr *ret)
{
	uint32_t first = ntohl(space->subnet.address.s_addr) + 1; /* the one before is the network's */
	uint32_t hosts = (uint32_t)((1ull << (32 - space->subnet.prefix)) - 2);
	uint32_t from = ntohl(space->start.s_addr) - first;
	cleanup_free uint32_t *claims = NULL;
	size_t count;
	int r = claims_sorted(links, n, space, &claims, &count);

	if (r < 0)
		return r;
	if (from >= hosts)
		from = 0;
	for (uint32_t i = 0; i < hosts; i++) {
		uint32_t ip = first + (from + i) % hosts;

		if (bsearch(&ip, claims, count, sizeof(ip), compare_u32))
			continue;
		ret->s_addr = htonl(ip);
		return 0;
	}
	return -EADDRNOTAVAIL;
}

int claim_choose(const struct rt_link *links, size_t n, const struct claim_space *space, struct in_addr wish,
		 struct in_addr *ret, struct ct_error *err)
{
	int r;

	if (wish.s_addr) {
		r = check_wish(links, n, space, wish, err);
		if (r == 0)
			*ret = wish;
		return r;
	}
	r = next_free(links, n, space, ret);
	if (r == -EADDRNOTAVAIL)
		return error_set(err, r, "no address is free in the subnet of the bridge '%s'",
				 space->bridge);
	return r < 0 ? error_errno(err, r, "choose an address") : 0;
}

int claim_check_mac(const struct rt_link *links, size_t n, int bridge, const uint8_t mac[6], struct ct_error *err)
{
	static const uint8_t none[6];
	struct claim claim;

	for (size_t i = 0; memcmp(mac, none, sizeof(none)) && i < n; i++)
		if (links[i].master == bridge && claim_of_link(&links[i], &claim) && claim_stands(&claim) &&
		    !memcmp(claim.mac, mac, sizeof(claim.mac)))
			return error_set(err, -EADDRINUSE,
					 "MAC address " MAC_FORMAT " is taken by another pod (link '%s'); choose "
					 "another with --mac", MAC_BYTES(mac), links[i].name);
	return 0;
}

/* ---- IPv6 ---- */

static const struct rt_link *claimed_by6(const struct rt_link *links, size_t n, const struct in6_addr *ip)
{
	struct claim claim;

	for (size_t i = 0; i < n; i++)
		if (claim_of_link(&links[i], &claim) && IN6_ARE_ADDR_EQUAL(&claim.ip6, ip))
			return &links[i];
	return NULL;
}

static int check_wish6(const struct rt_link *links, size_t n, const struct claim_space *space,
		       const struct in6_addr *wish, struct ct_error *err)
{
	const struct net_subnet6 *subnet = &space->subnet6;
	char text[INET6_ADDRSTRLEN], net[INET6_ADDRSTRLEN];
	const struct rt_link *owner = claimed_by6(links, n, wish);

	inet_ntop(AF_INET6, wish, text, sizeof(text));
	inet_ntop(AF_INET6, &subnet->address, net, sizeof(net));
	if (!space->on6)
		return error_set(err, -ENOSYS,
				 "the bridge '%s' cannot have the IPv6 address %s: IPv6 is off on this host; do without "
				 "with --ip6 none",
				 space->bridge, text);
	if (subnet->prefix && (!subnet6_contains(subnet, wish) || IN6_ARE_ADDR_EQUAL(&subnet->address, wish)))
		return error_set(err, -EINVAL,
				 "address %s is not one of the subnet %s/%u of the bridge '%s'; choose another with "
				 "--ip6", text, net, subnet->prefix, space->bridge);
	if (IN6_ARE_ADDR_EQUAL(wish, &space->own6))
		return error_set(err, -EADDRINUSE,
				 "address %s is taken by the bridge '%s'; choose another with --ip6", text,
				 space->bridge);
	if (owner)
		return error_set(err, -EADDRINUSE,
				 "address %s is taken by another pod (link '%s'); choose another with --ip6", text,
				 owner->name);
	return 0;
}

int claim_choose6(const struct rt_link *links, size_t n, const struct claim_space *space, struct in_addr ip,
		  const struct in6_addr *wish, struct in6_addr *ret, struct ct_error *err)
{
	struct in6_addr made = in6addr_any;
	int r = 0;

	if (!IN6_IS_ADDR_UNSPECIFIED(wish)) {
		made = *wish;
		r = check_wish6(links, n, space, wish, err);
	} else {
		/* The first, unless somebody has chosen just that with --ip6. */
		for (int i = 0; i <= UINT8_MAX && ip6_from_ip(&space->subnet6, ip, (uint8_t)i, &made); i++) {
			if (!IN6_ARE_ADDR_EQUAL(&made, &space->own6) && !claimed_by6(links, n, &made))
				break;
			made = in6addr_any;
		}
	}
	if (r == 0)
		*ret = made;
	return r;
}
