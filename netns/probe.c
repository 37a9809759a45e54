/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was changed inside a pod's network: links, addresses, routes. The rest is in probe-traffic.c
 * and probe-filters.c.
 */
#include "netns/probe.h"

#include <arpa/inet.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "libct/base/error.h"
#include "netns/netlink.h"

#define LOOPBACK_MTU 65536
#define VETH_TXQLEN 1000
#define WANTED_MAX 5
#define IP6_PRIORITY 1024 /* the kernel's, of a route that has none */

void findings_add(struct findings *f, const char *format, ...)
{
	va_list ap;

	if (f->n == f->size) {
		size_t size = f->size ? f->size * 2 : 8;
		struct net_finding *grown = reallocarray(f->list, size, sizeof(*grown));

		if (!grown) {
			f->code = -ENOMEM;
			return;
		}
		f->list = grown;
		f->size = size;
	}
	va_start(ap, format);
	vsnprintf(f->list[f->n].text, sizeof(f->list[f->n].text), format, ap);
	va_end(ap);
	f->n++;
}

const char *probe_link_name(const struct rt_link *links, size_t n, int index, char buf[IFNAMSIZ])
{
	for (size_t i = 0; i < n; i++)
		if (links[i].index == index)
			return links[i].name;
	snprintf(buf, IFNAMSIZ, "%d", index);
	return buf;
}

/* The kernel puts these into every new namespace once their modules are loaded. */
static bool is_fallback_tunnel(const struct rt_link *l)
{
	static const struct {
		const char *name, *kind;
	} fallback[] = {
		{ "tunl0", "ipip" },	       { "sit0", "sit" },	{ "gre0", "gre" },
		{ "gretap0", "gretap" },       { "erspan0", "erspan" }, { "ip_vti0", "vti" },
		{ "ip6tnl0", "ip6tnl" },       { "ip6gre0", "ip6gre" }, { "ip6_vti0", "vti6" },
		{ "ip6gretap0", "ip6gretap" },
	};

	for (size_t i = 0; i < sizeof(fallback) / sizeof(fallback[0]); i++)
		if (!strcmp(l->name, fallback[i].name) && !strcmp(l->kind, fallback[i].kind))
			return !(l->flags & IFF_UP);
	return false;
}

static void check_common(struct findings *f, const struct rt_link *l, uint32_t mtu)
{
	if (!(l->flags & IFF_UP))
		findings_add(f, "link '%s' is down", l->name);
	if (l->mtu != mtu)
		findings_add(f, "MTU %u of link '%s' (it was made with %u)", l->mtu, l->name, mtu);
	if (l->xdp)
		findings_add(f, "XDP program on link '%s'", l->name);
}

static void check_eth0(struct findings *f, const struct rt_link *l, const struct net_config *config)
{
	const uint8_t *m = l->address;

	check_common(f, l, config->mtu);
	if (memcmp(m, config->mac, 6))
		findings_add(f, "hardware address %02x:%02x:%02x:%02x:%02x:%02x of link '%s'", m[0],
			     m[1], m[2], m[3], m[4], m[5], l->name);
	if (l->flags & (IFF_NOARP | IFF_PROMISC | IFF_ALLMULTI))
		findings_add(f, "link '%s' is set to%s%s%s", l->name,
			     l->flags & IFF_NOARP ? " noarp" : "",
			     l->flags & IFF_PROMISC ? " promiscuous" : "",
			     l->flags & IFF_ALLMULTI ? " allmulticast" : "");
	if (l->txqlen != VETH_TXQLEN)
		findings_add(f, "queue length %u of link '%s'", l->txqlen, l->name);
	if (l->master)
		findings_add(f, "link '%s' belongs to another link", l->name);
	if (l->alias[0])
		findings_add(f, "alias of link '%s'", l->name);
}

static void check_links(struct findings *f, const struct rt_link *links, size_t n,
			const struct net_config *config)
{
	bool lo = false, eth0 = false;

	for (size_t i = 0; i < n; i++) {
		const struct rt_link *l = &links[i];

		if (l->flags & IFF_LOOPBACK && !strcmp(l->name, "lo")) {
			check_common(f, l, LOOPBACK_MTU);
			lo = true;
		} else if (config && !strcmp(l->name, "eth0") && !strcmp(l->kind, "veth")) {
			check_eth0(f, l, config);
			eth0 = true;
		} else if (!is_fallback_tunnel(l)) {
			findings_add(f, "link '%s'", l->name);
		}
	}
	if (!lo)
		findings_add(f, "link 'lo' is gone or renamed");
	if (config && !eth0)
		findings_add(f, "link 'eth0' is gone or renamed");
}

/* fe80:: and the hardware address in its long form: RFC 4291, appendix A. */
static void link_local(const uint8_t mac[6], uint8_t ret[16])
{
	memset(ret, 0, 16);
	ret[0] = 0xfe;
	ret[1] = 0x80;
	ret[8] = mac[0] ^ 2;
	ret[9] = mac[1];
	ret[10] = mac[2];
	ret[11] = 0xff;
	ret[12] = 0xfe;
	memcpy(ret + 13, mac + 3, 3);
}

/* The addresses that net_attach() and the kernel give. */
struct wanted_address {
	const char *link;
	int family;
	unsigned int prefix;
	uint8_t bytes[16];
	bool optional; /* IPv6 may be off */
	bool found;
};

static size_t wanted_addresses(const struct net_config *config, struct wanted_address w[WANTED_MAX])
{
	w[0] = (struct wanted_address){
		.link = "lo", .family = AF_INET, .prefix = 8, .bytes = { 127, 0, 0, 1 }
	};
	w[1] = (struct wanted_address){ .link = "lo",
					.family = AF_INET6,
					.prefix = 128,
					.bytes = { [15] = 1 },
					.optional = true };
	if (!config)
		return 2;
	w[2] = (struct wanted_address){ .link = "eth0",
					.family = AF_INET,
					.prefix = config->prefix };
	memcpy(w[2].bytes, &config->ip, 4);
	w[3] = (struct wanted_address){
		.link = "eth0", .family = AF_INET6, .prefix = 64, .optional = true
	};
	link_local(config->mac, w[3].bytes);
	if (!config->prefix6)
		return 4;
	w[4] = (struct wanted_address){ .link = "eth0",
					.family = AF_INET6,
					.prefix = config->prefix6 };
	memcpy(w[4].bytes, &config->ip6, 16);
	return 5;
}

static int check_addresses(struct findings *f, struct nl_sock *inside, const struct rt_link *links,
			   size_t n_links, const struct net_config *config)
{
	cleanup_free struct rt_address *list = NULL;
	struct wanted_address wanted[WANTED_MAX];
	size_t n_wanted = wanted_addresses(config, wanted), n;
	char text[INET6_ADDRSTRLEN], number[IFNAMSIZ];
	int r = rt_addresses(inside, AF_UNSPEC, &list, &n);

	for (size_t i = 0; r == 0 && i < n; i++) {
		const struct rt_address *a = &list[i];
		const char *link = probe_link_name(links, n_links, a->index, number);
		bool known = false;

		for (size_t k = 0; k < n_wanted; k++) {
			struct wanted_address *w = &wanted[k];

			if (a->family != w->family || a->prefix != w->prefix ||
			    strcmp(link, w->link) || memcmp(a->bytes, w->bytes, 16) ||
			    !(a->flags & IFA_F_PERMANENT))
				continue;
			w->found = known = true;
		}
		if (!known)
			findings_add(f, "address %s/%u on %s",
				     inet_ntop(a->family, a->bytes, text, sizeof(text)), a->prefix,
				     link);
	}
	for (size_t k = 0; r == 0 && k < n_wanted; k++)
		if (!wanted[k].found && !wanted[k].optional)
			findings_add(
				f, "address %s/%u is gone from %s",
				inet_ntop(wanted[k].family, wanted[k].bytes, text, sizeof(text)),
				wanted[k].prefix, wanted[k].link);
	return r;
}

/* The default routes that net_attach() gives, by address family. */
struct defaults {
	bool wanted, wanted6, found, found6;
};

/* One of them, and nothing set on it. */
static bool is_our_default(const struct rt_route *route, const char *link,
			   const struct net_config *config, struct defaults *d)
{
	bool six = route->family == AF_INET6;
	bool *found = six ? &d->found6 : &d->found;

	if (!(six ? d->wanted6 : d->wanted) || *found || route->table != RT_TABLE_MAIN || route->prefix ||
	    route->type != RTN_UNICAST || route->protocol != RTPROT_BOOT ||
	    route->priority != (six ? IP6_PRIORITY : 0) || route->multipath || route->metrics ||
	    strcmp(link, "eth0"))
		return false;
	*found = six ? !memcmp(route->gateway, &config->gateway6, 16) : !memcmp(route->gateway, &config->gateway, 4);
	return *found;
}

/* What follows from an address or a link by itself. */
static bool is_kernels(const struct rt_route *route)
{
	if (route->metrics || route->multipath)
		return false;
	if (route->protocol == RTPROT_KERNEL)
		return true;
	/* IPv6's "no default route" of older kernels. */
	return route->family == AF_INET6 && route->prefix == 0 && route->type == RTN_UNREACHABLE &&
	       route->priority == UINT32_MAX;
}

static int check_routes(struct findings *f, struct nl_sock *inside, const struct rt_link *links,
			size_t n_links, const struct net_config *config)
{
	cleanup_free struct rt_route *list = NULL;
	char text[INET6_ADDRSTRLEN], number[IFNAMSIZ];
	struct defaults d = { .wanted = config && config->gateway.s_addr,
			      .wanted6 = config && !IN6_IS_ADDR_UNSPECIFIED(&config->gateway6) };
	size_t n;
	int r = rt_routes(inside, AF_UNSPEC, &list, &n);

	for (size_t i = 0; r == 0 && i < n; i++) {
		const struct rt_route *route = &list[i];
		const char *link = probe_link_name(links, n_links, route->oif, number);

		if (route->family != AF_INET && route->family != AF_INET6) {
			findings_add(f, "route of address family %d", route->family);
			continue;
		}
		if (is_our_default(route, link, config, &d) || is_kernels(route))
			continue;
		findings_add(f, "route %s/%u%s%s",
			     inet_ntop(route->family, route->destination, text, sizeof(text)),
			     route->prefix, route->oif ? " by " : "", route->oif ? link : "");
	}
	if (r == 0 && (d.wanted > d.found || d.wanted6 > d.found6))
		findings_add(f, "the default route%s is gone", d.wanted > d.found ? "" : " of IPv6");
	return r;
}

static void findings_release(struct findings *f)
{
	free(f->list);
}

int net_probe(int netns_fd, const struct net_config *config, struct net_finding **ret,
	      size_t *ret_n, struct ct_error *err)
{
	__cleanup(findings_release) struct findings f = { 0 };
	cleanup_sock struct nl_sock *inside = NULL;
	cleanup_free struct rt_link *links = NULL;
	size_t n;
	int r = netlink_open(netns_fd, NETLINK_ROUTE, &inside, err);

	if (r < 0)
		return r;
	r = rt_links(inside, &links, &n);
	if (r == 0) {
		check_links(&f, links, n, config);
		r = check_addresses(&f, inside, links, n, config);
	}
	if (r == 0)
		r = check_routes(&f, inside, links, n, config);
	if (r < 0)
		return error_errno(err, r, "list links, addresses and routes inside");
	r = probe_traffic(&f, inside, links, n, err);
	if (r == 0)
		r = probe_nftables(&f, netns_fd, err);
	if (r == 0)
		r = probe_iptables(&f, netns_fd, err);
	if (r == 0)
		r = probe_ipsec(&f, netns_fd, err);
	if (r < 0)
		return r;
	if (f.code < 0)
		return error_errno(err, f.code, "list what is set in the network");
	*ret = take_ptr(f.list);
	*ret_n = f.n;
	return 0;
}
