/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pod's network. Its link, address and routes are made again by pod_make(); what a process of the pod has
 * made or changed beside them is refused, each by name. A pod on the host's own network has none. TCP connections that
 * no process has any more are the network's too (tcp-held.c).
 */
#include "libct/base/cleanup.h"
#include "libct/kind/tcp.h"
#include "netns/net.h"

static int net_dump(struct dump *d, struct node *n, struct ct_error *err)
{
	const struct pod_config *config = &d->pod->config;
	cleanup_free struct net_finding *list = NULL;
	size_t count = 0;
	int r;

	/* A restored pod is as it was made; and its links come up only when it is let go. */
	if (d->verify || config->net == CT_NET_HOST)
		return tcp_held_put(d, n, err);
	r = net_probe(d->netns, config->net == CT_NET_BRIDGE ? &config->address : NULL, &list, &count,
		      err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < count; i++)
		dump_refuse(d, "%s was set up inside the pod's network, which is not carried yet; remove it "
			       "before the checkpoint", list[i].text);
	return tcp_held_put(d, n, err);
}

static int net_restore(struct restore *r, const struct node *n, struct ct_error *err)
{
	return 0; /* pod_make() did it */
}

static int net_restore_late(struct restore *r, const struct node *n, struct ct_error *err)
{
	return tcp_held_restore(r, n, err);
}

const struct kind kind_net = {
	.name = "net",
	.carries = "the pod's link, addresses and routes as `run` made them; TCP connections that were closed while bytes are "
		   "under way, with the options by which they go on, and those in TIME_WAIT",
	.refuses = "links, addresses, routes, filters that were made inside the pod",
	.victims = "net-link tcp-orphan tcp-orphan-options tcp-time-wait",
	.pod_dump = net_dump,
	.pod_restore = net_restore,
	.pod_restore_late = net_restore_late,
};
