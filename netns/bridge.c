/* SPDX-License-Identifier: Apache-2.0 */
/* The bridge that all pods of a host hang on. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/random.h>

#include "libct/base/error.h"
#include "libct/base/io.h"
#include "netns/claim.h"
#include "netns/nat.h"
#include "netns/net.h"
#include "netns/netlink.h"

#define IP_FORWARD "/proc/sys/net/ipv4/ip_forward"

int forwarding_on(struct ct_error *err)
{
	cleanup_free char *text = NULL;
	ssize_t n = io_read_file(AT_FDCWD, IP_FORWARD, 64, &text);
	int r;

	if (n < 0)
		return error_errno(err, (int)n, "read '" IP_FORWARD "'");
	if (text[0] != '0')
		return 0;
	r = io_write_file(AT_FDCWD, IP_FORWARD, "1");
	return r < 0 ? error_errno(err, r, "write '" IP_FORWARD "'") : 0;
}

/*
 * Hosts may share an Ethernet through their bridges, so the address must differ: a random local
 * one.
 */
int bridge_make(struct nl_sock *sock, const char *name, struct rt_link *ret, struct ct_error *err)
{
	uint8_t mac[6];
	int r;

	if (getrandom(mac, sizeof(mac), 0) != sizeof(mac))
		return error_errno(err, -errno, "getrandom");
	mac[0] = (mac[0] & 0xfc) | 0x02;
	r = rt_bridge_add(sock, name, mac);
	if (r < 0)
		return error_errno(err, r, "create bridge '%s'", name);
	r = rt_link_get(sock, name, ret);
	return r < 0 ? error_errno(err, r, "look at bridge '%s'", name) : 0;
}

static int check_same(const char *bridge, const struct net_subnet *wish,
		      const struct net_subnet *have, struct ct_error *err)
{
	char text[2][INET_ADDRSTRLEN];

	if (!wish || (wish->address.s_addr == have->address.s_addr && wish->prefix == have->prefix))
		return 0;
	return error_set(err, -EINVAL,
			 "bridge '%s' already has the subnet %s/%u and not %s/%u; "
			 "remove the pods and the bridge first to change it",
			 bridge, inet_ntop(AF_INET, &have->address, text[0], sizeof(text[0])), have->prefix,
			 inet_ntop(AF_INET, &wish->address, text[1], sizeof(text[1])),
			 wish->prefix);
}

/*
 * Each step looks at what is there: an earlier call may have been killed between any two of them.
 */
int net_bridge_ensure(const struct net_subnet *wish, struct net_subnet *ret, bool *ret_nat,
		      struct ct_error *err)
{
	cleanup_sock struct nl_sock *sock = NULL;
	cleanup_fd int lock = claim_lock(err);
	struct net_subnet subnet;
	struct net_subnet6 subnet6;
	struct in_addr own;
	struct rt_link bridge;
	int r;

	if (lock < 0)
		return lock;
	r = netlink_open(-1, NETLINK_ROUTE, &sock, err);
	if (r < 0)
		return r;
	r = rt_link_get(sock, NET_BRIDGE, &bridge);
	if (r == -ENODEV)
		r = bridge_make(sock, NET_BRIDGE, &bridge, err);
	else if (r < 0)
		error_errno(err, r, "look at bridge '" NET_BRIDGE "'");
	if (r < 0)
		return r;
	if (strcmp(bridge.kind, "bridge"))
		return error_set(err, -EEXIST,
				 "link '" NET_BRIDGE "' exists and is not a bridge; rename it");

	r = subnet_of_link(sock, bridge.index, &subnet, &own);
	if (r == 0) {
		r = check_same(NET_BRIDGE, wish, &subnet, err);
	} else if (r == -ENOENT) {
		r = subnet_choose(sock, wish, &subnet, err);
		if (r < 0)
			return r;
		own = subnet_gateway(&subnet);
		r = rt_address_add(sock, bridge.index, own, subnet.prefix);
		if (r < 0)
			error_errno(err, r, "set the address of bridge '" NET_BRIDGE "'");
	} else {
		error_errno(err, r, "read the address of bridge '" NET_BRIDGE "'");
	}
	if (r == 0)
		r = subnet6_ensure(sock, &bridge, &subnet, own, &subnet6, err);
	if (r < 0)
		return r;

	if (!(bridge.flags & IFF_UP)) {
		r = rt_link_set(sock, bridge.index, &(struct rt_link_change){ .up = true });
		if (r < 0)
			return error_errno(err, r, "bring bridge '" NET_BRIDGE "' up");
	}
	r = forwarding_on(err);
	if (r < 0)
		return r;
	r = nat_ensure(NET_BRIDGE, &subnet, &subnet6, ret_nat, err);
	if (r < 0)
		return r;
	*ret = subnet;
	return 0;
}

bool net_name_valid(const char *name)
{
	size_t n = strlen(name);

	if (n == 0 || n >= IFNAMSIZ || !strcmp(name, ".") || !strcmp(name, ".."))
		return false;
	for (const char *p = name; *p; p++)
		if (*p <= ' ' || *p == 0x7f || *p == '/' || *p == ':')
			return false;
	return true;
}

int net_bridge_check(const struct net_config *config, struct ct_error *err)
{
	const struct net_subnet *wish = config->subnet.prefix ? &config->subnet : NULL;
	const char *name = config->bridge;
	cleanup_sock struct nl_sock *sock = NULL;
	struct net_subnet subnet;
	struct rt_link bridge;
	int r = netlink_open(-1, NETLINK_ROUTE, &sock, err);

	if (r < 0)
		return r;
	r = rt_link_get(sock, name, &bridge);
	if (r == -ENODEV)
		return error_set(err, r,
				 "there is no bridge '%s' on this host; make it first (podckpt network "
				 "create %s)",
				 name, name);
	if (r < 0)
		return error_errno(err, r, "look at bridge '%s'", name);
	if (strcmp(bridge.kind, "bridge"))
		return error_set(err, -EINVAL, "link '%s' is not a bridge", name);
	if (!(bridge.flags & IFF_UP))
		return error_set(err, -ENETDOWN, "bridge '%s' is down; bring it up (ip link set %s up)",
				 name, name);
	r = subnet_of_link(sock, bridge.index, &subnet, NULL);
	if (r == 0)
		return check_same(name, wish, &subnet, err);
	if (r != -ENOENT)
		return error_errno(err, r, "read the address of bridge '%s'", name);
	if (!wish && !config->prefix) /* one that had an address there before needs none */
		return error_set(err, -EADDRNOTAVAIL,
				 "bridge '%s' has no IPv4 address; say with --subnet which one its pods are in",
				 name);
	return 0;
}
