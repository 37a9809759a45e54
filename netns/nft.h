/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's nf_tables through libnftables, which is not meant for two threads at once: whoever calls nft_run()
 * holds claim_lock().
 */
#pragma once

struct ct_error;

/* 1, or 0 where this kernel has no nf_tables. */
int nft_present(struct ct_error *err);

/* Whether there is a table of that name for AF_INET or AF_INET6; costs one request. */
int nft_has_table(int family, const char *table, struct ct_error *err);

/*
 * Runs commands in one transaction. 0 and what they printed (the caller frees *ret_output; it may be NULL);
 * -EIO and the first line of what libnftables complained about; -ENOMEM.
 */
#define NFT_COMPLAINT_MAX 256
int nft_run(const char *commands, char **ret_output, char complaint[NFT_COMPLAINT_MAX]);
