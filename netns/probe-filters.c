/* SPDX-License-Identifier: Apache-2.0 */
/* What was changed inside a pod's network: nftables, iptables, IPsec. */
#include "netns/probe.h" /* net/if.h must stand before the headers of iptables */

#include <fcntl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <linux/xfrm.h>
#include <string.h>
#include <sys/socket.h>

#include "libct/base/error.h"
#include "libct/base/io.h"
#include "netns/netlink.h"

static const char *nft_family(uint8_t family)
{
	switch (family) {
	case NFPROTO_INET:
		return "inet";
	case NFPROTO_IPV4:
		return "ip";
	case NFPROTO_IPV6:
		return "ip6";
	case NFPROTO_ARP:
		return "arp";
	case NFPROTO_NETDEV:
		return "netdev";
	case NFPROTO_BRIDGE:
		return "bridge";
	default:
		return "?";
	}
}

/* A table without chains does nothing, but it would be missing all the same. */
int probe_nftables(struct findings *f, int netns_fd, struct ct_error *err)
{
	struct nfgenmsg fixed = { .nfgen_family = NFPROTO_UNSPEC, .version = NFNETLINK_V0 };
	cleanup_sock struct nl_sock *sock = NULL;
	cleanup_msg struct nl_msg *msg = NULL;
	cleanup_reply struct netlink_reply reply = { 0 };
	int r = netlink_open(netns_fd, NETLINK_NETFILTER, &sock, err);

	if (r == -EPROTONOSUPPORT)
		return 0;
	if (r < 0)
		return r;
	msg = netlink_message(NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETTABLE, NLM_F_DUMP, &fixed,
			      sizeof(fixed));
	r = msg ? netlink_request(sock, msg, &reply) : -ENOMEM;
	if (r == -EINVAL || r == -EOPNOTSUPP) /* nobody answers for that part of netfilter */
		return 0;
	if (r < 0)
		return error_errno(err, r, "list nftables inside");
	netlink_each(h, &reply)
	{
		struct nfgenmsg *table = NLMSG_DATA(h);
		struct nlattr *a[NFTA_TABLE_MAX + 1];

		if (nlmsg_parse(h, sizeof(*table), a, NFTA_TABLE_MAX, NULL) < 0 ||
		    !a[NFTA_TABLE_NAME])
			continue;
		findings_add(f, "nftables table '%s %s'", nft_family(table->nfgen_family),
			     nla_get_string(a[NFTA_TABLE_NAME]));
	}
	return 0;
}

struct names_call {
	const char *path;
	char *text;
};

static int read_names(void *arg)
{
	struct names_call *c = arg;
	ssize_t n = io_read_file(AT_FDCWD, c->path, 1 << 16, &c->text);

	return n < 0 ? (int)n : 0;
}

/* What differs between IPv4 and IPv6; the rest of the two interfaces is the same. */
struct iptables {
	int family, level, get_info, get_entries;
	size_t target_offset; /* in an entry: where it says where its target is */
	const char *name, *path;
};

static const struct iptables iptables[] = {
	{ AF_INET, SOL_IP, IPT_SO_GET_INFO, IPT_SO_GET_ENTRIES,
	  offsetof(struct ipt_entry, target_offset), "iptables",
	  "/proc/thread-self/net/ip_tables_names" },
	{ AF_INET6, SOL_IPV6, IP6T_SO_GET_INFO, IP6T_SO_GET_ENTRIES,
	  offsetof(struct ip6t_entry, target_offset), "ip6tables",
	  "/proc/thread-self/net/ip6_tables_names" },
};

/*
 * Whether the policy at `offset` of a table is to accept. The kernel made the table, but is not
 * believed blindly.
 */
static bool accepts(const struct iptables *t, const struct ipt_get_entries *get, size_t offset)
{
	const char *entry = (const char *)get->entrytable + offset;
	struct xt_standard_target target;
	uint16_t at;

	if (offset + t->target_offset + sizeof(at) > get->size)
		return false;
	memcpy(&at, entry + t->target_offset, sizeof(at));
	if (offset + at + sizeof(target) > get->size)
		return false;
	memcpy(&target, entry + at, sizeof(target));
	return target.target.u.user.name[0] == '\0' && target.verdict == -NF_ACCEPT - 1;
}

/*
 * A table that somebody only looked at exists too. Untouched it has one entry for the policy of
 * each hook and one that ends it, and every policy is to accept.
 */
static bool iptables_touched(const struct iptables *t, int fd, const char *table)
{
	struct ipt_getinfo info = { 0 };
	cleanup_free struct ipt_get_entries *get = NULL;
	socklen_t len = sizeof(info);

	strncpy(info.name, table, sizeof(info.name) - 1);
	if (getsockopt(fd, t->level, t->get_info, &info, &len) < 0 ||
	    info.num_entries != (unsigned int)__builtin_popcount(info.valid_hooks) + 1)
		return true;
	len = (socklen_t)(sizeof(*get) + info.size);
	get = calloc(1, len);
	if (!get)
		return true;
	memcpy(get->name, info.name, sizeof(get->name));
	get->size = info.size;
	if (getsockopt(fd, t->level, t->get_entries, get, &len) < 0)
		return true;
	for (int hook = 0; hook < NF_INET_NUMHOOKS; hook++)
		if (info.valid_hooks & 1u << hook && !accepts(t, get, info.underflow[hook]))
			return true;
	return false;
}

static int check_iptables(struct findings *f, const struct iptables *t, int netns_fd,
			  struct ct_error *err)
{
	struct names_call names = { .path = t->path };
	cleanup_free char *text = NULL;
	cleanup_fd int fd = -1;
	char *rest = NULL;
	int r = netns_call(netns_fd, read_names, &names);

	if (r == -ENOENT) /* not in this kernel */
		return 0;
	if (r < 0)
		return error_errno(err, r, "read '%s' inside", t->path);
	text = names.text;
	if (!*text)
		return 0;
	fd = netns_socket(netns_fd, t->family, SOCK_RAW, IPPROTO_RAW);
	if (fd < 0)
		return error_errno(err, fd, "raw socket inside");
	for (char *table = strtok_r(text, "\n", &rest); table; table = strtok_r(NULL, "\n", &rest))
		if (iptables_touched(t, fd, table))
			findings_add(f, "%s table '%s'", t->name, table);
	return 0;
}

int probe_iptables(struct findings *f, int netns_fd, struct ct_error *err)
{
	int r = check_iptables(f, &iptables[0], netns_fd, err);

	return r < 0 ? r : check_iptables(f, &iptables[1], netns_fd, err);
}

/* A list is asked for without a fixed part: the kernel takes all of such a message for attributes, and logs the rest. */
static int count_ipsec(struct nl_sock *sock, int type, size_t *ret)
{
	cleanup_msg struct nl_msg *msg = netlink_message(type, NLM_F_DUMP, "", 0);
	cleanup_reply struct netlink_reply reply = { 0 };
	int r = msg ? netlink_request(sock, msg, &reply) : -ENOMEM;

	*ret = 0;
	netlink_each(h, &reply)(*ret)++;
	return r;
}

int probe_ipsec(struct findings *f, int netns_fd, struct ct_error *err)
{
	cleanup_sock struct nl_sock *sock = NULL;
	size_t states, policies;
	int r = netlink_open(netns_fd, NETLINK_XFRM, &sock, err);

	if (r == -EPROTONOSUPPORT)
		return 0;
	if (r < 0)
		return r;
	r = count_ipsec(sock, XFRM_MSG_GETSA, &states);
	if (r == 0)
		r = count_ipsec(sock, XFRM_MSG_GETPOLICY, &policies);
	if (r < 0)
		return error_errno(err, r, "list IPsec inside");
	if (states)
		findings_add(f, "IPsec associations (%zu)", states);
	if (policies)
		findings_add(f, "IPsec policies (%zu)", policies);
	return 0;
}
