/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network of pods: a bridge on the host, a veth pair for each pod, addresses, routes and NAT.
 *
 * All through rtnetlink (libnl-3, libnl-route-3) and libnftables; no other program is called.
 * Nothing here knows a pod: a network namespace is a descriptor, a link is a name. Functions return
 * 0 or a negative errno with the words in `err`.
 */
#pragma once
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ct_error;

#define NET_BRIDGE "podckpt0"

struct net_subnet {
	struct in_addr address; /* the network's */
	unsigned int prefix;
};

struct net_subnet6 {
	struct in6_addr address;
	unsigned int prefix; /* 0: there is none */
};

/* One end of a pod's network as the pod sees it. */
struct net_config {
	struct in_addr ip;
	unsigned int prefix;
	struct in_addr gateway;
	uint8_t mac[6];
	uint32_t mtu;
	bool locked; /* net_attach(): no packet passes before net_unlock() */
	bool asked;  /* net_check() was told by the Ethernet: net_attach() need not ask again */
	char bridge[16];	  /* that it hangs on; "": NET_BRIDGE */
	struct net_subnet subnet; /* net_attach(): of a bridge without an address; prefix 0: that of `ip` */
	struct in6_addr ip6;	  /* zero: none */
	unsigned int prefix6;
	struct in6_addr gateway6; /* zero: IPv6 leads nowhere else */
	bool no_ip6;		  /* net_attach(): it gets no IPv6 address; else `ip6` zero is one that is made */
};

/*
 * Makes sure that the bridge exists and is up, has the first address of a subnet, that forwarding
 * is on and that what leaves the subnet for elsewhere is masqueraded. A new bridge takes `subnet`,
 * or where that is NULL the first /16 of 10.88.0.0, 10.89.0.0, ... 10.255.0.0, 172.16-31.0.0,
 * 192.168.x.0/24 that overlaps no address and no route of this host. An existing bridge keeps its
 * own; -EINVAL if `subnet` was given and differs. NAT: where this kernel has no nf_tables, *ret_nat
 * is false and the rest still works. Where a firewall of the host drops forwarded packets, no table
 * of ours can overrule it (netns/nat.h).
 *
 * Where this host has IPv6 the bridge gets an IPv6 subnet too, unless it has one: docs/adr/0013-ipv6-addresses.md.
 * Forwarding of IPv6 is never switched on (ipv6_forwards()).
 */
int net_bridge_ensure(const struct net_subnet *subnet, struct net_subnet *ret, bool *ret_nat,
		      struct ct_error *err);

/* Whether a name can be that of a link. */
bool net_name_valid(const char *name);

/*
 * Whether a pod can be attached to its bridge, which somebody made: it exists, is a bridge, is up, and has
 * an IPv4 address or the pod is given a subnet. -EINVAL if it has another subnet than the one that was given.
 * Nothing is changed on it.
 */
int net_bridge_check(const struct net_config *config, struct ct_error *err);

/*
 * Makes the veth pair: `host_name` (e.g. "pck1a2b3c") as a port of the bridge and "eth0" inside the
 * namespace `netns_fd`, and chooses the address. `config->ip` zero: the next free one of the
 * subnet; otherwise that one, or -EADDRINUSE. On a bridge with ports that are no pods' the Ethernet is
 * asked too (RFC 5227): who answers has the address, and hosts begin their choice at different places. `config->mac` zero: made from the address
 * (02:42:...). The claim is made under one lock for the whole host and is recorded in the kernel
 * itself (the ifalias of the host end: "podckpt a.b.c.d"), so concurrent claims, several state
 * directories and crashes cannot break it: the address is free when the link is gone. Brings lo and
 * eth0 up, sets address, default route through the bridge (none where that has no address).
 *
 * `config->ip6` zero: where the bridge has an IPv6 subnet (of a permanent address), an address is made from the IPv4 address in it; else
 * that one, or -EADDRINUSE, -ENOSYS where this host has no IPv6. Its claim is part of the same one ("podckpt a.b.c.d fd..").
 * It is usable at once. The default route for IPv6 is there only where this host forwards.
 *
 * `config->mtu` zero: that of the host's
 * default route, or 1500; on another bridge the bridge's. Fills in *config (prefix and gateway are always the bridge's). When it
 * returns packets flow; with `config->locked` the link is made locked, and not one has passed.
 */
int net_attach(int netns_fd, const char *host_name, struct net_config *config,
	       struct ct_error *err);

/*
 * Would net_attach() get this address? 0; -ENODEV: there is no bridge yet; -EADDRINUSE, -EINVAL with words: no. It is
 * free at this moment only. `in_use`: a pod has it that is to move here, so the one with `config->mac` may answer. As
 * long as that one is there to defend it nobody else takes the address: config->asked is set then.
 */
int net_check(struct net_config *config, bool in_use, struct ct_error *err);

/* Only lo, for pods without a network. */
int net_loopback_up(int netns_fd, struct ct_error *err);

/* A port of this host that leads to a port of a pod. */
struct net_publish {
	int family;	     /* AF_INET, AF_INET6; AF_UNSPEC: over both, as far as the pod and this host can */
	struct in_addr ip;   /* of this host, where that is the family; zero: all */
	struct in6_addr ip6; /* likewise */
	uint16_t host, pod;
	bool udp; /* else TCP */
};

/* "[IP:]HOST:POD[/udp]" as it is given; an IPv6 address stands in brackets. Returns `buf`. */
#define NET_PUBLISH_MAX 72
const char *net_publish_text(const struct net_publish *publish, char buf[NET_PUBLISH_MAX]);
/* Whether both want the same port of this host. */
bool net_publish_clash(const struct net_publish *a, const struct net_publish *b);

/*
 * Publishes ports of a pod that was attached; net_detach() ends that. They lead to the pod for whoever
 * comes from outside, from other pods and from the host itself, except by 127.0.0.1, ::1 and link-local addresses; over IPv6 where
 * the pod has such an address and this host forwards IPv6. -EADDRINUSE: a program or another
 * pod has one; -ENOSYS: this kernel cannot, or one is wanted over IPv6 alone and this host does not forward.
 */
int net_publish(const char *host_name, const struct net_config *config, const struct net_publish *list,
		size_t n, struct ct_error *err);
int net_unpublish(const char *host_name, struct ct_error *err); /* none is fine */
/* Could it be published now, for a pod with these addresses? */
int net_publish_check(const struct net_config *config, const struct net_publish *publish, struct ct_error *err);

/*
 * Of a pod that has ended: nothing passes its link any more, and its addresses, its MAC and its published ports are free. That
 * is done at once, where net_detach() takes the kernel some 30 ms. Absent is fine.
 */
int net_give_up(const char *host_name, struct ct_error *err);

/* Removes the host end (and with it the pair) and the ports published for it. Absent is fine. */
int net_detach(const char *host_name, struct ct_error *err);

/*
 * The packet lock: while locked, nothing passes between the pod and the bridge in either direction;
 * the carrier inside the pod does not change. The bridge port is set to BR_STATE_DISABLED by
 * rtnetlink. Undone by net_unlock() or with the link. Both may be repeated.
 */
int net_lock(const char *host_name, struct ct_error *err);
int net_unlock(const char *host_name, struct ct_error *err);

/*
 * For whoever stands in the network of a pod whose link is locked: what is sent goes nowhere at all, instead of waiting for a
 * neighbour's address until the link is open. Undone by a second call.
 */
int net_mute(bool mute, struct ct_error *err);

/*
 * Announces the addresses from inside the namespace: gratuitous ARP, unsolicited neighbour advertisements. *ret_done, also of a
 * failure, is to be closed when nobody waits, for the kernel takes a grace period for that; -1: nothing.
 */
int net_announce(int netns_fd, const struct net_config *config, int *ret_done, struct ct_error *err);

/*
 * One thing in a namespace that is not as net_attach() made it, as a phrase: "link 'dummy0'",
 * "route 10.0.0.0/8 by eth0".
 */
struct net_finding {
	char text[160];
};

/* A bridge of this host, as `podckpt network ls` shows it. */
struct net_network {
	char name[16];
	struct in_addr ip; /* its own; zero: none */
	unsigned int prefix;
	struct in6_addr ip6;
	unsigned int prefix6; /* 0: none */
	char ports[256];   /* those that are no pods', separated by blanks */
	size_t n_pods;
	bool own; /* made by podckpt */
	bool up;
};

/* All bridges in the order of the kernel; the caller frees *ret. */
int net_network_list(struct net_network **ret, size_t *ret_n, struct ct_error *err);

/* How a bridge for pods is to be made. NULL, 0: not. */
struct net_network_options {
	const char *name;
	struct in_addr ip; /* its own address; without host bits the first of the subnet that is free */
	unsigned int prefix;
	const char *uplink;	/* a link that becomes a port of it */
	struct in_addr vxlan;	/* the group (or the one other host) of a VXLAN that becomes a port of it */
	const char *dev;	/* the link it runs over */
	uint32_t id;		/* its number, 24 bits */
};

/*
 * Makes a bridge for pods of several hosts, and marks what it made (ifalias "podckpt network").
 * Everything or nothing. Without an uplink what leaves the subnet is masqueraded, as on podckpt0.
 */
int net_network_create(const struct net_network_options *options, struct ct_error *err);

/*
 * Removes what net_network_create() made, or podckpt0. An uplink is let go. -EBUSY: pods hang on it;
 * -EINVAL: somebody else made it; -ENODEV.
 */
int net_network_remove(const char *name, struct ct_error *err);

/*
 * Everything in a namespace that net_attach() with that configuration (NULL: net_loopback_up())
 * would not make again: links, addresses, routes, rules, permanent neighbours, queueing
 * disciplines, XDP programs, nftables and iptables, IPsec. The caller frees *ret, which is NULL
 * where there is nothing.
 */
int net_probe(int netns_fd, const struct net_config *config, struct net_finding **ret,
	      size_t *ret_n, struct ct_error *err);
