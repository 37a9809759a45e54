/* SPDX-License-Identifier: Apache-2.0 */
/* A pod's addresses: as a user gives them, and in a document. */
#include <arpa/inet.h>
#include <string.h>

#include "images/node.h"
#include "libct/base/error.h"
#include "libct/pod/config-impl.h"
#include "libct/pod/pod.h"

/* One of a host, and not of this link or host only. */
static bool is_global(const struct in6_addr *ip)
{
	return !IN6_IS_ADDR_UNSPECIFIED(ip) && !IN6_IS_ADDR_LOOPBACK(ip) && !IN6_IS_ADDR_MULTICAST(ip) &&
	       !IN6_IS_ADDR_LINKLOCAL(ip) && !IN6_IS_ADDR_V4MAPPED(ip) && !IN6_IS_ADDR_V4COMPAT(ip);
}

/* ---- from a user ---- */

int pod_config_set_ip(struct pod_config *config, const char *text, struct ct_error *err)
{
	struct in_addr ip;

	if (inet_pton(AF_INET, text, &ip) != 1 || !ip.s_addr)
		return error_set(err, -EINVAL, "'%s' is not an IPv4 address", text);
	config->address.ip = ip;
	return 0;
}

int pod_config_set_ip6(struct pod_config *config, const char *text, struct ct_error *err)
{
	struct in6_addr ip = in6addr_any;

	if (strcmp(text, "auto") && strcmp(text, "none") && (inet_pton(AF_INET6, text, &ip) != 1 || !is_global(&ip)))
		return error_set(err, -EINVAL, "'%s' is not an IPv6 address of a pod, auto or none", text);
	config->address.ip6 = ip;
	config->address.no_ip6 = !strcmp(text, "none");
	return 0;
}

int pod_config_move(struct pod_config *config, const char *ip, const char *ip6, struct ct_error *err)
{
	struct net_config *a = &config->address;
	bool made = !memcmp(a->ip6.s6_addr + 12, &a->ip, sizeof(a->ip));
	int r = 0;

	if (config->net != CT_NET_BRIDGE)
		return error_set(err, -EINVAL, "the pod has no network of its own, so no --ip");
	if (ip) {
		memset(a->mac, 0, sizeof(a->mac));
		if (made)
			a->ip6 = in6addr_any;
		r = pod_config_set_ip(config, ip, err);
	}
	return r == 0 && ip6 ? pod_config_set_ip6(config, ip6, err) : r;
}

/* ---- in a document ---- */

void address_put(struct node *to, const struct net_config *a)
{
	struct node *n = node_put_object(to, "address");
	char text[INET6_ADDRSTRLEN];

	node_put_str(n, "ip", inet_ntop(AF_INET, &a->ip, text, sizeof(text)));
	node_put_u64(n, "prefix", a->prefix);
	node_put_str(n, "gateway", inet_ntop(AF_INET, &a->gateway, text, sizeof(text)));
	snprintf(text, sizeof(text), "%02x:%02x:%02x:%02x:%02x:%02x", a->mac[0], a->mac[1],
		 a->mac[2], a->mac[3], a->mac[4], a->mac[5]);
	node_put_str(n, "mac", text);
	node_put_u64(n, "mtu", a->mtu);
	if (a->bridge[0])
		node_put_str(n, "bridge", a->bridge);
	if (IN6_IS_ADDR_UNSPECIFIED(&a->ip6))
		return;
	node_put_str(n, "ip6", inet_ntop(AF_INET6, &a->ip6, text, sizeof(text)));
	node_put_u64(n, "prefix6", a->prefix6);
	if (!IN6_IS_ADDR_UNSPECIFIED(&a->gateway6))
		node_put_str(n, "gateway6", inet_ntop(AF_INET6, &a->gateway6, text, sizeof(text)));
}

static struct in_addr get_ip(const struct node *from, const char *key)
{
	const char *text = node_str(from, key);
	struct in_addr ip = { 0 };

	if (text && *text && inet_pton(AF_INET, text, &ip) != 1)
		node_complain(from, "'%s' is not an IPv4 address", text);
	return ip;
}

static struct in6_addr get_ip6(const struct node *from, const char *key)
{
	const char *text = node_str(from, key);
	struct in6_addr ip = in6addr_any;

	if (inet_pton(AF_INET6, text ? text : "", &ip) != 1 || !is_global(&ip))
		node_complain(from, "'%s' is not an IPv6 address of a pod", text);
	return ip;
}

/* A pod that had no IPv6 address does not get one by being restored. */
static void get_ipv6(const struct node *from, struct net_config *a)
{
	a->no_ip6 = !node_has(from, "ip6");
	if (a->no_ip6)
		return;
	a->ip6 = get_ip6(from, "ip6");
	a->prefix6 = (unsigned int)node_u64(from, "prefix6", 128);
	if (!a->prefix6)
		node_complain(from, "a network of all IPv6 addresses");
	if (node_has(from, "gateway6"))
		a->gateway6 = get_ip6(from, "gateway6");
}

void address_get(const struct node *from, struct pod_config *config)
{
	struct net_config *a = &config->address;
	const char *mac;

	a->ip = get_ip(from, "ip");
	a->prefix = (unsigned int)node_u64(from, "prefix", 32);
	a->gateway = get_ip(from, "gateway");
	a->mtu = (uint32_t)node_u64(from, "mtu", 65535);
	if (node_has(from, "bridge") && pod_config_set_bridge(config, node_str(from, "bridge")) < 0)
		node_complain(from, "'%s' cannot be the name of a bridge", node_str(from, "bridge"));
	mac = node_str(from, "mac");
	if (mac && *mac && mac_parse(mac, a->mac) < 0)
		node_complain(from, "'%s' is not a MAC address", mac);
	get_ipv6(from, a);
}
