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

/*
 * The subnet of a link: that of its first IPv4 address, which goes to *ret_own (may be NULL); -ENOENT
 * where it has none.
 */
int subnet_of_link(struct nl_sock *sock, int index, struct net_subnet *ret, struct in_addr *ret_own);

/* A free subnet for a new bridge, or a check of the one wished for. -EADDRINUSE. */
int subnet_choose(struct nl_sock *sock, const struct net_subnet *wish, struct net_subnet *ret,
		  struct ct_error *err);

/* The text of a claim, for a link's alias. */
#define CLAIM_TEXT_MAX 32
void claim_text(struct in_addr ip, char text[CLAIM_TEXT_MAX]);

/* What an address is chosen from. */
struct claim_space {
	const char *bridge;
	struct net_subnet subnet;
	struct in_addr own;   /* the bridge's address; zero: it has none */
	struct in_addr start; /* where the search begins; outside the subnet: with the lowest */
};

/*
 * Chooses a pod's address among the claims of all links of this host: `wish`, or the next free one
 * from the start on where that is zero. The caller holds the lock until the claim stands in the link's alias.
 */
int claim_choose(struct nl_sock *sock, const struct claim_space *space, struct in_addr wish,
		 struct in_addr *ret, struct ct_error *err);

/* Whether a link is a pod's, and with it the number of the address that it claims. */
bool claim_of_link(const struct rt_link *link, struct in_addr *ret);

/* A bridge with a hardware address of its own, still down. */
int bridge_make(struct nl_sock *sock, const char *name, struct rt_link *ret, struct ct_error *err);
int forwarding_on(struct ct_error *err);

/* Whether a bridge has ports that are no pods': others may have addresses behind them. */
bool bridge_is_shared(const struct rt_link *links, size_t n, int bridge);

/* Who has an address and may have it. */
struct arp_holder {
	uint8_t mac[6];
	bool answered;
};

/*
 * Asks the Ethernet behind a link that is up who has an address: 1 and who it is, or 0 where nobody but `holder` (NULL:
 * nobody) answers within a third of a second. RFC 5227, section 2.1.1, with shorter times: there is no spanning tree to
 * wait for.
 */
int arp_probe(const struct rt_link *link, struct in_addr ip, struct arp_holder *holder, uint8_t ret_mac[6],
	      struct ct_error *err);
