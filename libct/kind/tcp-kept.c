/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The options by which a TCP connection goes on that no process has any more: when it is given up, and what its packets look
 * like. Those are told that are not as in a new socket.
 */
#include <net/if.h>
#include <string.h>

#include "libct/base/cleanup.h"
#include "libct/kind/tcp.h"
#include "netns/netlink.h"
#include "netns/tcp-held.h"

/* IP_TOS, IPV6_TCLASS change the priority. */
static const struct sock_option options[] = {
	{ "ip_tos", SOL_IP, IP_TOS },
	{ "ip_ttl", SOL_IP, IP_TTL },
	{ "ip_mtu_discover", SOL_IP, IP_MTU_DISCOVER },
	{ "ipv6_class", SOL_IPV6, IPV6_TCLASS },
	{ "ipv6_hops", SOL_IPV6, IPV6_UNICAST_HOPS },
	{ "ipv6_mtu_discover", SOL_IPV6, IPV6_MTU_DISCOVER },
	{ "priority", SOL_SOCKET, SO_PRIORITY },
	{ "mark", SOL_SOCKET, SO_MARK },
	{ "tcp_keep_idle", IPPROTO_TCP, TCP_KEEPIDLE },
	{ "tcp_keep_interval", IPPROTO_TCP, TCP_KEEPINTVL },
	{ "tcp_keep_count", IPPROTO_TCP, TCP_KEEPCNT },
	{ "keep_alive", SOL_SOCKET, SO_KEEPALIVE },
	{ "reuse_address", SOL_SOCKET, SO_REUSEADDR },
	{ "tcp_user_timeout", IPPROTO_TCP, TCP_USER_TIMEOUT },
	{ "tcp_linger", IPPROTO_TCP, TCP_LINGER2 },
	{ "tcp_no_delay", IPPROTO_TCP, TCP_NODELAY },
	{ "tcp_thin_linear_timeouts", IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS },
	{ "tcp_rto_min", IPPROTO_TCP, TCP_RTO_MIN_US },
	{ "tcp_rto_max", IPPROTO_TCP, TCP_RTO_MAX_MS },
};

#define N_OPTIONS (sizeof(options) / sizeof(options[0]))

/* As the option is told by the socket itself, or what was read of it; false: like everybody's. */
static bool find(int fd, const struct tcp_kept *kept, const struct sock_option *o, int *ret)
{
	socklen_t len = sizeof(*ret);

	for (size_t i = 0; kept && i < kept->n; i++)
		if (kept->list[i].level == o->level && kept->list[i].number == o->number) {
			*ret = kept->list[i].value;
			return true;
		}
	return !kept && getsockopt(fd, o->level, o->number, ret, &len) == 0;
}

static void put_others(int fd, const struct tcp_kept *kept, const char *usual, struct node *to)
{
	char device[IFNAMSIZ] = "";

	if (kept->link && inet_link_name(fd, (unsigned int)kept->link, device) == 0)
		node_put_str(to, "device", device);
	if (kept->max_pacing_rate != UINT64_MAX)
		node_put_u64(to, "max_pacing_rate", kept->max_pacing_rate);
	if (strcmp(kept->congestion, usual))
		node_put_str(to, "tcp_congestion", kept->congestion);
}

/* The same of a socket that can be asked. */
static void ask(int fd, struct tcp_kept *ret)
{
	socklen_t len = sizeof(ret->max_pacing_rate);

	*ret = (struct tcp_kept){ .max_pacing_rate = UINT64_MAX };
	getsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &ret->max_pacing_rate, &len);
	len = sizeof(ret->link);
	getsockopt(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &ret->link, &len);
	len = sizeof(ret->congestion) - 1;
	getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, ret->congestion, &len);
}

int tcp_kept_put(const struct dump *d, int fd, const struct tcp_kept *kept, int family, struct node *n, struct ct_error *err)
{
	cleanup_fd int usual = netns_socket(d->netns, family, SOCK_STREAM, 0);
	struct node *to = node_put_object(n, "options");
	struct tcp_kept own, theirs;

	if (usual < 0)
		return error_errno(err, usual, "socket");
	for (size_t i = 0; i < N_OPTIONS; i++) {
		int is = 0, value;

		if (!find(usual, NULL, &options[i], &is) || !find(fd, kept, &options[i], &value))
			continue;
		if (value != is || (options[i].level == SOL_SOCKET && options[i].number == SO_PRIORITY))
			node_put_i64(to, options[i].name, value);
	}
	ask(usual, &theirs);
	if (!kept)
		ask(fd, &own);
	put_others(usual, kept ? kept : &own, theirs.congestion, to);
	return 0;
}

int tcp_kept_get(struct restore *r, const struct node *n, int fd, struct ct_error *err)
{
	__cleanup(sock_limit_end) struct sock_limit limit = { 0 };
	const struct node *from;
	int e;

	if (!node_has(n, "options"))
		return 0;
	from = node_object(n, "options");
	e = sock_limit(r, &limit, err);
	if (e == 0)
		e = sock_options_get(fd, options, N_OPTIONS, from, err);
	if (e == 0)
		e = sock_get_structs(fd, from, err);
	return e < 0 ? e : tcp_congestion_get(from, fd, err);
}
