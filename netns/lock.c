/* SPDX-License-Identifier: Apache-2.0 */
/* The packet lock of a pod: its bridge port passes nothing. */
#include <errno.h>
#include <linux/if_bridge.h>

#include "libct/base/error.h"
#include "netns/net.h"
#include "netns/netlink.h"
#include "netns/rt.h"

static int get_link(const char *host_name, struct nl_sock **ret, struct rt_link *ret_link,
		    struct ct_error *err)
{
	int r = netlink_open(-1, NETLINK_ROUTE, ret, err);

	if (r < 0)
		return r;
	r = rt_link_get(*ret, host_name, ret_link);
	return r < 0 ? error_errno(err, r, "link '%s'", host_name) : 0;
}

/*
 * Two locks in one message. The state is what stops the packets. But the kernel takes any later
 * RTM_SETLINK of anybody for that link as a reason to look at its carrier, and switches a disabled
 * port with a carrier on; then the port is still closed.
 */
int net_lock(const char *host_name, struct ct_error *err)
{
	cleanup_sock struct nl_sock *sock = NULL;
	struct rt_link link;
	int r = get_link(host_name, &sock, &link, err);

	if (r < 0)
		return r;
	r = rt_port_set(sock, link.index, false, BR_STATE_DISABLED);
	return r < 0 ? error_errno(err, r, "lock link '%s'", host_name) : 0;
}

int net_unlock(const char *host_name, struct ct_error *err)
{
	cleanup_sock struct nl_sock *sock = NULL;
	struct rt_link link;
	int r = get_link(host_name, &sock, &link, err);

	if (r < 0)
		return r;
	r = rt_port_set(sock, link.index, true, BR_STATE_FORWARDING);
	return r < 0 ? error_errno(err, r, "unlock link '%s'", host_name) : 0;
}

int net_mute(bool mute, struct ct_error *err)
{
	const struct rt_link_change change = { .no_arp = mute, .arp = !mute };
	cleanup_sock struct nl_sock *sock = NULL;
	struct rt_link link;
	int r = get_link("eth0", &sock, &link, err);

	if (r < 0)
		return r;
	r = rt_link_set(sock, link.index, &change);
	return r < 0 ? error_errno(err, r, "set up link 'eth0' inside") : 0;
}
