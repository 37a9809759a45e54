/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rtnetlink as plain C: links, addresses and routes read into arrays of structs, and the few
 * changes that pods need. man 7 rtnetlink. Functions return 0 or the kernel's negative errno; the
 * callers have the words.
 */
#pragma once
#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct nl_msg;
struct nl_sock;

#define RT_OPER_UP 6 /* IF_OPER_UP of linux/if.h, which cannot stand beside net/if.h */

struct rt_link {
	int index;
	char name[IFNAMSIZ];
	char alias[256];
	char kind[32]; /* "bridge", "veth", ...; empty for lo and hardware */
	char qdisc[32];
	int master; /* index of the bridge it is a port of, or 0 */
	uint32_t mtu;
	unsigned int flags; /* IFF_* */
	uint8_t operstate;  /* RFC 2863; RT_OPER_UP: the carrier is there and the kernel has dealt
			       with it */
	uint8_t port_state; /* BR_STATE_*, where it is a port of a bridge */
	uint8_t address[6]; /* hardware address, where it has that length */
	uint32_t txqlen;
	bool xdp; /* a program is attached */
};

struct rt_address {
	int index; /* of the link */
	int family;
	unsigned int prefix;
	uint8_t bytes[16]; /* 4 or 16, network order */
	uint8_t scope;
	uint32_t flags; /* IFA_F_* */
};

struct rt_route {
	int family;
	uint32_t table;
	uint8_t type;	  /* RTN_* */
	uint8_t protocol; /* RTPROT_* */
	uint8_t scope;
	unsigned int prefix;
	uint8_t destination[16];
	uint8_t gateway[16]; /* zero: none */
	int oif;
	uint32_t priority;
	uint32_t flags; /* RTM_F_*, RTNH_F_* */
	bool multipath;
	bool metrics; /* own MTU, window, ... */
};

/* Lists; the caller frees *ret. `family` may be AF_UNSPEC for both. */
int rt_links(struct nl_sock *sock, struct rt_link **ret, size_t *ret_n);
int rt_addresses(struct nl_sock *sock, int family, struct rt_address **ret, size_t *ret_n);
int rt_routes(struct nl_sock *sock, int family, struct rt_route **ret, size_t *ret_n);

/* One link by name; -ENODEV. */
int rt_link_get(struct nl_sock *sock, const char *name, struct rt_link *ret);

/* What rt_link_set() changes; fields left zero or NULL stay as they are. */
struct rt_link_change {
	bool up;
	bool arp, no_arp; /* whether it asks for the hardware addresses of its neighbours; what waits for one is lost */
	const char *alias;
	int master;
	bool no_ipv6_address; /* generates no link-local address */
};
int rt_link_set(struct nl_sock *sock, int index, const struct rt_link_change *change);
int rt_link_delete(struct nl_sock *sock, int index);

/*
 * Waits until the kernel has seen the carrier of a bridge's port and the port forwards; with `operating` also until
 * the link itself says that it is up, which a veth does on both ends. That happens a little after the links
 * are brought up, and it would undo a later BR_STATE_DISABLED. `events` has been subscribed to changes
 * of links since before. -ETIMEDOUT.
 */
struct ct_error;
int carrier_wait(struct nl_sock *sock, struct nl_sock *events, const char *name, bool operating,
		 struct ct_error *err);

/*
 * A VXLAN, still down: Ethernet in UDP (port 4789, RFC 7348) by the link `dev` to a group of hosts, or to
 * the one other host. -EEXIST.
 */
int rt_vxlan_add(struct nl_sock *sock, const char *name, struct in_addr group, int dev, uint32_t id);

/* A bridge without STP and without delay, still down. -EEXIST. */
int rt_bridge_add(struct nl_sock *sock, const char *name, const uint8_t mac[6]);

/* A veth pair, both ends down: `name` here and `peer` with the address `mac` inside `netns_fd`. */
int rt_veth_add(struct nl_sock *sock, const char *name, const char *peer, int netns_fd,
		const uint8_t mac[6], uint32_t mtu);

/*
 * Opens or closes a bridge port. A closed one takes only frames from addresses it knows (none),
 * learns none (and forgets those that it had) and is not flooded to. With `state` (BR_STATE_*; -1 leaves it) the port's state is
 * set as well.
 */
int rt_port_set(struct nl_sock *sock, int index, bool open, int state);

/*
 * An address, IPv4 with its broadcast address. -EEXIST. IPv6: usable at once (nobody else is asked for it); -EACCES, -EOPNOTSUPP:
 * IPv6 is off, on that link or at all.
 */
int rt_address_add(struct nl_sock *sock, int index, struct in_addr ip, unsigned int prefix);
int rt_address6_add(struct nl_sock *sock, int index, const struct in6_addr *ip, unsigned int prefix);

/* The default route; `gateway` is a struct in_addr or in6_addr. -EEXIST. */
int rt_default_route_add(struct nl_sock *sock, int index, int family, const void *gateway);
