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

void claim_text(struct in_addr ip, char text[CLAIM_TEXT_MAX])
{
	char number[INET_ADDRSTRLEN];

	snprintf(text, CLAIM_TEXT_MAX, PREFIX "%s",
		 inet_ntop(AF_INET, &ip, number, sizeof(number)));
}

/* The link that claims an address, or NULL. */
static const struct rt_link *claimed_by(const struct rt_link *links, size_t n, struct in_addr ip)
{
	char text[CLAIM_TEXT_MAX];

	claim_text(ip, text);
	for (size_t i = 0; i < n; i++)
		if (!strcmp(links[i].kind, "veth") && !strcmp(links[i].alias, text))
			return &links[i];
	return NULL;
}

static int check_wish(const struct rt_link *links, size_t n, const struct net_subnet *subnet,
		      struct in_addr wish, struct ct_error *err)
{
	uint32_t hosts = (uint32_t)((1ull << (32 - subnet->prefix)) - 1);
	uint32_t host = ntohl(wish.s_addr) & hosts;
	char text[INET_ADDRSTRLEN], net[INET_ADDRSTRLEN];
	const struct rt_link *owner;

	inet_ntop(AF_INET, &wish, text, sizeof(text));
	inet_ntop(AF_INET, &subnet->address, net, sizeof(net));
	if (!subnet_contains(subnet, wish))
		return error_set(err, -EINVAL,
				 "address %s is not in the subnet %s/%u of the bridge '" NET_BRIDGE
				 "'",
				 text, net, subnet->prefix);
	if (host == 0 || host == hosts)
		return error_set(err, -EINVAL, "address %s is the %s address of the subnet %s/%u",
				 text, host ? "broadcast" : "network", net, subnet->prefix);
	if (wish.s_addr == subnet_gateway(subnet).s_addr)
		return error_set(err, -EADDRINUSE,
				 "address %s is taken by the bridge '" NET_BRIDGE "'", text);
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

/* The claims as numbers, ascending. The caller frees *ret. */
static int claims_sorted(const struct rt_link *links, size_t n, uint32_t **ret, size_t *ret_n)
{
	uint32_t *list = calloc(n + 1, sizeof(*list));
	struct in_addr ip;
	size_t count = 0;

	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		if (strcmp(links[i].kind, "veth") ||
		    strncmp(links[i].alias, PREFIX, strlen(PREFIX)))
			continue;
		if (inet_pton(AF_INET, links[i].alias + strlen(PREFIX), &ip) == 1)
			list[count++] = ntohl(ip.s_addr);
	}
	qsort(list, count, sizeof(*list), compare_u32);
	*ret = list;
	*ret_n = count;
	return 0;
}

static int lowest_free(const struct rt_link *links, size_t n, const struct net_subnet *subnet,
		       struct in_addr *ret)
{
	uint32_t first = ntohl(subnet_gateway(subnet).s_addr) + 1;
	uint32_t last =
		ntohl(subnet->address.s_addr) | (uint32_t)((1ull << (32 - subnet->prefix)) - 1);
	cleanup_free uint32_t *claims = NULL;
	size_t count;
	int r = claims_sorted(links, n, &claims, &count);

	if (r < 0)
		return r;
	for (size_t i = 0; i < count; i++)
		if (claims[i] == first)
			first++;
	if (first >= last) /* the last is the broadcast address */
		return -EADDRNOTAVAIL;
	ret->s_addr = htonl(first);
	return 0;
}

int claim_choose(struct nl_sock *sock, const struct net_subnet *subnet, struct in_addr wish,
		 struct in_addr *ret, struct ct_error *err)
{
	cleanup_free struct rt_link *links = NULL;
	size_t n;
	int r = rt_links(sock, &links, &n);

	if (r < 0)
		return error_errno(err, r, "list the links of this host");
	if (wish.s_addr) {
		r = check_wish(links, n, subnet, wish, err);
		if (r == 0)
			*ret = wish;
		return r;
	}
	r = lowest_free(links, n, subnet, ret);
	if (r == -EADDRNOTAVAIL)
		return error_set(err, r,
				 "no address is free in the subnet of the bridge '" NET_BRIDGE "'");
	return r < 0 ? error_errno(err, r, "choose an address") : 0;
}
