/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The error that waits on a connected UDP socket: an ICMP message said that a datagram did not
 * arrive ("connection refused"), and the next call will tell. SO_ERROR reads it and takes it away,
 * so the message is sent once more, by ourselves over the loopback link of the pod: in a dump at
 * once by the same child that has asked, in a restore to the new socket.
 */
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/ip_icmp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "libct/base/cleanup.h"
#include "libct/kind/udp.h"
#include "libct/kind/unix.h"

#define ARRIVAL_MS 10000

/* Those that the kernel hands to a socket without IP_RECVERR. */
static const struct {
	int error, code, code6; /* of "destination unreachable"; -1: none */
} errors[] = {
	{ ECONNREFUSED, ICMP_PORT_UNREACH, ICMP6_DST_UNREACH_NOPORT },
	{ ENOPROTOOPT, ICMP_PROT_UNREACH, -1 },
	{ EHOSTUNREACH, ICMP_PKT_FILTERED, -1 },
	{ EACCES, -1, ICMP6_DST_UNREACH_ADMIN },
	{ EHOSTDOWN, ICMP_HOST_UNKNOWN, -1 },
};

static int code_of(int error, bool six)
{
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		if (errors[i].error == error)
			return six ? errors[i].code6 : errors[i].code;
	return -1;
}

static uint16_t checksum(const void *data, size_t len)
{
	const uint16_t *p = data;
	uint32_t sum = 0;

	for (size_t i = 0; i < len / 2; i++)
		sum += p[i];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* The message quotes the head of the datagram that did not arrive. */
static int raise_ipv4(const struct sockaddr_storage *local, const struct sockaddr_storage *remote,
		      int code)
{
	struct {
		struct icmphdr icmp;
		struct iphdr ip;
		struct udphdr udp;
	} __attribute__((packed, aligned(4))) m = {
		.icmp = { .type = ICMP_DEST_UNREACH, .code = (uint8_t)code },
		.ip = { .version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_UDP, .saddr = inet_ipv4(local),
			.daddr = inet_ipv4(remote), .tot_len = htons(28) },
		.udp = { .source = inet_port(local), .dest = inet_port(remote), .len = htons(8) },
	};
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = inet_ipv4(local) };
	cleanup_fd int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);

	m.ip.check = checksum(&m.ip, sizeof(m.ip));
	m.icmp.checksum = checksum(&m, sizeof(m));
	return fd < 0 || sendto(fd, &m, sizeof(m), 0, (struct sockaddr *)&to, sizeof(to)) < 0 ? -errno : 0;
}

static int raise_ipv6(const struct sockaddr_storage *local, const struct sockaddr_storage *remote,
		      int code)
{
	struct {
		struct icmp6_hdr icmp;
		struct ip6_hdr ip;
		struct udphdr udp;
	} __attribute__((packed, aligned(4))) m = {
		.icmp = { .icmp6_type = ICMP6_DST_UNREACH, .icmp6_code = (uint8_t)code },
		.ip = { .ip6_src = ((const struct sockaddr_in6 *)local)->sin6_addr,
			.ip6_dst = ((const struct sockaddr_in6 *)remote)->sin6_addr },
		.udp = { .source = inet_port(local), .dest = inet_port(remote), .len = htons(8) },
	};
	struct sockaddr_in6 to = *(const struct sockaddr_in6 *)local;
	cleanup_fd int fd = socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMPV6);

	m.ip.ip6_flow = htonl(6U << 28);
	m.ip.ip6_plen = htons(8);
	m.ip.ip6_nxt = IPPROTO_UDP;
	m.ip.ip6_hlim = 64;
	to.sin6_port = 0; /* the kernel fills in the checksum */
	return fd < 0 || sendto(fd, &m, sizeof(m), 0, (struct sockaddr *)&to, sizeof(to)) < 0 ? -errno : 0;
}

/* In the network namespace of the socket. */
static int raise_error(int fd, int error)
{
	struct pollfd p = { fd, 0, 0 };
	struct sockaddr_storage local, remote;
	bool six;
	int code, r = inet_local(fd, &local);

	if (r == 0)
		r = inet_remote(fd, &remote);
	if (r < 0)
		return r;
	six = local.ss_family == AF_INET6 && !inet_ipv4(&remote);
	code = code_of(error, six);
	if (code < 0)
		return -EOPNOTSUPP;
	r = six ? raise_ipv6(&local, &remote, code) : raise_ipv4(&local, &remote, code);
	if (r < 0)
		return r;
	return poll(&p, 1, ARRIVAL_MS) == 1 ? 0 : -ETIMEDOUT;
}

struct question {
	int fd, netns;
	int error, result;
};

static void ask(void *context)
{
	struct question *q = context;

	q->result = setns(q->netns, CLONE_NEWNET) < 0 ? -errno : 0;
	if (q->result < 0)
		return;
	q->error = sock_int(q->fd, SOL_SOCKET, SO_ERROR, 0);
	if (q->error)
		q->result = raise_error(q->fd, q->error);
}

int udp_error_dump(struct dump *d, const struct fd_view *v, struct node *n, struct ct_error *err)
{
	static const char text[] = "an error that nobody has read yet is pending on it, which is not carried; "
				   "read it first";
	struct pollfd p = { v->dup, 0, 0 };
	struct sockaddr_storage remote;
	struct question *q;
	int r;

	if (poll(&p, 1, 0) != 1 || !(p.revents & POLLERR))
		return 0;
	/* With IP_RECVERR there is a queue of errors, whose messages are not ours to repeat. */
	if (sock_int(v->dup, SOL_IP, IP_RECVERR, 0) > 0 ||
	    sock_int(v->dup, SOL_IPV6, IPV6_RECVERR, 0) > 0 || inet_remote(v->dup, &remote) < 0) {
		dump_refuse_fd(d, v, text);
		return 1;
	}
	if (d->preflight)
		return 0;
	q = mmap(NULL, sizeof(*q), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (q == MAP_FAILED)
		return error_errno(err, -errno, "its error");
	*q = (struct question){ .fd = v->dup, .netns = d->netns };
	r = unix_inside(d, ask, q, err);
	if (r == 0 && q->result < 0) {
		dump_refuse_fd(d, v, text);
		r = 1;
	} else if (r == 0 && q->error) {
		node_put_i64(n, "error", q->error);
	}
	munmap(q, sizeof(*q));
	return r;
}

int udp_error_restore(const struct node *n, int fd, struct ct_error *err)
{
	int e;

	if (!node_has(n, "error"))
		return 0;
	e = raise_error(fd, (int)node_i64(n, "error", 1, 4095));
	return e < 0 ? error_errno(err, e, "its pending error") : 0;
}
