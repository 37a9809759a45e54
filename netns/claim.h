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

/* Whether a link has IPv6 switched on. */
bool ipv6_on(const char *link);
/* Whether this host forwards IPv6. Nobody here switches that on. */
bool ipv6_forwards(void);

bool subnet6_contains(const struct net_subnet6 *subnet, const struct in6_addr *ip);
/* The same for the first permanent IPv6 address that is not link-local. */
int subnet6_of_link(struct nl_sock *sock, int index, struct net_subnet6 *ret, struct in6_addr *ret_own);
/*
 * The IPv6 subnet of a new bridge: follows from its IPv4 subnet, so that it is the same on other hosts; the next where this host has
 * that. prefix 0: none is free.
 */
int subnet6_choose(struct nl_sock *sock, const struct net_subnet *from, struct net_subnet6 *ret,
		   struct ct_error *err);
/*
 * Gives a bridge with the IPv4 address `own` in `from` an IPv6 address, unless it has one, and tells the subnet. prefix 0: IPv6 is
 * off there.
 */
int subnet6_ensure(struct nl_sock *sock, const struct rt_link *bridge, const struct net_subnet *from,
		   struct in_addr own, struct net_subnet6 *ret, struct ct_error *err);
/* The n-th address that is made from an IPv4 address, which is unique on its Ethernet; false: the subnet is too small. */
bool ip6_from_ip(const struct net_subnet6 *subnet, struct in_addr ip, uint8_t n, struct in6_addr *ret);

/* What a pod has; ip6 zero: none; ip zero: the pod has ended, and its link is about to go. */
struct claim {
	struct in_addr ip;
	struct in6_addr ip6;
	uint8_t mac[6]; /* zero: not told (pods of earlier versions) */
};

/* The text of a claim, for a link's alias. */
#define CLAIM_TEXT_MAX (16 + INET_ADDRSTRLEN + INET6_ADDRSTRLEN + 18)
void claim_text(const struct claim *claim, char text[CLAIM_TEXT_MAX]);

/* What an address is chosen from. */
struct claim_space {
	const char *bridge;
	struct net_subnet subnet;
	struct in_addr own;   /* the bridge's address; zero: it has none */
	struct in_addr start; /* where the search begins; outside the subnet: with the lowest */
	struct net_subnet6 subnet6;
	struct in6_addr own6; /* zero: the bridge has none (yet) */
	bool on6;	      /* it could have one: IPv6 is on there */
};

/*
 * Chooses a pod's address among the claims of all links of this host, which are given: `wish`, or the next free one
 * from the start on where that is zero. The caller holds the lock from the listing on until the claim stands in the link's alias.
 */
int claim_choose(const struct rt_link *links, size_t n, const struct claim_space *space, struct in_addr wish,
		 struct in_addr *ret, struct ct_error *err);

/*
 * Likewise the IPv6 address of a pod that gets `ip`: `wish`, or where that is zero one that is made from `ip`; zero where none can be.
 */
int claim_choose6(const struct rt_link *links, size_t n, const struct claim_space *space, struct in_addr ip,
		  const struct in6_addr *wish, struct in6_addr *ret, struct ct_error *err);

/* -EADDRINUSE: another pod on the same bridge has this hardware address; zero is nobody's. */
int claim_check_mac(const struct rt_link *links, size_t n, int bridge, const uint8_t mac[6], struct ct_error *err);

/* Whether a link is a pod's, and with it the addresses that it claims. */
bool claim_of_link(const struct rt_link *link, struct claim *ret);
bool claim_stands(const struct claim *claim);

/* A bridge with a hardware address of its own, still down. */
int bridge_make(struct nl_sock *sock, const char *name, struct rt_link *ret, struct ct_error *err);
int forwarding_on(struct ct_error *err);

/* Whether a bridge has ports that are no pods': others may have addresses behind them. */
bool bridge_is_shared(const struct rt_link *links, size_t n, int bridge);

/* Who has both addresses and may have them. */
struct address_holder {
	uint8_t mac[6];
	bool answered, answered6; /* for which */
};

/*
 * Asks the Ethernet behind a link that is up who has an address: AF_INET or AF_INET6 for the one that is taken and who has it, or 0
 * where nobody but `holder` (NULL: nobody) answers within a third of a second. RFC 5227, section 2.1.1, with shorter times: there is
 * no spanning tree to wait for. `ip6` may be zero.
 */
int address_probe(const struct rt_link *link, struct in_addr ip, const struct in6_addr *ip6,
		  struct address_holder *holder, uint8_t ret_mac[6], struct ct_error *err);
