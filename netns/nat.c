/* SPDX-License-Identifier: Apache-2.0 */
#include "netns/nat.h"

#include <arpa/inet.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <nftables/libnftables.h>
#include <stdio.h>
#include <string.h>

#include "libct/base/error.h"
#include "netns/netlink.h"

DEFINE_CLEANUP(struct nft_ctx *, nft_ctx_free)

/* Asks nf_tables for its generation, which only its absence or a lack of privilege can refuse. */
static int nf_tables_present(struct ct_error *err)
{
	cleanup_sock struct nl_sock *sock = NULL;
	cleanup_msg struct nl_msg *msg = NULL;
	struct nfgenmsg fixed = { .nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0 };
	int r = netlink_open(-1, NETLINK_NETFILTER, &sock, err);

	if (r == -EPROTONOSUPPORT)
		return 0;
	if (r < 0)
		return r;
	msg = netlink_message(NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETGEN, 0, &fixed, sizeof(fixed));
	if (!msg)
		return error_errno(err, -ENOMEM, "nf_tables");
	r = netlink_request(sock, msg, NULL);
	if (r == -EINVAL || r == -EOPNOTSUPP) /* nobody answers for that part of netfilter */
		return 0;
	return r < 0 ? error_errno(err, r, "nf_tables") : 1;
}

/*
 * Whether the chain holds our rule and nothing else. Setting it anew waits for all packets under
 * way in the kernel, some 10 ms, which a pod that starts need not pay.
 */
static bool rule_present(struct nft_ctx *nft, const char *rule)
{
	const char *text, *line;

	if (nft_run_cmd_from_buffer(nft, "list chain ip podckpt postrouting")) {
		nft_ctx_get_error_buffer(nft); /* takes that complaint out */
		return false;
	}
	text = nft_ctx_get_output_buffer(nft);
	line = strstr(text, rule);
	return strstr(text, "type nat hook postrouting") && line && line - text >= 4 &&
	       !strncmp(line - 4, ";\n\t\t", 4) && !strcmp(line + strlen(rule), "\n\t}\n}\n");
}

/* The first line of what libnftables complained about. */
static const char *first_line(char *buf, size_t size, const char *text)
{
	snprintf(buf, size, "%.*s", (int)strcspn(text, "\n"), text);
	return buf;
}

int nat_ensure(const struct net_subnet *subnet, bool *ret_nat, struct ct_error *err)
{
	__cleanup(nft_ctx_free_cleanup) struct nft_ctx *nft = NULL;
	char net[INET_ADDRSTRLEN], rule[256], commands[1024], line[256];
	const char *complaint;
	int r = nf_tables_present(err);

	if (r < 0)
		return r;
	*ret_nat = false;
	if (r == 0)
		return 0;
	nft = nft_ctx_new(NFT_CTX_DEFAULT);
	if (!nft || nft_ctx_buffer_output(nft) || nft_ctx_buffer_error(nft))
		return error_errno(err, -ENOMEM, "libnftables");
	/* As libnftables itself writes it. */
	snprintf(rule, sizeof(rule),
		 "ip saddr %1$s/%2$u ip daddr != %1$s/%2$u ip daddr != 224.0.0.0/4 "
		 "oifname != \"" NET_BRIDGE "\" masquerade",
		 inet_ntop(AF_INET, &subnet->address, net, sizeof(net)), subnet->prefix);
	snprintf(commands, sizeof(commands),
		 "add table ip podckpt\n"
		 "add chain ip podckpt postrouting "
		 "{ type nat hook postrouting priority srcnat; policy accept; }\n"
		 "flush chain ip podckpt postrouting\n"
		 "add rule ip podckpt postrouting %s\n",
		 rule);
	if (rule_present(nft, rule) || !nft_run_cmd_from_buffer(nft, commands)) {
		*ret_nat = true;
		return 0;
	}
	complaint = nft_ctx_get_error_buffer(nft);
	/* nf_tables is there but its chains of type nat, or masquerading, are not. */
	if (strstr(complaint, strerror(ENOENT)) || strstr(complaint, strerror(EOPNOTSUPP)))
		return 0;
	return error_set(err, -EIO, "nftables table 'podckpt': %s",
			 first_line(line, sizeof(line), complaint));
}
