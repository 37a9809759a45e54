/* SPDX-License-Identifier: Apache-2.0 */
#include "netns/nat.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "libct/base/cleanup.h"
#include "libct/base/error.h"
#include "netns/claim.h"
#include "netns/nft.h"

#define CHAIN_MAX 32

/*
 * Whether the chain holds our rule and nothing else. Setting it anew waits for all packets under
 * way in the kernel, some 10 ms, which a pod that starts need not pay.
 */
static bool rule_present(const char *family, const char *chain, const char *rule)
{
	char complaint[NFT_COMPLAINT_MAX], command[128];
	cleanup_free char *text = NULL;
	const char *line;

	snprintf(command, sizeof(command), "list chain %s podckpt %s", family, chain);
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

/* `family` is "ip" or "ip6", `net` a subnet of it, `groups` all its multicasts. */
static int masquerade(const char *family, const char *bridge, const char *net, const char *groups, bool *ret_nat,
		      struct ct_error *err)
{
	char chain[CHAIN_MAX], rule[320], commands[1024], complaint[NFT_COMPLAINT_MAX];
	int r = 0;

	/* As libnftables itself writes it. */
	snprintf(rule, sizeof(rule),
		 "%1$s saddr %2$s %1$s daddr != %2$s %1$s daddr != %3$s oifname != \"%4$s\" masquerade", family, net,
		 groups, bridge);
	snprintf(commands, sizeof(commands),
		 "add table %1$s podckpt\n"
		 "add chain %1$s podckpt %2$s "
		 "{ type nat hook postrouting priority srcnat; policy accept; }\n"
		 "flush chain %1$s podckpt %2$s\n"
		 "add rule %1$s podckpt %2$s %3$s\n",
		 family, chain_name(bridge, chain), rule);
	if (!rule_present(family, chain_name(bridge, chain), rule))
		r = nft_run(commands, NULL, complaint);
	if (r >= 0) {
		*ret_nat = true;
		return 0;
	}
	/* nf_tables is there but its chains of type nat, or masquerading, are not. */
	if (strstr(complaint, strerror(ENOENT)) || strstr(complaint, strerror(EOPNOTSUPP)))
		return 0;
	return error_set(err, r, "nftables table '%s podckpt': %s", family, complaint);
}

int nat_ensure(const char *bridge, const struct net_subnet *subnet, const struct net_subnet6 *subnet6,
	       bool *ret_nat, struct ct_error *err)
{
	char ip[INET6_ADDRSTRLEN], net[INET6_ADDRSTRLEN + 8];
	int r = nft_present(err);
	bool nat6;

	if (r < 0)
		return r;
	*ret_nat = false;
	if (r == 0)
		return 0;
	snprintf(net, sizeof(net), "%s/%u", inet_ntop(AF_INET, &subnet->address, ip, sizeof(ip)), subnet->prefix);
	r = masquerade("ip", bridge, net, "224.0.0.0/4", ret_nat, err);
	if (r < 0 || !subnet6->prefix || !ipv6_forwards())
		return r;
	snprintf(net, sizeof(net), "%s/%u", inet_ntop(AF_INET6, &subnet6->address, ip, sizeof(ip)),
		 subnet6->prefix);
	return masquerade("ip6", bridge, net, "ff00::/8", &nat6, err);
}

static int remove_chain(int number, const char *family, const char *bridge, struct ct_error *err)
{
	char complaint[NFT_COMPLAINT_MAX], command[256], chain[CHAIN_MAX];
	int r = nft_has_table(number, "podckpt", err);

	if (r <= 0)
		return r;
	/* Added first, because it may not be there. */
	snprintf(command, sizeof(command),
		 "add chain %1$s podckpt %2$s\nflush chain %1$s podckpt %2$s\ndelete chain %1$s podckpt %2$s\n",
		 family, chain_name(bridge, chain));
	r = nft_run(command, NULL, complaint);
	return r < 0 ? error_set(err, r, "nftables table '%s podckpt': %s", family, complaint) : 0;
}

int nat_remove(const char *bridge, struct ct_error *err)
{
	int r = remove_chain(AF_INET, "ip", bridge, err);

	return r < 0 ? r : remove_chain(AF_INET6, "ip6", bridge, err);
}
