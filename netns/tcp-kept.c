/* SPDX-License-Identifier: Apache-2.0 */
#include "netns/tcp-kept.h"

#include <netinet/in.h>
#include <string.h>
#include <time.h>

#include "libct/base/error.h"
#include "libct/base/kernel.h"
#include "netns/tcp-impl.h"

#define OBJECT_MAX 8192
#define NAGLE_OFF 1 /* TCP_NAGLE_OFF of <net/tcp.h> */

/* How the kernel's number becomes that of the option. */
enum unit { PLAIN, BIT, SECONDS, MILLISECONDS, MICROSECONDS };

static const struct field {
	int level, number;
	const char *path;
	enum unit unit;
	int64_t unset;	/* this one is not told */
	int64_t detail; /* BIT: which of them */
} fields[] = {
	{ SOL_SOCKET, SO_KEEPALIVE, "sock_common.skc_flags", BIT, -1, 1 << KERNEL_SOCK_KEEPOPEN },
	{ SOL_SOCKET, SO_REUSEADDR, "sock_common.skc_reuse", PLAIN, -1, 0 },
	{ SOL_SOCKET, SO_PRIORITY, "sock.sk_priority", PLAIN, -1, 0 },
	{ SOL_SOCKET, SO_MARK, "sock.sk_mark", PLAIN, -1, 0 },
	{ IPPROTO_TCP, TCP_KEEPIDLE, "tcp_sock.keepalive_time", SECONDS, 0, 0 },
	{ IPPROTO_TCP, TCP_KEEPINTVL, "tcp_sock.keepalive_intvl", SECONDS, 0, 0 },
	{ IPPROTO_TCP, TCP_KEEPCNT, "tcp_sock.keepalive_probes", PLAIN, 0, 0 },
	{ IPPROTO_TCP, TCP_USER_TIMEOUT, "inet_connection_sock.icsk_user_timeout", PLAIN, 0, 0 },
	{ IPPROTO_TCP, TCP_LINGER2, "tcp_sock.linger2", SECONDS, 0, 0 },
	{ IPPROTO_TCP, TCP_NODELAY, "tcp_sock.nonagle", BIT, -1, NAGLE_OFF },
	{ IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS, "tcp_sock.thin_lto", PLAIN, -1, 0 },
	{ IPPROTO_TCP, TCP_RTO_MIN_US, "inet_connection_sock.icsk_rto_min", MICROSECONDS, 0, 0 },
	{ IPPROTO_TCP, TCP_RTO_MAX_MS, "?inet_connection_sock.icsk_rto_max", MILLISECONDS, 0, 0 },
	{ IPPROTO_IP, IP_TOS, "inet_sock.tos", PLAIN, -1, 0 },
	{ IPPROTO_IP, IP_TTL, "inet_sock.uc_ttl", PLAIN, -1, 0 },
	{ IPPROTO_IP, IP_MTU_DISCOVER, "inet_sock.pmtudisc", PLAIN, -1, 0 },
};

/* Of another struct, that the socket leads to. */
static const struct field fields6[] = {
	{ IPPROTO_IPV6, IPV6_TCLASS, "ipv6_pinfo.tclass", PLAIN, -1, 0 },
	{ IPPROTO_IPV6, IPV6_UNICAST_HOPS, "ipv6_pinfo.hop_limit", PLAIN, -1, 0 },
	{ IPPROTO_IPV6, IPV6_MTU_DISCOVER, "ipv6_pinfo.pmtudisc", PLAIN, -1, 0 },
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

_Static_assert(COUNT(fields) + COUNT(fields6) <= TCP_KEPT_MAX, "there is room for all");

/* The kernel's clock ticks: how many a second. */
static int64_t ticks(void)
{
	struct timespec t;

	return clock_getres(CLOCK_MONOTONIC_COARSE, &t) < 0 || t.tv_sec || !t.tv_nsec ? 250 : 1000000000 / t.tv_nsec;
}

/* All of these are numbers with a sign (of IPv6 the hops have 9 bits on Linux 6.1), or small ones without. */
static int64_t with_sign(uint64_t value, struct kernel_field f)
{
	return f.width > 8 ? (int64_t)(value << (64 - f.width)) >> (64 - f.width) : (int64_t)value;
}

static int64_t convert(int64_t value, const struct field *f)
{
	switch (f->unit) {
	case BIT:
		return !!(value & f->detail);
	case SECONDS:
		return value < 0 ? value : value / ticks();
	case MILLISECONDS:
		return value * 1000 / ticks();
	case MICROSECONDS:
		return value * 1000000 / ticks();
	default:
		return value;
	}
}

static int read_fields(struct kernel *k, const uint8_t *object, const struct field *list, size_t n,
		       struct tcp_kept *ret, struct ct_error *err)
{
	for (size_t i = 0; i < n; i++) {
		struct kernel_field f = { 0 };
		const struct kernel_path path = { &f, list[i].path };
		int64_t value;
		int r = kernel_fields(k, &path, 1, err);

		if (r < 0)
			return r;
		value = with_sign(kernel_get(object, f), f);
		if (!f.width || value == list[i].unset)
			continue;
		ret->list[ret->n++] = (struct tcp_kept_option){ list[i].level, list[i].number,
								(int)convert(value, &list[i]) };
	}
	return 0;
}

int tcp_kept_read(struct kernel *k, uint64_t address, struct tcp_kept *ret, struct ct_error *err)
{
	struct kernel_field family, link, pacing, control, name, pinfo;
	const struct kernel_path others[] = {
		{ &family, "sock_common.skc_family" },	   { &link, "sock_common.skc_bound_dev_if" },
		{ &pacing, "sock.sk_max_pacing_rate" },	   { &control, "inet_connection_sock.icsk_ca_ops" },
		{ &name, "tcp_congestion_ops.name" },	   { &pinfo, "inet_sock.pinet6" },
	};
	uint8_t sk[OBJECT_MAX], six[OBJECT_MAX];
	size_t size, six_size;
	int r = kernel_fields(k, others, COUNT(others), err);

	*ret = (struct tcp_kept){ 0 };
	if (r == 0)
		r = kernel_size(k, "tcp_sock", OBJECT_MAX, &size, err);
	if (r == 0)
		r = kernel_size(k, "ipv6_pinfo", OBJECT_MAX, &six_size, err);
	if (r == 0)
		r = kernel_fetch(k, address, sk, size, err);
	if (r == 0)
		r = read_fields(k, sk, fields, COUNT(fields), ret, err);
	if (r < 0)
		return r;
	ret->link = (int)kernel_get(sk, link);
	ret->max_pacing_rate = kernel_get(sk, pacing);
	r = kernel_fetch(k, kernel_get(sk, control) + name.at / 8, ret->congestion, sizeof(ret->congestion) - 1, err);
	if (r < 0 || kernel_get(sk, family) != AF_INET6)
		return r;
	r = kernel_fetch(k, kernel_get(sk, pinfo), six, six_size, err);
	return r < 0 ? r : read_fields(k, six, fields6, COUNT(fields6), ret, err);
}
