/* SPDX-License-Identifier: Apache-2.0 */
#include "netns/nat.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "libct/base/cleanup.h"
#include "libct/base/error.h"
#include "netns/nft.h"

#define CHAIN_MAX 32

/*
 * Whether the chain holds our rule and nothing else. Setting it anew waits for all packets under
 * way in the kernel, some 10 ms, which a pod that starts need not pay.
 */
static bool rule_present(const char *chain, const char *rule)
{
	char complaint[NFT_COMPLAINT_MAX], command[128];
	cleanup_free char *text = NULL;
	const char *line;

	snprintf(command, sizeof(command), "list chain ip podckpt %s", chain);
	if (nft_run(command, &text, complaint) < 0)
		return false;
	line = strstr(text, rule);
	return strstr(text, "type nat hook postrouting") && line && line - text >= 4 &&
	       !strncmp(line - 4, ";\n\t\t", 4) && !strcmp(line + strlen(rule), "\n\t}\n}\n");
}

static const char *chain_name(const char *bridge, char buf[CHAIN_MAX])
{
	bool usual = !strcmp(bridge, NET_BRIDGE);

	snprintf(buf, CHAIN_MAX, "postrouting%s%s", usual ? "" : "_", usual ? "" : bridge);
	return buf;
}

int nat_ensure(const char *bridge, const struct net_subnet *subnet, bool *ret_nat, struct ct_error *err)
{
	char net[INET_ADDRSTRLEN], chain[CHAIN_MAX], rule[256], commands[1024], complaint[NFT_COMPLAINT_MAX];
	int r = nft_present(err);

	if (r < 0)
		return r;
	*ret_nat = false;
	if (r == 0)
		return 0;
	/* As libnftables itself writes it. */
	snprintf(rule, sizeof(rule),
		 "ip saddr %1$s/%2$u ip daddr != %1$s/%2$u ip daddr != 224.0.0.0/4 "
		 "oifname != \"%3$s\" masquerade",
		 inet_ntop(AF_INET, &subnet->address, net, sizeof(net)), subnet->prefix, bridge);
	snprintf(commands, sizeof(commands),
		 "add table ip podckpt\n"
		 "add chain ip podckpt %1$s "
		 "{ type nat hook postrouting priority srcnat; policy accept; }\n"
		 "flush chain ip podckpt %1$s\n"
		 "add rule ip podckpt %1$s %2$s\n",
		 chain_name(bridge, chain), rule);
	if (!rule_present(chain_name(bridge, chain), rule))
		r = nft_run(commands, NULL, complaint);
	if (r >= 0) {
		*ret_nat = true;
		return 0;
	}
	/* nf_tables is there but its chains of type nat, or masquerading, are not. */
	if (strstr(complaint, strerror(ENOENT)) || strstr(complaint, strerror(EOPNOTSUPP)))
		return 0;
	return error_set(err, r, "nftables table 'podckpt': %s", complaint);
}

int nat_remove(const char *bridge, struct ct_error *err)
{
	char complaint[NFT_COMPLAINT_MAX], command[256], chain[CHAIN_MAX];
	int r = nft_has_table("podckpt", err);

	if (r <= 0)
		return r;
	/* Added first, because it may not be there. */
	snprintf(command, sizeof(command),
		 "add chain ip podckpt %1$s\nflush chain ip podckpt %1$s\ndelete chain ip podckpt %1$s\n",
		 chain_name(bridge, chain));
	r = nft_run(command, NULL, complaint);
	return r < 0 ? error_set(err, r, "nftables table 'podckpt': %s", complaint) : 0;
}
