/* SPDX-License-Identifier: Apache-2.0 */
/* Making and changing links, addresses and routes. */
#include <arpa/inet.h>
#include <linux/if_addr.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <string.h>

#include "netns/netlink.h"
#include "netns/rt.h"

#define NEW (NLM_F_CREATE | NLM_F_EXCL)

/*
 * The nla_put functions return 0, or a negative number where the message has no room left. So their
 * results are added up and looked at once.
 */
static int finish(struct nl_sock *sock, struct nl_msg *msg, int sum)
{
	return sum < 0 ? -ENOMEM : netlink_request(sock, msg, NULL);
}

static int put_kind(struct nl_msg *msg, const char *kind, struct nlattr **linkinfo,
		    struct nlattr **data)
{
	*linkinfo = nla_nest_start(msg, IFLA_LINKINFO);
	if (!*linkinfo || nla_put_string(msg, IFLA_INFO_KIND, kind) < 0)
		return -ENOMEM;
	*data = nla_nest_start(msg, IFLA_INFO_DATA);
	return *data ? 0 : -ENOMEM;
}

int rt_bridge_add(struct nl_sock *sock, const char *name, const uint8_t mac[6])
{
	struct ifinfomsg fixed = { .ifi_family = AF_UNSPEC };
	cleanup_msg struct nl_msg *msg = netlink_message(RTM_NEWLINK, NEW, &fixed, sizeof(fixed));
	struct nlattr *linkinfo, *data;
	int sum = 0;

	if (!msg)
		return -ENOMEM;
	sum += nla_put_string(msg, IFLA_IFNAME, name);
	/*
	 * Given and not left to the kernel: otherwise it is the lowest of the ports' and moves as
	 * they come and go.
	 */
	sum += nla_put(msg, IFLA_ADDRESS, 6, mac);
	if (put_kind(msg, "bridge", &linkinfo, &data) < 0)
		return -ENOMEM;
	sum += nla_put_u32(msg, IFLA_BR_STP_STATE, 0);
	sum += nla_put_u32(msg, IFLA_BR_FORWARD_DELAY, 0);
	nla_nest_end(msg, data);
	nla_nest_end(msg, linkinfo);
	return finish(sock, msg, sum);
}

/* As many as the kernel gives a veth that is made without a word about it, which it then takes a grace period for. */
static int put_one_queue(struct nl_msg *msg)
{
	return nla_put_u32(msg, IFLA_NUM_TX_QUEUES, 1) + nla_put_u32(msg, IFLA_NUM_RX_QUEUES, 1);
}

int rt_veth_add(struct nl_sock *sock, const char *name, const char *peer, int netns_fd,
		const uint8_t mac[6], uint32_t mtu)
{
	struct ifinfomsg fixed = { .ifi_family = AF_UNSPEC };
	cleanup_msg struct nl_msg *msg = netlink_message(RTM_NEWLINK, NEW, &fixed, sizeof(fixed));
	struct nlattr *linkinfo, *data, *other;
	int sum = 0;

	if (!msg)
		return -ENOMEM;
	sum += nla_put_string(msg, IFLA_IFNAME, name);
	sum += nla_put_u32(msg, IFLA_MTU, mtu);
	sum += put_one_queue(msg);
	if (put_kind(msg, "veth", &linkinfo, &data) < 0)
		return -ENOMEM;
	other = nla_nest_start(msg, VETH_INFO_PEER);
	if (!other || nlmsg_append(msg, &fixed, sizeof(fixed), NLMSG_ALIGNTO) < 0)
		return -ENOMEM;
	sum += nla_put_string(msg, IFLA_IFNAME, peer);
	sum += nla_put_u32(msg, IFLA_NET_NS_FD, (uint32_t)netns_fd);
	sum += nla_put_u32(msg, IFLA_MTU, mtu);
	sum += put_one_queue(msg);
	sum += nla_put(msg, IFLA_ADDRESS, 6, mac);
	nla_nest_end(msg, other);
	nla_nest_end(msg, data);
	nla_nest_end(msg, linkinfo);
	return finish(sock, msg, sum);
}

static int put_no_ipv6_address(struct nl_msg *msg)
{
	struct nlattr *families = nla_nest_start(msg, IFLA_AF_SPEC);
	struct nlattr *inet6 = families ? nla_nest_start(msg, AF_INET6) : NULL;

	if (!inet6)
		return -ENOMEM;
	if (nla_put_u8(msg, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE) < 0)
		return -ENOMEM;
	nla_nest_end(msg, inet6);
	nla_nest_end(msg, families);
	return 0;
}

int rt_link_set(struct nl_sock *sock, int index, const struct rt_link_change *change)
{
	struct ifinfomsg fixed = { .ifi_family = AF_UNSPEC,
				   .ifi_index = index,
				   .ifi_flags = (change->up ? IFF_UP : 0) | (change->no_arp ? IFF_NOARP : 0),
				   .ifi_change = (change->up ? IFF_UP : 0) |
						 (change->no_arp || change->arp ? IFF_NOARP : 0) };
	cleanup_msg struct nl_msg *msg = netlink_message(RTM_SETLINK, 0, &fixed, sizeof(fixed));
	int sum = 0;

	if (!msg)
		return -ENOMEM;
	/* The kernel wants the alias without its NUL. */
	if (change->alias)
		sum += nla_put(msg, IFLA_IFALIAS, (int)strlen(change->alias), change->alias);
	if (change->master)
		sum += nla_put_u32(msg, IFLA_MASTER, (uint32_t)change->master);
	if (change->no_ipv6_address)
		sum += put_no_ipv6_address(msg);
	return finish(sock, msg, sum);
}

int rt_link_delete(struct nl_sock *sock, int index)
{
	struct ifinfomsg fixed = { .ifi_family = AF_UNSPEC, .ifi_index = index };
	cleanup_msg struct nl_msg *msg = netlink_message(RTM_DELLINK, 0, &fixed, sizeof(fixed));

	return msg ? netlink_request(sock, msg, NULL) : -ENOMEM;
}

int rt_port_set(struct nl_sock *sock, int index, bool open, int state)
{
	struct ifinfomsg fixed = { .ifi_family = AF_BRIDGE, .ifi_index = index };
	cleanup_msg struct nl_msg *msg = netlink_message(RTM_SETLINK, 0, &fixed, sizeof(fixed));
	struct nlattr *port;
	int sum = 0;

	if (!msg)
		return -ENOMEM;
	port = nla_nest_start(msg, IFLA_PROTINFO | NLA_F_NESTED);
	if (!port)
		return -ENOMEM;
	sum += nla_put_u8(msg, IFLA_BRPORT_LEARNING, open);
	sum += nla_put_u8(msg, IFLA_BRPORT_UNICAST_FLOOD, open);
	sum += nla_put_u8(msg, IFLA_BRPORT_MCAST_FLOOD, open);
	sum += nla_put_u8(msg, IFLA_BRPORT_BCAST_FLOOD, open);
	sum += nla_put_u8(msg, IFLA_BRPORT_LOCKED, !open);
	/* A locked port lets through whoever is known to be behind it. */
	if (!open)
		sum += nla_put_flag(msg, IFLA_BRPORT_FLUSH);
	if (state >= 0)
		sum += nla_put_u8(msg, IFLA_BRPORT_STATE, (uint8_t)state);
	nla_nest_end(msg, port);
	return finish(sock, msg, sum);
}

int rt_address_add(struct nl_sock *sock, int index, struct in_addr ip, unsigned int prefix)
{
	struct ifaddrmsg fixed = { .ifa_family = AF_INET,
				   .ifa_prefixlen = (uint8_t)prefix,
				   .ifa_scope = RT_SCOPE_UNIVERSE,
				   .ifa_index = (unsigned int)index };
	cleanup_msg struct nl_msg *msg = netlink_message(RTM_NEWADDR, NEW, &fixed, sizeof(fixed));
	uint32_t broadcast =
		ip.s_addr | htonl(prefix ? (uint32_t)((1ull << (32 - prefix)) - 1) : ~0u);
	int sum = 0;

	if (!msg)
		return -ENOMEM;
	sum += nla_put(msg, IFA_LOCAL, sizeof(ip), &ip);
	sum += nla_put(msg, IFA_ADDRESS, sizeof(ip), &ip);
	sum += nla_put(msg, IFA_BROADCAST, sizeof(broadcast), &broadcast);
	return finish(sock, msg, sum);
}

int rt_address6_add(struct nl_sock *sock, int index, const struct in6_addr *ip, unsigned int prefix)
{
	struct ifaddrmsg fixed = { .ifa_family = AF_INET6,
				   .ifa_prefixlen = (uint8_t)prefix,
				   .ifa_scope = RT_SCOPE_UNIVERSE,
				   .ifa_index = (unsigned int)index };
	cleanup_msg struct nl_msg *msg = netlink_message(RTM_NEWADDR, NEW, &fixed, sizeof(fixed));
	int sum = 0;

	if (!msg)
		return -ENOMEM;
	sum += nla_put(msg, IFA_LOCAL, sizeof(*ip), ip);
	sum += nla_put(msg, IFA_ADDRESS, sizeof(*ip), ip);
	sum += nla_put_u32(msg, IFA_FLAGS, IFA_F_NODAD);
	return finish(sock, msg, sum);
}

int rt_default_route_add(struct nl_sock *sock, int index, int family, const void *gateway)
{
	struct rtmsg fixed = { .rtm_family = (unsigned char)family,
			       .rtm_table = RT_TABLE_MAIN,
			       .rtm_protocol = RTPROT_BOOT,
			       .rtm_scope = RT_SCOPE_UNIVERSE,
			       .rtm_type = RTN_UNICAST };
	cleanup_msg struct nl_msg *msg = netlink_message(RTM_NEWROUTE, NEW, &fixed, sizeof(fixed));
	int sum = 0;

	if (!msg)
		return -ENOMEM;
	sum += nla_put(msg, RTA_GATEWAY, family == AF_INET6 ? sizeof(struct in6_addr) : sizeof(struct in_addr),
		       gateway);
	sum += nla_put_u32(msg, RTA_OIF, (uint32_t)index);
	return finish(sock, msg, sum);
}

int rt_vxlan_add(struct nl_sock *sock, const char *name, struct in_addr group, int dev, uint32_t id)
{
	struct ifinfomsg fixed = { .ifi_family = AF_UNSPEC };
	cleanup_msg struct nl_msg *msg = netlink_message(RTM_NEWLINK, NEW, &fixed, sizeof(fixed));
	struct nlattr *linkinfo, *data;
	int sum = 0;

	if (!msg)
		return -ENOMEM;
	sum += nla_put_string(msg, IFLA_IFNAME, name);
	if (put_kind(msg, "vxlan", &linkinfo, &data) < 0)
		return -ENOMEM;
	sum += nla_put_u32(msg, IFLA_VXLAN_ID, id);
	sum += nla_put(msg, IFLA_VXLAN_GROUP, sizeof(group), &group);
	sum += nla_put_u32(msg, IFLA_VXLAN_LINK, (uint32_t)dev);
	sum += nla_put_u16(msg, IFLA_VXLAN_PORT, htons(4789));
	sum += nla_put_u8(msg, IFLA_VXLAN_LEARNING, 1);
	nla_nest_end(msg, data);
	nla_nest_end(msg, linkinfo);
	return finish(sock, msg, sum);
}
