/* SPDX-License-Identifier: Apache-2.0 */
/* net_probe(): whatever is changed inside a pod's network is named. */
#include <net/if.h>
#include <netinet/in.h>

#include <linux/fib_rules.h>
#include <linux/neighbour.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/xfrm.h>
#include <nftables/libnftables.h>
#include <sys/socket.h>

#include "libct/libct.h"
#include "netns/net.h"
#include "netns/rt.h"
#include "tests/unit/netns.h"
#include "tests/unit/unit.h"

static struct ct_error err;

/* What a change works on. */
struct pod {
	int ns, eth0, lo;
	struct net_config config;
	struct nl_sock *inside;
};

static int request(struct nl_sock *sock, struct nl_msg *msg)
{
	int r = netlink_request(sock, msg, NULL);

	nlmsg_free(msg);
	return r;
}

static int nothing(struct pod *p)
{
	return 0;
}

static int add_link(struct pod *p)
{
	return rt_bridge_add(p->inside, "br9", (uint8_t[]){ 2, 0, 0, 0, 0, 9 });
}

static int add_address(struct pod *p)
{
	return rt_address_add(p->inside, p->eth0, ip("10.1.2.3"), 24);
}

static int drop_address(struct pod *p)
{
	struct ifaddrmsg fixed = { .ifa_family = AF_INET,
				   .ifa_prefixlen = (uint8_t)p->config.prefix,
				   .ifa_index = (unsigned int)p->eth0 };
	struct nl_msg *msg = netlink_message(RTM_DELADDR, 0, &fixed, sizeof(fixed));

	nla_put(msg, IFA_LOCAL, 4, &p->config.ip);
	return request(p->inside, msg);
}

static int add_route_of(struct pod *p, const char *to, unsigned int prefix, uint32_t metric)
{
	const struct in_addr destination = ip(to);
	struct rtmsg fixed = { .rtm_family = AF_INET,
			       .rtm_dst_len = (uint8_t)prefix,
			       .rtm_table = RT_TABLE_MAIN,
			       .rtm_protocol = RTPROT_BOOT,
			       .rtm_type = RTN_UNICAST };
	struct nl_msg *msg = netlink_message(RTM_NEWROUTE, NLM_F_CREATE, &fixed, sizeof(fixed));

	if (prefix)
		nla_put(msg, RTA_DST, 4, &destination);
	nla_put(msg, RTA_GATEWAY, 4, &p->config.gateway);
	nla_put_u32(msg, RTA_PRIORITY, metric);
	return request(p->inside, msg);
}

static int add_route(struct pod *p)
{
	return add_route_of(p, "10.0.0.0", 8, 0);
}

static int add_default_route(struct pod *p)
{
	return add_route_of(p, "0.0.0.0", 0, 5);
}

static int change_link(struct pod *p, int index, int type, int len, const void *data)
{
	struct ifinfomsg fixed = { .ifi_index = index };
	struct nl_msg *msg = netlink_message(RTM_SETLINK, 0, &fixed, sizeof(fixed));

	nla_put(msg, type, len, data);
	return request(p->inside, msg);
}

static int change_mtu(struct pod *p)
{
	return change_link(p, p->eth0, IFLA_MTU, 4, &(uint32_t){ 1300 });
}

static int change_mac(struct pod *p)
{
	return change_link(p, p->eth0, IFLA_ADDRESS, 6, (uint8_t[]){ 2, 0, 0, 0xaa, 0xbb, 0xcc });
}

static int change_queue_length(struct pod *p)
{
	return change_link(p, p->eth0, IFLA_TXQLEN, 4, &(uint32_t){ 77 });
}

static int lo_down(struct pod *p)
{
	struct ifinfomsg fixed = { .ifi_index = p->lo, .ifi_change = IFF_UP };

	return request(p->inside, netlink_message(RTM_SETLINK, 0, &fixed, sizeof(fixed)));
}

static int add_neighbour(struct pod *p)
{
	const struct in_addr who = ip("10.88.0.99");
	struct ndmsg fixed = { .ndm_family = AF_INET,
			       .ndm_ifindex = p->eth0,
			       .ndm_state = NUD_PERMANENT };
	struct nl_msg *msg = netlink_message(RTM_NEWNEIGH, NLM_F_CREATE, &fixed, sizeof(fixed));

	nla_put(msg, NDA_DST, 4, &who);
	nla_put(msg, NDA_LLADDR, 6, "\2\0\0\0\0\7");
	return request(p->inside, msg);
}

static int add_queue(struct pod *p)
{
	struct tcmsg fixed = { .tcm_ifindex = p->eth0, .tcm_parent = TC_H_ROOT };
	struct nl_msg *msg = netlink_message(RTM_NEWQDISC, NLM_F_CREATE, &fixed, sizeof(fixed));

	nla_put_string(msg, TCA_KIND, "pfifo");
	return request(p->inside, msg);
}

static int change_rule(struct pod *p, int type, int flags, uint32_t priority, uint32_t table)
{
	struct fib_rule_hdr fixed = { .family = AF_INET, .action = FR_ACT_TO_TBL };
	struct nl_msg *msg = netlink_message(type, flags, &fixed, sizeof(fixed));

	nla_put_u32(msg, FRA_PRIORITY, priority);
	nla_put_u32(msg, FRA_TABLE, table);
	return request(p->inside, msg);
}

static int add_rule(struct pod *p)
{
	return change_rule(p, RTM_NEWRULE, NLM_F_CREATE, 100, 254);
}

static int drop_rule(struct pod *p)
{
	return change_rule(p, RTM_DELRULE, 0, 32767, 253);
}

static int nft_inside(void *arg)
{
	struct nft_ctx *nft = nft_ctx_new(NFT_CTX_DEFAULT);
	int r = nft_run_cmd_from_buffer(nft, arg);

	nft_ctx_free(nft);
	return r;
}

static int add_nftables(struct pod *p)
{
	return netns_call(p->ns, nft_inside, "add table inet guard");
}

/* Looking makes the table. Returns a descriptor that speaks to the iptables inside. */
static int look_at_iptables(struct pod *p, struct ipt_getinfo *info)
{
	socklen_t len = sizeof(*info);
	int fd = netns_socket(p->ns, AF_INET, SOCK_RAW, IPPROTO_RAW);

	*info = (struct ipt_getinfo){ .name = "filter" };
	if (getsockopt(fd, SOL_IP, IPT_SO_GET_INFO, info, &len) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static int list_iptables(struct pod *p)
{
	struct ipt_getinfo info;
	cleanup_fd int fd = look_at_iptables(p, &info);

	return fd < 0;
}

/* iptables -P FORWARD DROP */
static int change_policy(struct pod *p)
{
	struct ipt_getinfo info;
	cleanup_fd int fd = look_at_iptables(p, &info);
	cleanup_free struct ipt_get_entries *get = NULL;
	cleanup_free struct ipt_replace *replace = NULL;
	struct xt_counters counters[16];
	struct ipt_entry *entry;
	socklen_t len;

	if (fd < 0)
		return -1;
	len = (socklen_t)(sizeof(*get) + info.size);
	get = calloc(1, len);
	replace = calloc(1, sizeof(*replace) + info.size);
	memcpy(get->name, info.name, sizeof(get->name));
	get->size = info.size;
	if (getsockopt(fd, SOL_IP, IPT_SO_GET_ENTRIES, get, &len) < 0)
		return -1;
	entry = (void *)((char *)get->entrytable + info.underflow[NF_INET_FORWARD]);
	((struct xt_standard_target *)((char *)entry + entry->target_offset))->verdict =
		-NF_DROP - 1;
	memcpy(replace->name, info.name, sizeof(replace->name));
	replace->valid_hooks = info.valid_hooks;
	replace->num_entries = info.num_entries;
	replace->size = info.size;
	memcpy(replace->hook_entry, info.hook_entry, sizeof(info.hook_entry));
	memcpy(replace->underflow, info.underflow, sizeof(info.underflow));
	replace->num_counters = info.num_entries;
	replace->counters = counters;
	memcpy(replace->entries, get->entrytable, info.size);
	return setsockopt(fd, SOL_IP, IPT_SO_SET_REPLACE, replace,
			  (socklen_t)(sizeof(*replace) + info.size));
}

static int add_ipsec(struct pod *p)
{
	struct xfrm_userpolicy_info policy = {
		.sel = { .family = AF_INET, .prefixlen_d = 8, .daddr.a4 = ip("10.0.0.0").s_addr },
		.lft = { .soft_byte_limit = XFRM_INF,
			 .hard_byte_limit = XFRM_INF,
			 .soft_packet_limit = XFRM_INF,
			 .hard_packet_limit = XFRM_INF },
		.dir = XFRM_POLICY_OUT,
		.action = XFRM_POLICY_BLOCK,
	};
	cleanup_sock struct nl_sock *sock = NULL;

	if (netlink_open(p->ns, NETLINK_XFRM, &sock, &err))
		return -1;
	return request(sock,
		       netlink_message(XFRM_MSG_NEWPOLICY, NLM_F_CREATE, &policy, sizeof(policy)));
}

/* The findings, one behind the other. */
static const char *findings(int ns, const struct net_config *config)
{
	static char text[4096];
	struct net_finding *list = NULL;
	size_t n = 0;

	text[0] = '\0';
	if (net_probe(ns, config, &list, &n, &err) < 0)
		return err.text;
	for (size_t i = 0; i < n; i++) {
		strcat(text, i ? "; " : "");
		strcat(text, list[i].text);
	}
	free(list);
	return text;
}

static const struct {
	const char *what;
	int (*change)(struct pod *p);
	const char *expected;
} cases[] = {
	{ "an untouched network has no findings", nothing, "" },
	{ "a link", add_link, "link 'br9'" },
	{ "an address", add_address, "address 10.1.2.3/24 on eth0" },
	{ "a missing address", drop_address,
	  "address 10.88.0.2/16 is gone from eth0; the default route is gone" },
	{ "a route", add_route, "route 10.0.0.0/8 by eth0" },
	{ "another default route", add_default_route, "route 0.0.0.0/0 by eth0" },
	{ "an MTU", change_mtu, "MTU 1300 of link 'eth0' (it was made with 1500)" },
	{ "a hardware address", change_mac, "hardware address 02:00:00:aa:bb:cc of link 'eth0'" },
	{ "a queue length", change_queue_length, "queue length 77 of link 'eth0'" },
	{ "lo that is down", lo_down, "link 'lo' is down" },
	{ "a permanent neighbour", add_neighbour, "permanent neighbour 10.88.0.99 on eth0" },
	{ "a queueing discipline", add_queue, "queueing discipline 'pfifo' on eth0" },
	{ "a routing rule", add_rule, "IPv4 routing rule 100" },
	{ "a missing routing rule", drop_rule, "a default IPv4 routing rule is gone" },
	{ "an nftables table", add_nftables, "nftables table 'inet guard'" },
	{ "an iptables table that was only looked at is none", list_iptables, "" },
	{ "a policy of iptables", change_policy, "iptables table 'filter'" },
	{ "an IPsec policy", add_ipsec, "IPsec policies (1)" },
};

static void test_case(size_t i)
{
	cleanup_sock struct nl_sock *inside = NULL;
	cleanup_fd int ns = new_ns();
	struct pod p = { .ns = ns };
	struct rt_link eth0, lo;

	REQUIRE("a pod is attached", !net_attach(ns, "probed", &p.config, &err));
	REQUIRE("it is open to change", !netlink_open(ns, NETLINK_ROUTE, &inside, &err) &&
						!rt_link_get(inside, "eth0", &eth0) &&
						!rt_link_get(inside, "lo", &lo));
	p.inside = inside;
	p.eth0 = eth0.index;
	p.lo = lo.index;
	REQUIRE("it is changed", !cases[i].change(&p));
	CHECK_STR(cases[i].what, findings(ns, &p.config), cases[i].expected);
	CHECK("it is detached", !net_detach("probed", &err));
}

static void test_no_network(void)
{
	cleanup_fd int ns = new_ns();
	struct net_config config = { 0 };
	char missed[256], ip6[INET6_ADDRSTRLEN];

	CHECK_STR("lo that was never brought up is named", findings(ns, NULL),
		  "link 'lo' is down; address 127.0.0.1/8 is gone from lo");
	CHECK("it is brought up", !net_loopback_up(ns, &err));
	CHECK_STR("a namespace with lo alone has no findings", findings(ns, NULL), "");
	REQUIRE("it is attached", !net_attach(ns, "probed", &config, &err));
	CHECK("a network that should not be there is named",
	      strstr(findings(ns, NULL), "link 'eth0'; address 10.88.0.2/16 on eth0") != NULL);
	CHECK("it is detached", !net_detach("probed", &err));
	inet_ntop(AF_INET6, &config.ip6, ip6, sizeof(ip6));
	snprintf(missed, sizeof(missed),
		 "link 'eth0' is gone or renamed; address 10.88.0.2/16 is gone from eth0; address %s/64 is gone "
		 "from eth0; the default route is gone", ip6);
	CHECK_STR("a network that should be there is missed", findings(ns, &config), missed);
}

int main(void)
{
	struct net_subnet subnet;
	bool nat;

	own_namespaces();
	alarm(600);
	REQUIRE("the bridge is made", !net_bridge_ensure(NULL, &subnet, &nat, &err));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		test_case(i);
	test_no_network();
	return UNIT_DONE();
}
