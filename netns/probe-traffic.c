/* SPDX-License-Identifier: Apache-2.0 */
/* What was changed inside a pod's network: routing rules, neighbours, queueing disciplines. */
#include <arpa/inet.h>
#include <linux/fib_rules.h>
#include <linux/neighbour.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "libct/base/error.h"
#include "netns/netlink.h"
#include "netns/probe.h"

static int get_all(struct nl_sock *sock, int type, const void *fixed, size_t len,
		   struct netlink_reply *reply)
{
	cleanup_msg struct nl_msg *msg = netlink_message(type, NLM_F_DUMP, fixed, len);

	return msg ? netlink_request(sock, msg, reply) : -ENOMEM;
}

/*
 * The rules that every namespace is born with: all traffic, tables local, main and (IPv4) default.
 */
static bool is_default_rule(const struct fib_rule_hdr *rule, struct nlattr **a)
{
	static const struct {
		uint32_t priority, table;
	} defaults[] = { { 0, RT_TABLE_LOCAL },
			 { 32766, RT_TABLE_MAIN },
			 { 32767, RT_TABLE_DEFAULT } };
	uint32_t priority = a[FRA_PRIORITY] ? nla_get_u32(a[FRA_PRIORITY]) : 0;
	uint32_t table = a[FRA_TABLE] ? nla_get_u32(a[FRA_TABLE]) : rule->table;

	if (rule->action != FR_ACT_TO_TBL || rule->flags || rule->src_len || rule->dst_len ||
	    rule->tos || a[FRA_IIFNAME] || a[FRA_OIFNAME] || a[FRA_FWMARK] || a[FRA_UID_RANGE] ||
	    a[FRA_IP_PROTO] || a[FRA_SPORT_RANGE] || a[FRA_DPORT_RANGE] || a[FRA_L3MDEV])
		return false;
	for (size_t i = 0; i < sizeof(defaults) / sizeof(defaults[0]); i++)
		if (priority == defaults[i].priority && table == defaults[i].table)
			return true;
	return false;
}

static int check_rules(struct findings *f, struct nl_sock *inside, int family, unsigned int wanted)
{
	const char *name = family == AF_INET ? "IPv4" : "IPv6";
	struct fib_rule_hdr fixed = { .family = (uint8_t)family };
	cleanup_reply struct netlink_reply reply = { 0 };
	unsigned int defaults = 0;
	int r = get_all(inside, RTM_GETRULE, &fixed, sizeof(fixed), &reply);

	if (r == -EAFNOSUPPORT || r == -EOPNOTSUPP) /* no IPv6, or no policy routing */
		return 0;
	if (r < 0)
		return r;
	netlink_each(h, &reply)
	{
		struct fib_rule_hdr *rule = NLMSG_DATA(h);
		struct nlattr *a[FRA_MAX + 1];

		/* A kernel without this family answers for those it has. */
		if (nlmsg_parse(h, sizeof(*rule), a, FRA_MAX, NULL) < 0 || rule->family != family)
			continue;
		if (is_default_rule(rule, a))
			defaults++;
		else
			findings_add(f, "%s routing rule %u", name,
				     a[FRA_PRIORITY] ? nla_get_u32(a[FRA_PRIORITY]) : 0);
	}
	if (defaults && defaults < wanted)
		findings_add(f, "a default %s routing rule is gone", name);
	return 0;
}

static int check_neighbours(struct findings *f, struct nl_sock *inside, const struct rt_link *links,
			    size_t n_links)
{
	struct ndmsg fixed = { .ndm_family = AF_UNSPEC };
	cleanup_reply struct netlink_reply reply = { 0 };
	int r = get_all(inside, RTM_GETNEIGH, &fixed, sizeof(fixed), &reply);

	if (r < 0)
		return r;
	netlink_each(h, &reply)
	{
		struct ndmsg *neighbour = NLMSG_DATA(h);
		struct nlattr *a[NDA_MAX + 1];
		uint8_t address[16] = { 0 };
		char text[INET6_ADDRSTRLEN], number[IFNAMSIZ];

		if (nlmsg_parse(h, sizeof(*neighbour), a, NDA_MAX, NULL) < 0 || !a[NDA_DST] ||
		    !(neighbour->ndm_state & NUD_PERMANENT) || nla_len(a[NDA_DST]) > 16)
			continue;
		memcpy(address, nla_data(a[NDA_DST]), (size_t)nla_len(a[NDA_DST]));
		if (!inet_ntop(neighbour->ndm_family, address, text, sizeof(text)))
			continue;
		findings_add(f, "permanent neighbour %s on %s", text,
			     probe_link_name(links, n_links, neighbour->ndm_ifindex, number));
	}
	return 0;
}

/* lo and veth are born without a queue. */
static int check_queues(struct findings *f, struct nl_sock *inside, const struct rt_link *links,
			size_t n_links)
{
	struct tcmsg fixed = { .tcm_family = AF_UNSPEC };
	cleanup_reply struct netlink_reply reply = { 0 };
	int r = get_all(inside, RTM_GETQDISC, &fixed, sizeof(fixed), &reply);

	if (r == -EOPNOTSUPP)
		return 0;
	if (r < 0)
		return r;
	netlink_each(h, &reply)
	{
		struct tcmsg *queue = NLMSG_DATA(h);
		struct nlattr *a[TCA_MAX + 1];
		char number[IFNAMSIZ];

		if (nlmsg_parse(h, sizeof(*queue), a, TCA_MAX, NULL) < 0 || !a[TCA_KIND] ||
		    !nla_strcmp(a[TCA_KIND], "noqueue") || !nla_strcmp(a[TCA_KIND], "noop"))
			continue;
		findings_add(f, "queueing discipline '%s' on %s", nla_get_string(a[TCA_KIND]),
			     probe_link_name(links, n_links, queue->tcm_ifindex, number));
	}
	return 0;
}

int probe_traffic(struct findings *f, struct nl_sock *inside, const struct rt_link *links,
		  size_t n_links, struct ct_error *err)
{
	int r = check_rules(f, inside, AF_INET, 3);

	if (r == 0)
		r = check_rules(f, inside, AF_INET6, 2);
	if (r < 0)
		return error_errno(err, r, "list routing rules inside");
	r = check_neighbours(f, inside, links, n_links);
	if (r < 0)
		return error_errno(err, r, "list neighbours inside");
	r = check_queues(f, inside, links, n_links);
	return r < 0 ? error_errno(err, r, "list queueing disciplines inside") : 0;
}
