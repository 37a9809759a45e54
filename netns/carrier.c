/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for a port of a bridge to carry packets. */
#include <errno.h>
#include <linux/if_bridge.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>

#include "libct/base/clock.h"
#include "libct/base/error.h"
#include "netns/netlink.h"
#include "netns/rt.h"

#define CARRIER_TIMEOUT_MS 5000

int carrier_wait(struct nl_sock *sock, struct nl_sock *events, const char *name, bool operating,
		 struct ct_error *err)
{
	int64_t end = monotonic_ms() + CARRIER_TIMEOUT_MS;
	char drain[8192];

	for (;;) {
		struct pollfd p = { .fd = nl_socket_get_fd(events), .events = POLLIN };
		int64_t left = end - monotonic_ms();
		struct rt_link link;
		int r;

		while (recv(p.fd, drain, sizeof(drain), MSG_DONTWAIT | MSG_TRUNC) >= 0 ||
		       errno == ENOBUFS)
			;
		r = rt_link_get(sock, name, &link);
		if (r < 0)
			return error_errno(err, r, "wait for link '%s'", name);
		if ((!operating || link.operstate == RT_OPER_UP) && link.port_state == BR_STATE_FORWARDING)
			return 0;
		if (left <= 0)
			return error_set(err, -ETIMEDOUT, "link '%s' has no carrier after %d s",
					 name, CARRIER_TIMEOUT_MS / 1000);
		poll(&p, 1, (int)left);
	}
}
