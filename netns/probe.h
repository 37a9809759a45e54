/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of net_probe(). */
#pragma once
#include "netns/net.h"
#include "netns/rt.h"

/* What was found so far. Adding cannot fail; a lack of memory is recorded in `code`. */
struct findings {
	struct net_finding *list;
	size_t n, size;
	int code;
};

void findings_add(struct findings *f, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* What is in a namespace beside links, addresses and routes. `links` are those of the namespace. */
int probe_traffic(struct findings *f, struct nl_sock *inside, const struct rt_link *links,
		  size_t n_links, struct ct_error *err);
int probe_nftables(struct findings *f, int netns_fd, struct ct_error *err);
int probe_iptables(struct findings *f, int netns_fd, struct ct_error *err);
int probe_ipsec(struct findings *f, int netns_fd, struct ct_error *err);

/* The name of a link, or its number in `buf`. */
const char *probe_link_name(const struct rt_link *links, size_t n, int index, char buf[IFNAMSIZ]);
