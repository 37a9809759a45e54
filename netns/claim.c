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

bool claim_of_link(const struct rt_link *link, struct in_addr *ret)
{
	return !strcmp(link->kind, "veth") && !strncmp(link->alias, PREFIX, strlen(PREFIX)) &&
	       inet_pton(AF_INET, link->alias + strlen(PREFIX), ret) == 1;
}

bool bridge_is_shared(const struct rt_link *links, size_t n, int bridge)
{
	struct in_addr ip;

	for (size_t i = 0; i < n; i++)
		if (links[i].master == bridge && !claim_of_link(&links[i], &ip))
			return true;
	return false;
}

/* The link that claims an address, or NULL. */
static const struct rt_link *claimed_by(const struct rt_link *links, size_t n, struct in_addr ip)
{
	struct in_addr claim;

	for (size_t i = 0; i < n; i++)
		if (claim_of_link(&links[i], &claim) && claim.s_addr == ip.s_addr)
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
	struct in_addr ip;
	size_t count = 0;

	if (!list)
		return -ENOMEM;
	list[count++] = ntohl(space->own.s_addr);
	for (size_t i = 0; i < n; i++)
		if (claim_of_link(&links[i], &ip))
			list[count++] = ntohl(ip.s_addr);
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

int claim_choose(struct nl_sock *sock, const struct claim_space *space, struct in_addr wish,
		 struct in_addr *ret, struct ct_error *err)
{
	cleanup_free struct rt_link *links = NULL;
	size_t n;
	int r = rt_links(sock, &links, &n);

	if (r < 0)
		return error_errno(err, r, "list the links of this host");
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
