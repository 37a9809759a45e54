/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "netns/net.h"

/*
 * Masquerades what leaves the subnets for elsewhere: table ip 'podckpt', and where this host forwards IPv6 table ip6 'podckpt', a chain for each
 * bridge ('postrouting' for podckpt0, 'postrouting_NAME' for others). The chain is ours alone and is filled anew in one transaction. *ret_nat is false where this kernel
 * cannot (no nf_tables, no NAT). The caller holds claim_lock(): libnftables is not meant for two
 * threads at once.
 *
 * nf_tables lets every table have its say, and a drop is final: where another table drops forwarded
 * packets by policy (firewalls, docker's FORWARD chain), no rule of ours can let the pods through.
 * That table's owner must.
 */
int nat_ensure(const char *bridge, const struct net_subnet *subnet, const struct net_subnet6 *subnet6,
	       bool *ret_nat, struct ct_error *err);

/* Ends it. The same lock. */
int nat_remove(const char *bridge, struct ct_error *err);
