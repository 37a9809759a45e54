/* SPDX-License-Identifier: Apache-2.0 */
/* Reading links, addresses and routes. */
#include <linux/if_addr.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "netns/netlink.h"
#include "netns/rt.h"

/* The kernel pads nothing behind what it sends, but a newer one may send more: copy what fits. */
static void copy_attr(void *to, size_t size, const struct nlattr *a)
{
	size_t n = (size_t)nla_len(a);

	memcpy(to, nla_data(a), n < size ? n : size);
}

static void copy_text(char *to, size_t size, const struct nlattr *a)
{
	if (a)
		nla_strlcpy(to, a, size);
}

static uint32_t get_u32(const struct nlattr *a)
{
	return a && nla_len(a) >= 4 ? nla_get_u32(a) : 0;
}

static uint8_t get_u8(const struct nlattr *a)
{
	return a && nla_len(a) >= 1 ? nla_get_u8(a) : 0;
}

/* The kind of the link and its state as a bridge port. */
static void read_linkinfo(struct nlattr *linkinfo, struct rt_link *l)
{
	struct nlattr *info[IFLA_INFO_MAX + 1], *port[IFLA_BRPORT_MAX + 1];

	if (!linkinfo || nla_parse_nested(info, IFLA_INFO_MAX, linkinfo, NULL) < 0)
		return;
	copy_text(l->kind, sizeof(l->kind), info[IFLA_INFO_KIND]);
	if (!info[IFLA_INFO_SLAVE_KIND] || !info[IFLA_INFO_SLAVE_DATA] ||
	    nla_strcmp(info[IFLA_INFO_SLAVE_KIND], "bridge") ||
	    nla_parse_nested(port, IFLA_BRPORT_MAX, info[IFLA_INFO_SLAVE_DATA], NULL) < 0)
		return;
	l->port_state = get_u8(port[IFLA_BRPORT_STATE]);
}

static bool read_link(struct nlmsghdr *h, struct rt_link *l)
{
	struct ifinfomsg *fixed = NLMSG_DATA(h);
	struct nlattr *a[IFLA_MAX + 1], *xdp[IFLA_XDP_MAX + 1];

	if (h->nlmsg_type != RTM_NEWLINK || nlmsg_parse(h, sizeof(*fixed), a, IFLA_MAX, NULL) < 0)
		return false;
	*l = (struct rt_link){ .index = fixed->ifi_index, .flags = fixed->ifi_flags };
	copy_text(l->name, sizeof(l->name), a[IFLA_IFNAME]);
	copy_text(l->alias, sizeof(l->alias), a[IFLA_IFALIAS]);
	copy_text(l->qdisc, sizeof(l->qdisc), a[IFLA_QDISC]);
	l->master = (int)get_u32(a[IFLA_MASTER]);
	l->mtu = get_u32(a[IFLA_MTU]);
	l->txqlen = get_u32(a[IFLA_TXQLEN]);
	l->operstate = get_u8(a[IFLA_OPERSTATE]);
	if (a[IFLA_ADDRESS] && nla_len(a[IFLA_ADDRESS]) == sizeof(l->address))
		copy_attr(l->address, sizeof(l->address), a[IFLA_ADDRESS]);
	read_linkinfo(a[IFLA_LINKINFO], l);
	if (a[IFLA_XDP] && !nla_parse_nested(xdp, IFLA_XDP_MAX, a[IFLA_XDP], NULL))
		l->xdp = get_u8(xdp[IFLA_XDP_ATTACHED]) != XDP_ATTACHED_NONE;
	return true;
}

static bool read_address(struct nlmsghdr *h, struct rt_address *ret)
{
	struct ifaddrmsg *fixed = NLMSG_DATA(h);
	struct nlattr *a[IFA_MAX + 1], *ip;

	if (h->nlmsg_type != RTM_NEWADDR || nlmsg_parse(h, sizeof(*fixed), a, IFA_MAX, NULL) < 0)
		return false;
	/* On a point-to-point link IFA_ADDRESS is the other end's. */
	ip = a[IFA_LOCAL] ? a[IFA_LOCAL] : a[IFA_ADDRESS];
	if (!ip)
		return false;
	*ret = (struct rt_address){ .index = (int)fixed->ifa_index,
				    .family = fixed->ifa_family,
				    .prefix = fixed->ifa_prefixlen,
				    .scope = fixed->ifa_scope,
				    .flags = a[IFA_FLAGS] ? get_u32(a[IFA_FLAGS])
							  : fixed->ifa_flags };
	copy_attr(ret->bytes, sizeof(ret->bytes), ip);
	return true;
}

static bool read_route(struct nlmsghdr *h, struct rt_route *ret)
{
	struct rtmsg *fixed = NLMSG_DATA(h);
	struct nlattr *a[RTA_MAX + 1];

	if (h->nlmsg_type != RTM_NEWROUTE || nlmsg_parse(h, sizeof(*fixed), a, RTA_MAX, NULL) < 0)
		return false;
	if (fixed->rtm_flags & RTM_F_CLONED) /* a cache entry */
		return false;
	*ret = (struct rt_route){ .family = fixed->rtm_family,
				  .table = a[RTA_TABLE] ? get_u32(a[RTA_TABLE]) : fixed->rtm_table,
				  .type = fixed->rtm_type,
				  .protocol = fixed->rtm_protocol,
				  .scope = fixed->rtm_scope,
				  .prefix = fixed->rtm_dst_len,
				  .oif = (int)get_u32(a[RTA_OIF]),
				  .priority = get_u32(a[RTA_PRIORITY]),
				  .flags = fixed->rtm_flags,
				  .multipath = a[RTA_MULTIPATH] || a[RTA_VIA] || a[RTA_NH_ID] ||
					       a[RTA_ENCAP],
				  .metrics = a[RTA_METRICS] };
	if (a[RTA_DST])
		copy_attr(ret->destination, sizeof(ret->destination), a[RTA_DST]);
	if (a[RTA_GATEWAY])
		copy_attr(ret->gateway, sizeof(ret->gateway), a[RTA_GATEWAY]);
	return true;
}

static int get_all(struct nl_sock *sock, int type, const void *fixed, size_t len,
		   struct netlink_reply *reply, size_t *ret_n)
{
	cleanup_msg struct nl_msg *msg = netlink_message(type, NLM_F_DUMP, fixed, len);
	int r;

	if (!msg)
		return -ENOMEM;
	r = netlink_request(sock, msg, reply);
	if (r < 0)
		return r;
	*ret_n = 0;
	netlink_each(h, reply)(*ret_n)++;
	return 0;
}

int rt_links(struct nl_sock *sock, struct rt_link **ret, size_t *ret_n)
{
	struct ifinfomsg fixed = { .ifi_family = AF_UNSPEC };
	cleanup_reply struct netlink_reply reply = { 0 };
	struct rt_link *list;
	size_t n;
	int r = get_all(sock, RTM_GETLINK, &fixed, sizeof(fixed), &reply, &n);

	if (r < 0)
		return r;
	list = calloc(n + 1, sizeof(*list));
	if (!list)
		return -ENOMEM;
	n = 0;
	netlink_each(h, &reply) n += read_link(h, &list[n]);
	*ret = list;
	*ret_n = n;
	return 0;
}

int rt_addresses(struct nl_sock *sock, int family, struct rt_address **ret, size_t *ret_n)
{
	struct ifaddrmsg fixed = { .ifa_family = (uint8_t)family };
	cleanup_reply struct netlink_reply reply = { 0 };
	struct rt_address *list;
	size_t n;
	int r = get_all(sock, RTM_GETADDR, &fixed, sizeof(fixed), &reply, &n);

	if (r < 0)
		return r;
	list = calloc(n + 1, sizeof(*list));
	if (!list)
		return -ENOMEM;
	n = 0;
	netlink_each(h, &reply) n += read_address(h, &list[n]);
	*ret = list;
	*ret_n = n;
	return 0;
}

int rt_routes(struct nl_sock *sock, int family, struct rt_route **ret, size_t *ret_n)
{
	struct rtmsg fixed = { .rtm_family = (uint8_t)family };
	cleanup_reply struct netlink_reply reply = { 0 };
	struct rt_route *list;
	size_t n;
	int r = get_all(sock, RTM_GETROUTE, &fixed, sizeof(fixed), &reply, &n);

	if (r < 0)
		return r;
	list = calloc(n + 1, sizeof(*list));
	if (!list)
		return -ENOMEM;
	n = 0;
	netlink_each(h, &reply) n += read_route(h, &list[n]);
	*ret = list;
	*ret_n = n;
	return 0;
}

int rt_link_get(struct nl_sock *sock, const char *name, struct rt_link *ret)
{
	struct ifinfomsg fixed = { .ifi_family = AF_UNSPEC };
	cleanup_msg struct nl_msg *msg = netlink_message(RTM_GETLINK, 0, &fixed, sizeof(fixed));
	cleanup_reply struct netlink_reply reply = { 0 };
	int r;

	if (!msg || nla_put_string(msg, IFLA_IFNAME, name) < 0)
		return -ENOMEM;
	r = netlink_request(sock, msg, &reply);
	if (r < 0)
		return r;
	netlink_each(h, &reply) if (read_link(h, ret)) return 0;
	return -ENODEV;
}
