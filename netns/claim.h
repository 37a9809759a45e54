/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who has which address. Nothing is kept in files: the claim is the alias of the pod's link on the
 * host, so it goes when the link goes, however that happens.
 */
#pragma once
#include "netns/net.h"
#include "netns/rt.h"

#define CLAIM_LOCK "/run/podckpt/network.lock"

/*
 * Takes the lock under which this host's bridge is made and its addresses are chosen. It goes with
 * the descriptor that is returned. man 2 flock.
 */
int claim_lock(struct ct_error *err);

/* The first address of a subnet: the bridge's. */
struct in_addr subnet_gateway(const struct net_subnet *subnet);
bool subnet_contains(const struct net_subnet *subnet, struct in_addr ip);
bool subnet_overlaps(const struct net_subnet *subnet, struct in_addr ip, unsigned int prefix);

/* The subnet of a link: that of its first IPv4 address; -ENOENT where it has none. */
int subnet_of_link(struct nl_sock *sock, int index, struct net_subnet *ret);

/* A free subnet for a new bridge, or a check of the one wished for. -EADDRINUSE. */
int subnet_choose(struct nl_sock *sock, const struct net_subnet *wish, struct net_subnet *ret,
		  struct ct_error *err);

/* The text of a claim, for a link's alias. */
#define CLAIM_TEXT_MAX 32
void claim_text(struct in_addr ip, char text[CLAIM_TEXT_MAX]);

/*
 * Chooses a pod's address among the claims of all links of this host: `wish`, or the lowest free
 * one where that is zero. The caller holds the lock until the claim stands in the link's alias.
 */
int claim_choose(struct nl_sock *sock, const struct net_subnet *subnet, struct in_addr wish,
		 struct in_addr *ret, struct ct_error *err);
