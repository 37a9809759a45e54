/* SPDX-License-Identifier: Apache-2.0 */
#include "netns/nft.h"

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <nftables/libnftables.h>
#include <stdio.h>
#include <string.h>

#include "libct/base/error.h"
#include "netns/netlink.h"

DEFINE_CLEANUP(struct nft_ctx *, nft_ctx_free)

/* One request that reads. The kernel's negative errno; -EPROTONOSUPPORT: nobody answers for nf_tables. */
static int ask(int type, int family, const char *table, struct ct_error *err)
{
	cleanup_sock struct nl_sock *sock = NULL;
	cleanup_msg struct nl_msg *msg = NULL;
	struct nfgenmsg fixed = { .nfgen_family = (uint8_t)family, .version = NFNETLINK_V0 };
	int r = netlink_open(-1, NETLINK_NETFILTER, &sock, err);

	if (r < 0)
		return r;
	msg = netlink_message(NFNL_SUBSYS_NFTABLES << 8 | type, 0, &fixed, sizeof(fixed));
	if (!msg || (table && nla_put_string(msg, NFTA_TABLE_NAME, table) < 0))
		return error_errno(err, -ENOMEM, "nf_tables");
	r = netlink_request(sock, msg, NULL);
	if (r == -EINVAL || r == -EOPNOTSUPP)
		return -EPROTONOSUPPORT;
	return r;
}

int nft_present(struct ct_error *err)
{
	/* Its generation: only its absence or a lack of privilege can refuse that. */
	int r = ask(NFT_MSG_GETGEN, AF_UNSPEC, NULL, err);

	if (r == -EPROTONOSUPPORT)
		return 0;
	return r < 0 ? error_errno(err, r, "nf_tables") : 1;
}

int nft_has_table(int family, const char *table, struct ct_error *err)
{
	int r = ask(NFT_MSG_GETTABLE, family, table, err);

	if (r == -EPROTONOSUPPORT || r == -ENOENT)
		return 0;
	return r < 0 ? error_errno(err, r, "nftables table '%s'", table) : 1;
}

int nft_run(const char *commands, char **ret_output, char complaint[NFT_COMPLAINT_MAX])
{
	__cleanup(nft_ctx_free_cleanup) struct nft_ctx *nft = nft_ctx_new(NFT_CTX_DEFAULT);
	const char *text;

	complaint[0] = '\0';
	if (!nft || nft_ctx_buffer_output(nft) || nft_ctx_buffer_error(nft))
		return -ENOMEM;
	if (nft_run_cmd_from_buffer(nft, commands)) {
		text = nft_ctx_get_error_buffer(nft);
		snprintf(complaint, NFT_COMPLAINT_MAX, "%.*s", (int)strcspn(text, "\n"), text);
		return -EIO;
	}
	if (!ret_output)
		return 0;
	*ret_output = strdup(nft_ctx_get_output_buffer(nft));
	return *ret_output ? 0 : -ENOMEM;
}
