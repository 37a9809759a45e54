/* SPDX-License-Identifier: Apache-2.0 */
/* Bridges that span hosts: made, shown and removed. */
#include <arpa/inet.h>
#include <linux/rtnetlink.h>
#include <netlink/netlink.h>
#include <stdio.h>
#include <string.h>

#include "libct/base/error.h"
#include "netns/claim.h"
#include "netns/nat.h"
#include "netns/net.h"
#include "netns/netlink.h"

#define MARK "podckpt network"
#define VXLAN_PREFIX "vx-"
#define OWN_TRIES 32

static bool is_own(const struct rt_link *l)
{
	return !strcmp(l->alias, MARK) || !strcmp(l->name, NET_BRIDGE);
}

/* ---- list ---- */

static void describe_ports(const struct rt_link *links, size_t n, int bridge, struct net_network *ret)
{
	struct claim claim;

	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(ret->ports);

		if (links[i].master != bridge)
			continue;
		if (claim_of_link(&links[i], &claim))
			ret->n_pods += claim_stands(&claim);
		else
			snprintf(ret->ports + len, sizeof(ret->ports) - len, "%s%s", len ? " " : "",
				 links[i].name);
	}
}

int net_network_list(struct net_network **ret, size_t *ret_n, struct ct_error *err)
{
	cleanup_free struct net_network *list = NULL;
	cleanup_sock struct nl_sock *sock = NULL;
	cleanup_free struct rt_link *links = NULL;
	size_t n = 0, count = 0;
	int r = netlink_open(-1, NETLINK_ROUTE, &sock, err);

	if (r < 0)
		return r;
	r = rt_links(sock, &links, &n);
	if (r == 0)
		list = calloc(n + 1, sizeof(*list));
	if (r == 0 && !list)
		r = -ENOMEM;
	for (size_t i = 0; r == 0 && i < n; i++) {
		struct net_subnet subnet = { 0 };
		struct net_subnet6 subnet6 = { 0 };
		struct net_network *to = &list[count];

		if (strcmp(links[i].kind, "bridge"))
			continue;
		count++;
		strcpy(to->name, links[i].name);
		to->own = is_own(&links[i]);
		to->up = links[i].flags & IFF_UP;
		r = subnet_of_link(sock, links[i].index, &subnet, &to->ip);
		to->prefix = subnet.prefix;
		if (r == 0 || r == -ENOENT)
			r = subnet6_of_link(sock, links[i].index, &subnet6, &to->ip6);
		to->prefix6 = subnet6.prefix;
		r = r == -ENOENT ? 0 : r;
		describe_ports(links, n, links[i].index, to);
	}
	if (r < 0)
		return error_errno(err, r, "list the bridges of this host");
	*ret = take_ptr(list);
	*ret_n = count;
	return 0;
}

/* ---- create ---- */

/* What was made so far, and what is done with it; undone where it does not all succeed. */
struct making {
	struct nl_sock *sock;
	const struct net_network_options *o;
	struct rt_link bridge, vxlan; /* index 0: not made */
	const char *port;	      /* NULL: none */
	bool nat;
};

static void making_undo(struct making *m)
{
	if (m->nat)
		nat_remove(m->o->name, NULL);
	if (m->vxlan.index)
		rt_link_delete(m->sock, m->vxlan.index);
	if (m->bridge.index) /* its ports are let go */
		rt_link_delete(m->sock, m->bridge.index);
}

/* The name becomes part of a chain's, too. */
static bool name_valid(const char *name)
{
	return strlen(name) <= IFNAMSIZ - sizeof(VXLAN_PREFIX) &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") ==
		       strlen(name) &&
	       *name && *name != '-';
}

static int get_link(struct nl_sock *sock, const char *name, struct rt_link *ret, struct ct_error *err)
{
	int r = rt_link_get(sock, name, ret);

	if (r == -ENODEV)
		return error_set(err, r, "there is no link '%s' on this host", name);
	return r < 0 ? error_errno(err, r, "link '%s'", name) : 0;
}

/* An address of a port is dead: the bridge gets the packets. So a link that has one is not taken. */
static int check_no_address(struct nl_sock *sock, const struct rt_link *l, struct ct_error *err)
{
	cleanup_free struct rt_address *list = NULL;
	char text[INET6_ADDRSTRLEN];
	size_t n;
	int r = rt_addresses(sock, AF_UNSPEC, &list, &n);

	if (r < 0)
		return error_errno(err, r, "list the addresses of this host");
	for (size_t i = 0; i < n; i++) {
		if (list[i].index != l->index ||
		    (list[i].family == AF_INET6 && list[i].scope == RT_SCOPE_LINK))
			continue;
		return error_set(err, -EBUSY,
				 "link '%s' has the address %s/%u, by which this host is not reached any more "
				 "once the link is a port of a bridge; move the address to a bridge by the "
				 "host's own network configuration and give that one to podckpt run --net "
				 "bridge:NAME",
				 l->name, inet_ntop(list[i].family, list[i].bytes, text, sizeof(text)),
				 list[i].prefix);
	}
	return 0;
}

static int check_uplink(struct nl_sock *sock, const char *name, struct ct_error *err)
{
	struct rt_link l, master = { 0 };
	cleanup_free struct rt_link *links = NULL;
	size_t n;
	int r = get_link(sock, name, &l, err);

	if (r < 0)
		return r;
	if (l.flags & IFF_LOOPBACK || !strcmp(l.kind, "bridge"))
		return error_set(err, -EINVAL, "link '%s' cannot be a port of a bridge", name);
	if (!l.master)
		return check_no_address(sock, &l, err);
	r = rt_links(sock, &links, &n);
	for (size_t i = 0; r == 0 && i < n; i++)
		if (links[i].index == l.master)
			master = links[i];
	return error_set(err, -EBUSY, "link '%s' already belongs to '%s'; take it out first (ip link set %s "
				      "nomaster), or use that one", name, master.name, name);
}

static int check(struct nl_sock *sock, const struct net_network_options *o, struct ct_error *err)
{
	struct rt_link l;

	if (!name_valid(o->name))
		return error_set(err, -EINVAL, "'%s' cannot be the name of a bridge for pods (1 to %d letters, "
					       "digits, '_' and '-')",
				 o->name, (int)(IFNAMSIZ - sizeof(VXLAN_PREFIX)));
	if (!strcmp(o->name, NET_BRIDGE))
		return error_set(err, -EINVAL, "the bridge '" NET_BRIDGE "' is made when the first pod needs it");
	if (!rt_link_get(sock, o->name, &l))
		return error_set(err, -EEXIST, "link '%s' exists", o->name);
	if (o->prefix && (o->prefix < 8 || o->prefix > 30))
		return error_set(err, -EINVAL, "the prefix of a subnet must be from 8 to 30");
	if (o->uplink && o->vxlan.s_addr)
		return error_set(err, -EINVAL, "a bridge gets an uplink or a VXLAN, not both");
	if (!o->vxlan.s_addr)
		return o->uplink ? check_uplink(sock, o->uplink, err) : 0;
	if (!o->dev)
		return error_set(err, -EINVAL, "a VXLAN needs the link it runs over: --dev");
	if (!o->prefix)
		return error_set(err, -EINVAL, "a bridge with a VXLAN needs a subnet, the same on every host: "
					       "--subnet");
	if (!o->id || o->id >= 1u << 24)
		return error_set(err, -EINVAL, "the number of a VXLAN is from 1 to %u", (1u << 24) - 1);
	return get_link(sock, o->dev, &l, err);
}

static int make_vxlan(struct making *m, char name[IFNAMSIZ], struct ct_error *err)
{
	struct rt_link dev;
	int r = get_link(m->sock, m->o->dev, &dev, err);

	if (r < 0)
		return r;
	snprintf(name, IFNAMSIZ, VXLAN_PREFIX "%s", m->o->name);
	r = rt_vxlan_add(m->sock, name, m->o->vxlan, dev.index, m->o->id);
	if (r == -EEXIST)
		return error_set(err, r, "a VXLAN with the number %u or the name '%s' exists", m->o->id, name);
	if (r == -EOPNOTSUPP)
		return error_set(err, -ENOSYS, "this kernel has no VXLAN (CONFIG_VXLAN)");
	if (r == 0)
		r = rt_link_get(m->sock, name, &m->vxlan);
	if (r == 0)
		r = rt_link_set(m->sock, m->vxlan.index, &(struct rt_link_change){ .alias = MARK });
	return r < 0 ? error_errno(err, r, "create VXLAN '%s'", name) : 0;
}

/* Puts the port in, brings both up and waits until packets pass. */
static int bring_up(struct making *m, struct ct_error *err)
{
	cleanup_sock struct nl_sock *events = NULL;
	struct rt_link port;
	int r = netlink_open(-1, NETLINK_ROUTE, &events, err);

	if (r < 0)
		return r;
	if (nl_socket_add_membership(events, RTNLGRP_LINK) < 0)
		return error_errno(err, -EIO, "listen for changes of links");
	r = rt_link_set(m->sock, m->bridge.index, &(struct rt_link_change){ .up = true });
	if (r < 0)
		return error_errno(err, r, "bring bridge '%s' up", m->o->name);
	if (!m->port)
		return 0;
	r = get_link(m->sock, m->port, &port, err);
	if (r < 0)
		return r;
	r = rt_link_set(m->sock, port.index,
			&(struct rt_link_change){ .up = true, .master = m->bridge.index });
	if (r < 0)
		return error_errno(err, r, "make link '%s' a port of bridge '%s'", m->port, m->o->name);
	return carrier_wait(m->sock, events, m->port, false, err);
}

/* The bridge's own address: the one that was given, or the first that nobody answers for. */
static int choose_own(struct making *m, const struct net_subnet *subnet, struct in_addr *ret,
		      struct ct_error *err)
{
	uint32_t first = ntohl(subnet->address.s_addr) + 1;
	bool given = m->o->ip.s_addr != subnet->address.s_addr && m->o->prefix;
	char text[INET_ADDRSTRLEN];
	uint8_t mac[6];

	for (uint32_t i = 0; i < OWN_TRIES && i < (UINT32_MAX >> subnet->prefix) - 1; i++) {
		int r = 0;

		ret->s_addr = given ? m->o->ip.s_addr : htonl(first + i);
		if (m->port)
			r = address_probe(&m->bridge, *ret, &in6addr_any, NULL, mac, err);
		if (r <= 0)
			return r;
		if (given)
			return error_set(err, -EADDRINUSE,
					 "address %s is taken: %02x:%02x:%02x:%02x:%02x:%02x answers for it",
					 inet_ntop(AF_INET, ret, text, sizeof(text)), mac[0], mac[1],
					 mac[2], mac[3], mac[4], mac[5]);
	}
	return error_set(err, -EADDRNOTAVAIL, "the first addresses of the subnet are all taken; give one of "
					      "this host's own with --subnet ADDRESS/N");
}

static int set_address(struct making *m, struct ct_error *err)
{
	const struct net_network_options *o = m->o;
	struct net_subnet subnet, wish = { .prefix = o->prefix };
	struct net_subnet6 subnet6;
	struct in_addr own;
	bool nat;
	int r;

	if (!o->prefix && o->uplink) /* it gets its own where the uplink's network says so */
		return 0;
	wish.address.s_addr = o->prefix ? o->ip.s_addr & htonl(~(UINT32_MAX >> o->prefix)) : 0;
	r = subnet_choose(m->sock, o->prefix ? &wish : NULL, &subnet, err);
	if (r == 0)
		r = choose_own(m, &subnet, &own, err);
	if (r < 0)
		return r;
	r = rt_address_add(m->sock, m->bridge.index, own, subnet.prefix);
	if (r < 0)
		return error_errno(err, r, "set the address of bridge '%s'", o->name);
	r = subnet6_ensure(m->sock, &m->bridge, &subnet, own, &subnet6, err);
	if (r < 0 || o->uplink)
		return r;
	r = forwarding_on(err);
	if (r < 0)
		return r;
	m->nat = true;
	return nat_ensure(o->name, &subnet, &subnet6, &nat, err);
}

int net_network_create(const struct net_network_options *options, struct ct_error *err)
{
	cleanup_sock struct nl_sock *sock = NULL;
	cleanup_fd int lock = claim_lock(err);
	__cleanup(making_undo) struct making m = { .o = options };
	char vxlan[IFNAMSIZ];
	int r;

	if (lock < 0)
		return lock;
	r = netlink_open(-1, NETLINK_ROUTE, &sock, err);
	if (r < 0)
		return r;
	m.sock = sock;
	r = check(sock, options, err);
	if (r == 0)
		r = bridge_make(sock, options->name, &m.bridge, err);
	if (r == 0) {
		r = rt_link_set(sock, m.bridge.index, &(struct rt_link_change){ .alias = MARK });
		if (r < 0)
			error_errno(err, r, "mark bridge '%s'", options->name);
	}
	m.port = options->uplink;
	if (r == 0 && options->vxlan.s_addr) {
		r = make_vxlan(&m, vxlan, err);
		m.port = vxlan;
	}
	if (r == 0)
		r = bring_up(&m, err);
	if (r == 0)
		r = set_address(&m, err);
	if (r < 0)
		return r;
	m.bridge.index = m.vxlan.index = 0; /* they stay */
	m.nat = false;
	return 0;
}

/* ---- remove ---- */

static int check_unused(const struct rt_link *links, size_t n, const struct rt_link *bridge,
			struct ct_error *err)
{
	char text[INET_ADDRSTRLEN], more[32] = "";
	struct claim claim, first = { 0 };
	size_t count = 0;

	for (size_t i = 0; i < n; i++)
		if (links[i].master == bridge->index && claim_of_link(&links[i], &claim) &&
		    claim_stands(&claim) && !count++)
			first = claim;
	if (!count)
		return 0;
	if (count > 1)
		snprintf(more, sizeof(more), " and %zu more", count - 1);
	return error_set(err, -EBUSY, "bridge '%s' is in use by the pod at %s%s; end them first", bridge->name,
			 inet_ntop(AF_INET, &first.ip, text, sizeof(text)), more);
}

int net_network_remove(const char *name, struct ct_error *err)
{
	cleanup_sock struct nl_sock *sock = NULL;
	cleanup_fd int lock = claim_lock(err);
	cleanup_free struct rt_link *links = NULL;
	struct rt_link bridge;
	size_t n = 0;
	int r = lock < 0 ? lock : netlink_open(-1, NETLINK_ROUTE, &sock, err);

	if (r < 0)
		return r;
	r = rt_link_get(sock, name, &bridge);
	if (r == -ENODEV || (r == 0 && strcmp(bridge.kind, "bridge")))
		return error_set(err, -ENODEV, "there is no bridge '%s' on this host", name);
	if (r == 0 && !is_own(&bridge))
		return error_set(err, -EINVAL, "bridge '%s' was not made by podckpt network create; it is left "
					      "alone", name);
	if (r == 0)
		r = rt_links(sock, &links, &n);
	if (r < 0)
		return error_errno(err, r, "bridge '%s'", name);
	r = check_unused(links, n, &bridge, err);
	if (r < 0)
		return r;
	for (size_t i = 0; r == 0 && i < n; i++)
		if (links[i].master == bridge.index && !strcmp(links[i].kind, "vxlan") && is_own(&links[i]))
			r = rt_link_delete(sock, links[i].index);
	if (r == 0)
		r = rt_link_delete(sock, bridge.index);
	if (r < 0)
		return error_errno(err, r, "remove bridge '%s'", name);
	return nat_remove(name, err);
}
