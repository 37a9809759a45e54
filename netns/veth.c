/* SPDX-License-Identifier: Apache-2.0 */
/* The pod's link: a veth pair from the bridge into its namespace. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_bridge.h>
#include <linux/rtnetlink.h>
#include <netlink/netlink.h>
#include <string.h>
#include <sys/stat.h>

#include "libct/base/error.h"
#include "libct/base/io.h"
#include "netns/claim.h"
#include "netns/net.h"
#include "netns/netlink.h"

#define INSIDE "eth0"
#define CONF "/proc/sys/net/ipv6/conf/" INSIDE "/"
#define PROBED_MAX 32

/* A pair that was made and does not stay unless everything else succeeds. */
struct pair {
	struct nl_sock *sock;
	int index; /* of the host end; 0: none */
};

static void pair_undo(struct pair *p)
{
	if (p->index)
		rt_link_delete(p->sock, p->index);
}

/* The MTU of the link that the host's traffic leaves by. */
static uint32_t host_mtu(struct nl_sock *sock)
{
	cleanup_free struct rt_route *routes = NULL;
	cleanup_free struct rt_link *links = NULL;
	const struct rt_route *best = NULL;
	size_t n_routes, n_links;

	if (rt_routes(sock, AF_INET, &routes, &n_routes) < 0 ||
	    rt_links(sock, &links, &n_links) < 0)
		return 1500;
	for (size_t i = 0; i < n_routes; i++) {
		if (routes[i].prefix || routes[i].table != RT_TABLE_MAIN || !routes[i].oif)
			continue;
		if (!best || routes[i].priority < best->priority)
			best = &routes[i];
	}
	for (size_t i = 0; best && i < n_links; i++)
		if (links[i].index == best->oif)
			return links[i].mtu;
	return 1500;
}

/* The subnet of a bridge that has no address: as given, or the one of a pod that had an address there. */
static int foreign_subnet(const struct net_config *config, struct net_subnet *ret)
{
	uint32_t mask;

	if (config->subnet.prefix) {
		*ret = config->subnet;
		return 0;
	}
	if (!config->ip.s_addr || config->prefix < 8 || config->prefix > 30)
		return -EADDRNOTAVAIL;
	mask = ~(UINT32_MAX >> config->prefix);
	*ret = (struct net_subnet){ { htonl(ntohl(config->ip.s_addr) & mask) }, config->prefix };
	return 0;
}

/*
 * Where hosts share an Ethernet, each begins at another place: two that choose at the same moment, or one whose
 * neighbour's pods are just stopped and cannot answer, hardly ever meet.
 */
static struct in_addr own_start(const struct rt_link *bridge, const struct net_subnet *subnet)
{
	uint32_t hash = 2166136261u; /* FNV-1a */

	for (size_t i = 0; i < sizeof(bridge->address); i++)
		hash = (hash ^ bridge->address[i]) * 16777619u;
	return (struct in_addr){ htonl(ntohl(subnet->address.s_addr) +
				       (hash & (UINT32_MAX >> subnet->prefix))) };
}

/* What is known of the bridge, and how addresses are chosen there. */
struct ground {
	struct rt_link bridge;
	struct claim_space space;
	bool shared;
};

static int list_links(struct nl_sock *sock, struct rt_link **ret, size_t *ret_n, struct ct_error *err)
{
	int r = rt_links(sock, ret, ret_n);

	return r < 0 ? error_errno(err, r, "list the links of this host") : 0;
}

static int look_at_bridge(struct nl_sock *sock, const struct net_config *config, struct ground *ret,
			  struct ct_error *err)
{
	const char *name = config->bridge[0] ? config->bridge : NET_BRIDGE;
	cleanup_free struct rt_link *links = NULL;
	struct claim_space *space = &ret->space;
	size_t n;
	int r = rt_link_get(sock, name, &ret->bridge);

	if (r < 0)
		return error_errno(err, r, "bridge '%s'", name);
	r = subnet_of_link(sock, ret->bridge.index, &space->subnet, &space->own);
	if (r == -ENOENT)
		r = foreign_subnet(config, &space->subnet);
	if (r == 0)
		r = subnet6_of_link(sock, ret->bridge.index, &space->subnet6, &space->own6);
	if (r == -ENOENT)
		r = 0;
	if (r < 0)
		return error_errno(err, r, "address of bridge '%s'", name);
	space->on6 = ipv6_on(name);
	r = list_links(sock, &links, &n, err);
	if (r < 0)
		return r;
	space->bridge = name;
	ret->shared = bridge_is_shared(links, n, ret->bridge.index);
	if (ret->shared)
		space->start = own_start(&ret->bridge, &space->subnet);
	return 0;
}

/* Where the bridge has no IPv6 subnet the pod may have any address; then neighbours are those of its own. */
static int choose_ip6(const struct rt_link *links, size_t n, const struct claim_space *space,
		      struct net_config *config, struct ct_error *err)
{
	struct in6_addr wish = config->ip6;
	int r;

	config->ip6 = config->gateway6 = in6addr_any;
	config->prefix6 = 0;
	r = config->no_ip6 ? 0 : claim_choose6(links, n, space, config->ip, &wish, &config->ip6, err);
	if (r < 0 || IN6_IS_ADDR_UNSPECIFIED(&config->ip6))
		return r;
	config->prefix6 = space->subnet6.prefix ? space->subnet6.prefix : 64;
	if (ipv6_forwards())
		config->gateway6 = space->own6;
	return 0;
}

/* Completes the configuration: bridge's subnet, address, hardware address, MTU. Under the lock. */
static int choose_config(struct nl_sock *sock, const struct ground *ground, struct net_config *config,
			 struct ct_error *err)
{
	static const uint8_t none[6];
	cleanup_free struct rt_link *links = NULL;
	size_t n;
	int r = list_links(sock, &links, &n, err);

	if (r == 0)
		r = claim_choose(links, n, &ground->space, config->ip, &config->ip, err);
	if (r < 0)
		return r;
	config->prefix = ground->space.subnet.prefix;
	config->gateway = ground->space.own;
	r = choose_ip6(links, n, &ground->space, config, err);
	if (r < 0)
		return r;
	if (!memcmp(config->mac, none, sizeof(none))) {
		config->mac[0] = 0x02;
		config->mac[1] = 0x42;
		memcpy(config->mac + 2, &config->ip, 4);
	}
	r = claim_check_mac(links, n, ground->bridge.index, config->mac, err);
	if (r < 0)
		return r;
	if (!config->mtu)
		config->mtu = config->bridge[0] ? ground->bridge.mtu : host_mtu(sock);
	return 0;
}

/*
 * Chooses the address and makes the pair that stands for the claim, as one step for the whole host.
 */
static int claim_and_make(struct pair *pair, int netns_fd, const char *host_name,
			  const struct ground *ground, struct net_config *config, struct ct_error *err)
{
	cleanup_fd int lock = claim_lock(err);
	struct rt_link_change change = { .no_ipv6_address = true };
	char alias[CLAIM_TEXT_MAX];
	struct claim claim;
	struct rt_link link;
	int r;

	if (lock < 0)
		return lock;
	r = choose_config(pair->sock, ground, config, err);
	if (r < 0)
		return r;
	claim = (struct claim){ .ip = config->ip, .ip6 = config->ip6 };
	if (!rt_link_get(pair->sock, host_name, &link))
		return error_set(err, -EEXIST, "link '%s' exists", host_name);
	r = rt_veth_add(pair->sock, host_name, INSIDE, netns_fd, config->mac, config->mtu);
	if (r == -EEXIST)
		return error_set(err, r, "link '" INSIDE "' exists in the pod's network namespace");
	if (r == 0)
		r = rt_link_get(pair->sock, host_name, &link);
	if (r < 0)
		return error_errno(err, r, "create link '%s'", host_name);
	pair->index = link.index;

	/*
	 * The host end needs no address of its own; where IPv6 is off this is refused and not
	 * needed.
	 */
	rt_link_set(pair->sock, link.index, &change);
	memcpy(claim.mac, config->mac, sizeof(claim.mac));
	claim_text(&claim, alias);
	change = (struct rt_link_change){ .alias = alias, .master = ground->bridge.index };
	r = rt_link_set(pair->sock, link.index, &change);
	/*
	 * The port will forward as soon as it has a carrier. Closed, it passes nothing even then.
	 */
	if (r == 0 && config->locked)
		r = rt_port_set(pair->sock, link.index, false, -1);
	return r < 0 ? error_errno(err, r, "set up link '%s'", host_name) : 0;
}

static int answered(int family, const struct net_config *config, const char *bridge, const uint8_t m[6],
		    struct ct_error *err)
{
	const void *ip = family == AF_INET6 ? (const void *)&config->ip6 : &config->ip;
	char text[INET6_ADDRSTRLEN];

	return error_set(err, -EADDRINUSE,
			 "address %s is taken: %02x:%02x:%02x:%02x:%02x:%02x answers for it on the bridge '%s'; "
			 "choose another with %s",
			 inet_ntop(family, ip, text, sizeof(text)), m[0], m[1], m[2], m[3], m[4], m[5], bridge,
			 family == AF_INET6 ? "--ip6" : "--ip");
}

/*
 * Claims an address that nobody on the Ethernet has. The claim comes first and outside the lock is asked: whoever else
 * chooses on this host meanwhile takes another one.
 */
static int claim_on_ground(struct pair *pair, int netns_fd, const char *host_name,
			   struct net_config *config, struct ct_error *err)
{
	struct ground ground = { 0 };
	uint8_t mac[6] = { 0 };
	int r = look_at_bridge(pair->sock, config, &ground, err);

	for (int tries = 0; r == 0 && tries < PROBED_MAX; tries++) {
		struct net_config chosen = *config;

		r = claim_and_make(pair, netns_fd, host_name, &ground, &chosen, err);
		if (r == 0 && ground.shared && !config->asked)
			r = address_probe(&ground.bridge, chosen.ip, &chosen.ip6, NULL, mac, err);
		if (r < 0)
			return r;
		if (r == 0) {
			*config = chosen;
			return 0;
		}
		if (config->ip.s_addr || (r == AF_INET6 && !IN6_IS_ADDR_UNSPECIFIED(&config->ip6)))
			return answered(r, &chosen, ground.space.bridge, mac, err);
		pair_undo(pair);
		pair->index = 0;
		ground.space.start.s_addr = htonl(ntohl(chosen.ip.s_addr) + 1);
		r = 0;
	}
	return r < 0 ? r
		     : error_set(err, -EADDRNOTAVAIL,
				 "%d addresses on the bridge '%s' were tried, and others have them all; "
				 "choose one with --ip",
				 PROBED_MAX, ground.space.bridge);
}

/*
 * Runs inside the namespace: /proc/sys/net shows the namespace of whoever looks. Its addresses are known to be the pod's alone;
 * waiting for the check would hold up a restored pod. And they are all it has: what a router gives it, of addresses and
 * routes, would be another elsewhere.
 */
static int set_up_ipv6(void *arg)
{
	static const struct {
		const char *path, *value;
	} settings[] = {
		{ CONF "accept_dad", "0" },
		{ CONF "accept_ra", "0" },
		{ CONF "disable_ipv6", "0" },
	};
	const struct net_config *config = arg;
	size_t n = IN6_IS_ADDR_UNSPECIFIED(&config->ip6) ? 2 : 3;
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++)
		r = io_write_file(AT_FDCWD, settings[i].path, settings[i].value);
	return r == -ENOENT ? 0 : r; /* IPv6 is off */
}

static int loopback_up(struct nl_sock *inside, struct ct_error *err)
{
	struct rt_link lo;
	int r = rt_link_get(inside, "lo", &lo);

	if (r == 0)
		r = rt_link_set(inside, lo.index, &(struct rt_link_change){ .up = true });
	return r < 0 ? error_errno(err, r, "bring link 'lo' up inside") : 0;
}

/* Brings both ends up: first the host's, so that the carrier is there when the pod's comes up. */
static int links_up(struct pair *pair, struct nl_sock *inside, const char *host_name, int eth0,
		    struct ct_error *err)
{
	const struct rt_link_change up = { .up = true };
	cleanup_sock struct nl_sock *events = NULL;
	int r = netlink_open(-1, NETLINK_ROUTE, &events, err);

	if (r < 0)
		return r;
	if (nl_socket_add_membership(events, RTNLGRP_LINK) < 0)
		return error_errno(err, -EIO, "listen for changes of links");
	r = rt_link_set(pair->sock, pair->index, &up);
	if (r < 0)
		return error_errno(err, r, "bring link '%s' up", host_name);
	r = rt_link_set(inside, eth0, &up);
	if (r < 0)
		return error_errno(err, r, "bring link '" INSIDE "' up inside");
	return carrier_wait(pair->sock, events, host_name, true, err);
}

static int set_up_inside(struct pair *pair, int netns_fd, const char *host_name,
			 const struct net_config *config, struct ct_error *err)
{
	cleanup_sock struct nl_sock *inside = NULL;
	struct rt_link eth0;
	int r = netlink_open(netns_fd, NETLINK_ROUTE, &inside, err);

	if (r < 0)
		return r;
	r = loopback_up(inside, err);
	if (r < 0)
		return r;
	r = rt_link_get(inside, INSIDE, &eth0);
	if (r < 0)
		return error_errno(err, r, "link '" INSIDE "' inside");
	r = netns_call(netns_fd, set_up_ipv6, (void *)config);
	if (r < 0)
		return error_errno(err, r, "write the IPv6 settings of '" INSIDE "' inside");
	r = links_up(pair, inside, host_name, eth0.index, err);
	if (r == 0 && config->locked)
		r = net_lock(host_name, err);
	if (r < 0)
		return r;
	r = rt_address_add(inside, eth0.index, config->ip, config->prefix);
	if (r == 0 && !IN6_IS_ADDR_UNSPECIFIED(&config->ip6))
		r = rt_address6_add(inside, eth0.index, &config->ip6, config->prefix6);
	if (r < 0)
		return error_errno(err, r, "set the address of '" INSIDE "' inside");
	if (config->gateway.s_addr) /* else a bridge that leads nowhere else */
		r = rt_default_route_add(inside, eth0.index, AF_INET, &config->gateway);
	if (r == 0 && !IN6_IS_ADDR_UNSPECIFIED(&config->gateway6))
		r = rt_default_route_add(inside, eth0.index, AF_INET6, &config->gateway6);
	return r < 0 ? error_errno(err, r, "set the default route inside") : 0;
}

/* A mistake here would give the host itself a new link and default route. */
static int check_arguments(int netns_fd, const char *host_name, struct ct_error *err)
{
	size_t n = strlen(host_name);
	struct stat own, pod;

	if (stat("/proc/thread-self/ns/net", &own) < 0 || fstat(netns_fd, &pod) < 0)
		return error_errno(err, -errno, "network namespace of the pod");
	if (own.st_dev == pod.st_dev && own.st_ino == pod.st_ino)
		return error_set(err, -EINVAL, "the pod has the host's own network namespace");
	if (n == 0 || n >= IFNAMSIZ)
		return error_set(err, -EINVAL, "link name '%s' must have 1 to %d characters",
				 host_name, IFNAMSIZ - 1);
	return 0;
}

int net_attach(int netns_fd, const char *host_name, struct net_config *config, struct ct_error *err)
{
	cleanup_sock struct nl_sock *sock = NULL;
	__cleanup(pair_undo) struct pair pair = {
		0
	}; /* undone before the socket it needs is closed */
	struct net_config chosen = *config;
	int r = check_arguments(netns_fd, host_name, err);

	if (r == 0)
		r = netlink_open(-1, NETLINK_ROUTE, &sock, err);
	if (r < 0)
		return r;
	pair.sock = sock;
	r = claim_on_ground(&pair, netns_fd, host_name, &chosen, err);
	if (r == 0)
		r = set_up_inside(&pair, netns_fd, host_name, &chosen, err);
	if (r < 0)
		return r;
	pair.index = 0; /* it stays */
	*config = chosen;
	return 0;
}

int net_check(struct net_config *config, bool in_use, struct ct_error *err)
{
	cleanup_free struct rt_link *links = NULL;
	cleanup_sock struct nl_sock *sock = NULL;
	struct address_holder holder = { 0 };
	struct ground ground = { 0 };
	struct claim_space *space = &ground.space;
	struct net_config chosen = *config;
	uint8_t mac[6];
	size_t n;
	int r = netlink_open(-1, NETLINK_ROUTE, &sock, err);

	if (r == 0)
		r = look_at_bridge(sock, config, &ground, err);
	if (r == 0 && !config->bridge[0] && space->on6 && !space->subnet6.prefix) /* it will have one by then */
		r = subnet6_choose(sock, &space->subnet, &space->subnet6, err);
	if (r == 0)
		r = list_links(sock, &links, &n, err);
	if (r == 0)
		r = claim_choose(links, n, space, config->ip, &chosen.ip, err);
	if (r == 0 && !config->no_ip6)
		r = claim_choose6(links, n, space, chosen.ip, &config->ip6, &chosen.ip6, err);
	if (r == 0)
		r = claim_check_mac(links, n, ground.bridge.index, config->mac, err);
	if (r < 0 || !ground.shared)
		return r;
	memcpy(holder.mac, config->mac, sizeof(holder.mac));
	r = address_probe(&ground.bridge, chosen.ip, &chosen.ip6, in_use ? &holder : NULL, mac, err);
	config->asked = r == 0 && holder.answered && (config->no_ip6 || holder.answered6);
	return r > 0 ? answered(r, &chosen, space->bridge, mac, err) : r;
}

int net_loopback_up(int netns_fd, struct ct_error *err)
{
	cleanup_sock struct nl_sock *inside = NULL;
	int r = netlink_open(netns_fd, NETLINK_ROUTE, &inside, err);

	return r < 0 ? r : loopback_up(inside, err);
}

/* Takes the ports from a pod's link and finishes it off by `finish`; absent is fine. */
static int end_link(const char *host_name, int (*finish)(struct nl_sock *sock, int index), const char *what,
		    struct ct_error *err)
{
	cleanup_sock struct nl_sock *sock = NULL;
	struct rt_link link;
	int r = net_unpublish(host_name, err);

	if (r == 0)
		r = netlink_open(-1, NETLINK_ROUTE, &sock, err);
	if (r < 0)
		return r;
	r = rt_link_get(sock, host_name, &link);
	if (r == 0)
		r = finish(sock, link.index);
	return r < 0 && r != -ENODEV ? error_errno(err, r, "%s '%s'", what, host_name) : 0;
}

static int give_up(struct nl_sock *sock, int index)
{
	char alias[CLAIM_TEXT_MAX];
	int r;

	claim_text(&(struct claim){ 0 }, alias);
	r = rt_link_set(sock, index, &(struct rt_link_change){ .alias = alias });
	/* Last: a change of the alias is one of those that would switch a disabled port on (net_lock()). */
	return r < 0 ? r : rt_port_set(sock, index, false, BR_STATE_DISABLED);
}

int net_give_up(const char *host_name, struct ct_error *err)
{
	return end_link(host_name, give_up, "give up the address of link", err);
}

int net_detach(const char *host_name, struct ct_error *err)
{
	return end_link(host_name, rt_link_delete, "remove link", err);
}
