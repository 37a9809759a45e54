/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Datagrams in the queue of a UDP socket: read with MSG_PEEK, one after the other by SO_PEEK_OFF, and with the
 * header fields that the kernel tells on request. Options are set for that and put back by one child,
 * as for unix sockets (unix-queue.c).
 *
 * The restore sends each again as a raw IP packet over the loopback link of the new pod: with the addresses,
 * time to live and class that it had. What would not come out the same is refused: multicast, a
 * program that asks by which link or when it came, a port that several share.
 */
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>

#include "libct/base/cleanup.h"
#include "libct/base/clock.h"
#include "libct/kind/udp.h"
#include "libct/kind/unix.h"
#include "netns/checksum.h"

#define ROUND_SIZE (256 << 10)
#define DATAGRAM_MAX 65536
#define LOOPBACK 1 /* the number of `lo` in every network namespace */
#define ARRIVAL_MS 10000
#define WIDE (64 << 20)

struct datagram {
	size_t next, len;
	struct sockaddr_storage from, to;
	int ttl, class, link;
	char data[];
};

struct round {
	int fd, family;
	size_t size, used, n;
	int offset;
	uint16_t port; /* ours */
	bool end;
	int error;
};

/* What tells about a datagram; kept and put back. */
static const struct {
	int level, number;
} tellers[] = {
	{ SOL_IP, IP_PKTINFO },		 { SOL_IP, IP_RECVTTL },
	{ SOL_IP, IP_RECVTOS },		 { SOL_IPV6, IPV6_RECVPKTINFO },
	{ SOL_IPV6, IPV6_RECVHOPLIMIT }, { SOL_IPV6, IPV6_RECVTCLASS },
};

#define N_TELLERS (sizeof(tellers) / sizeof(tellers[0]))

static void read_control(const struct round *q, struct msghdr *h, struct datagram *m)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
		if (c->cmsg_level == SOL_IP && c->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo *p = (struct in_pktinfo *)CMSG_DATA(c);

			m->link = p->ipi_ifindex;
			inet_set_ipv4(&m->to, q->family, p->ipi_addr.s_addr);
		} else if (c->cmsg_level == SOL_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			struct in6_pktinfo *p = (struct in6_pktinfo *)CMSG_DATA(c);

			m->link = (int)p->ipi6_ifindex;
			m->to.ss_family = AF_INET6;
			((struct sockaddr_in6 *)&m->to)->sin6_addr = p->ipi6_addr;
		} else if ((c->cmsg_level == SOL_IP && c->cmsg_type == IP_TTL) ||
			   (c->cmsg_level == SOL_IPV6 && c->cmsg_type == IPV6_HOPLIMIT)) {
			memcpy(&m->ttl, CMSG_DATA(c), sizeof(int));
		} else if (c->cmsg_level == SOL_IP && c->cmsg_type == IP_TOS) {
			m->class = *(uint8_t *)CMSG_DATA(c);
		} else if (c->cmsg_level == SOL_IPV6 && c->cmsg_type == IPV6_TCLASS) {
			memcpy(&m->class, CMSG_DATA(c), sizeof(int));
		}
	}
	if (m->to.ss_family == AF_INET)
		((struct sockaddr_in *)&m->to)->sin_port = q->port;
	else
		((struct sockaddr_in6 *)&m->to)->sin6_port = q->port;
}

static int peek_all(struct round *q)
{
	while (q->size - q->used > sizeof(struct datagram) + DATAGRAM_MAX + 64) {
		struct datagram *m = (struct datagram *)((char *)q + q->used);
		char control[512];
		struct iovec iov = { m->data, DATAGRAM_MAX };
		struct msghdr h = { .msg_name = &m->from, .msg_namelen = sizeof(m->from), .msg_iov = &iov,
				    .msg_iovlen = 1, .msg_control = control,
				    .msg_controllen = sizeof(control) };
		ssize_t n;

		memset(m, 0, sizeof(*m));
		setsockopt(q->fd, SOL_SOCKET, SO_PEEK_OFF, &q->offset, sizeof(q->offset));
		n = recvmsg(q->fd, &h, MSG_PEEK | MSG_DONTWAIT);
		if (n < 0) {
			q->end = errno == EAGAIN;
			return q->end ? 0 : -errno;
		}
		read_control(q, &h, m);
		m->len = (size_t)n;
		q->offset = (q->offset < 0 ? 0 : q->offset) + (int)n;
		q->used += (sizeof(*m) + m->len + 15) & ~15UL;
		m->next = q->used;
		q->n++;
	}
	return 0;
}

static void peek_round(void *context)
{
	struct round *q = context;
	int offset = sock_int(q->fd, SOL_SOCKET, SO_PEEK_OFF, -1), was[N_TELLERS], one = 1;

	for (size_t i = 0; i < N_TELLERS; i++) {
		was[i] = sock_int(q->fd, tellers[i].level, tellers[i].number, -1);
		if (was[i] == 0)
			setsockopt(q->fd, tellers[i].level, tellers[i].number, &one, sizeof(one));
	}
	q->error = peek_all(q);
	for (size_t i = 0; i < N_TELLERS; i++)
		if (was[i] == 0)
			setsockopt(q->fd, tellers[i].level, tellers[i].number, &was[i], sizeof(int));
	setsockopt(q->fd, SOL_SOCKET, SO_PEEK_OFF, &offset, sizeof(offset));
}

/* ---- into the manifest ---- */

static bool is_group(const struct sockaddr_storage *a)
{
	const struct in6_addr *six = &((const struct sockaddr_in6 *)a)->sin6_addr;
	in_addr_t ip = inet_ipv4(a);

	if (!ip)
		return IN6_IS_ADDR_MULTICAST(six) || IN6_IS_ADDR_LINKLOCAL(six);
	/* A broadcast address ends in 255 wherever the pod's subnet is one of ours. */
	return IN_MULTICAST(ntohl(ip)) || (ntohl(ip) & 0xff) == 0xff;
}

static bool link_local(const struct sockaddr_storage *a)
{
	return a->ss_family == AF_INET6 &&
	       IN6_IS_ADDR_LINKLOCAL(&((const struct sockaddr_in6 *)a)->sin6_addr);
}

/* What cannot be made to arrive again just so; NULL: nothing. */
static const char *obstacle(const struct fd_view *v, const struct datagram *m)
{
	bool asks_link = sock_int(v->dup, SOL_IP, IP_PKTINFO, 0) > 0 ||
			 sock_int(v->dup, SOL_IPV6, IPV6_RECVPKTINFO, 0) > 0;

	if (is_group(&m->to))
		return "sent to a group";
	if (link_local(&m->from))
		return "from a link-local address";
	if (asks_link && m->link != LOOPBACK)
		return "by a link that the program asks for";
	return NULL;
}

static const char *socket_obstacle(const struct fd_view *v)
{
	char device[16] = "";
	socklen_t len = sizeof(device);

	if (sock_int(v->dup, SOL_SOCKET, SO_REUSEPORT, 0) > 0)
		return "at a port that several sockets share";
	if (sock_int(v->dup, IPPROTO_UDP, 104 /* UDP_GRO */, 0) > 0)
		return "several in one (UDP_GRO)";
	if (sock_int(v->dup, SOL_SOCKET, SO_TIMESTAMP, 0) > 0 ||
	    sock_int(v->dup, SOL_SOCKET, SO_TIMESTAMPNS, 0) > 0 ||
	    sock_int(v->dup, SOL_SOCKET, SO_TIMESTAMPING, 0) > 0)
		return "with the time of arrival";
	if (getsockopt(v->dup, SOL_SOCKET, SO_BINDTODEVICE, device, &len) == 0 && device[0] &&
	    strcmp(device, "lo"))
		return "on a socket bound to a link";
	return NULL;
}

static void refuse(struct dump *d, const struct fd_view *v, const char *why)
{
	dump_refuse_fd(d, v, "datagrams that nobody has read yet (%s) are not carried; read them first", why);
	dump_passing(d);
}

/* 1: something was refused. */
static int put_round(struct dump *d, const struct fd_view *v, const struct round *q, struct node *queue)
{
	size_t at = sizeof(*q);

	for (size_t i = 0; i < q->n; i++) {
		const struct datagram *m = (const struct datagram *)((const char *)q + at);
		const char *why = obstacle(v, m);
		struct node *to;

		if (why) {
			refuse(d, v, why);
			return 1;
		}
		to = node_put_object(queue, NULL);
		inet_address_put(d, v->dup, to, "from", &m->from);
		inet_address_put(d, v->dup, to, "to", &m->to);
		node_put_i64(to, "ttl", m->ttl);
		node_put_i64(to, "class", m->class);
		node_put_blob(to, "data", m->data, m->len);
		at = m->next;
	}
	return 0;
}

int udp_queue_dump(struct dump *d, const struct fd_view *v, struct node *n, struct ct_error *err)
{
	struct round state = { .fd = v->dup, .size = ROUND_SIZE, .offset = -1,
			       .family = sock_int(v->dup, SOL_SOCKET, SO_DOMAIN, 0) }, *q;
	const char *why = socket_obstacle(v);
	struct sockaddr_storage local;
	struct node *queue;
	int r = 0;

	if (!sock_queued(v->dup))
		return 0;
	if (why) {
		refuse(d, v, why);
		return 0;
	}
	/* Nothing is peeked at in a running pod. */
	if (d->preflight)
		return 0;
	if (inet_local(v->dup, &local) == 0)
		state.port = state.family == AF_INET ? ((struct sockaddr_in *)&local)->sin_port
						     : ((struct sockaddr_in6 *)&local)->sin6_port;
	queue = node_put_array(n, "queue");
	q = mmap(NULL, ROUND_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (q == MAP_FAILED)
		return error_errno(err, -errno, "its queue");
	while (r == 0 && !state.end) {
		*q = state;
		q->used = sizeof(*q);
		q->n = 0;
		r = unix_inside(d, peek_round, q, err);
		if (r == 0 && q->error < 0)
			r = error_errno(err, q->error, "read its queue");
		if (r == 0)
			r = put_round(d, v, q, queue);
		state = *q;
	}
	munmap(q, ROUND_SIZE);
	return r < 0 ? r : 0;
}

/* ---- restore ---- */

struct packet {
	struct sockaddr_storage from, to;
	int ttl, class;
	const void *data;
	size_t len;
};

static int send_ipv4(const struct packet *p)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = inet_ipv4(&p->to) };
	/* The kernel fills in the rest; without a checksum of UDP, which IPv4 does not ask for. */
	struct iphdr ip = { .version = 4, .ihl = 5, .tos = (uint8_t)p->class, .ttl = (uint8_t)p->ttl,
			    .protocol = IPPROTO_UDP, .saddr = inet_ipv4(&p->from), .daddr = inet_ipv4(&p->to) };
	struct udphdr udp = { .source = inet_port(&p->from), .dest = inet_port(&p->to),
			      .len = htons((uint16_t)(p->len + sizeof(udp))) };
	struct iovec iov[] = { { &ip, sizeof(ip) }, { &udp, sizeof(udp) }, { (void *)p->data, p->len } };
	struct msghdr h = { .msg_name = &to, .msg_namelen = sizeof(to), .msg_iov = iov, .msg_iovlen = 3 };
	cleanup_fd int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);

	ip.tot_len = htons((uint16_t)(sizeof(ip) + sizeof(udp) + p->len));
	return fd < 0 || sendmsg(fd, &h, 0) < 0 ? -errno : 0;
}

static int send_ipv6(const struct packet *p)
{
	const struct in6_addr *from = &((const struct sockaddr_in6 *)&p->from)->sin6_addr;
	struct sockaddr_in6 to = *(const struct sockaddr_in6 *)&p->to;
	struct udphdr udp = { .source = inet_port(&p->from), .dest = inet_port(&p->to),
			      .len = htons((uint16_t)(p->len + sizeof(udp))) };
	struct ip6_hdr ip = { .ip6_src = *from, .ip6_dst = to.sin6_addr };
	struct iovec iov[] = { { &ip, sizeof(ip) }, { &udp, sizeof(udp) }, { (void *)p->data, p->len } };
	struct msghdr h = { .msg_name = &to, .msg_namelen = sizeof(to), .msg_iov = iov, .msg_iovlen = 3 };
	cleanup_fd int fd = socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	uint32_t sum = IPPROTO_UDP + (uint32_t)(p->len + sizeof(udp));

	ip.ip6_flow = htonl(6U << 28 | (uint32_t)p->class << 20);
	ip.ip6_plen = udp.len;
	ip.ip6_nxt = IPPROTO_UDP;
	ip.ip6_hlim = (uint8_t)p->ttl;
	sum = checksum_add(sum, from, 16);
	sum = checksum_add(sum, &to.sin6_addr, 16);
	sum = checksum_add(sum, &udp, sizeof(udp));
	sum = checksum_add(sum, p->data, p->len);
	udp.check = htons((uint16_t)~sum) ? htons((uint16_t)~sum) : 0xffff;
	to.sin6_port = 0;
	return fd < 0 || sendmsg(fd, &h, 0) < 0 ? -errno : 0;
}

/* Loopback delivers at once, but for a busy machine. */
static int await_arrival(int fd, unsigned int before)
{
	int64_t until = monotonic_ms() + ARRIVAL_MS;

	while (sock_queued(fd) <= before) {
		if (monotonic_ms() > until)
			return -ETIMEDOUT;
		sched_yield();
	}
	return 0;
}

static int restore_one(struct restore *r, const struct node *m, int fd, int family, struct ct_error *err)
{
	unsigned int before = sock_queued(fd);
	struct packet p;
	int e = inet_address_get(r, fd, family, m, "from", &p.from, err);

	if (e == 0)
		e = inet_address_get(r, fd, family, m, "to", &p.to, err);
	p.ttl = (int)node_i64(m, "ttl", 0, 255);
	p.class = (int)node_i64(m, "class", 0, 255);
	p.data = node_blob(m, "data", &p.len);
	if (p.len > DATAGRAM_MAX - sizeof(struct iphdr) - sizeof(struct udphdr) - 1)
		node_complain(m, "a datagram of %zu bytes", p.len);
	if (e == 0)
		e = doc_check(r->doc, err);
	if (e < 0)
		return e;
	if (inet_ipv4(&p.from))
		e = send_ipv4(&p);
	else
		e = send_ipv6(&p);
	if (e == 0)
		e = await_arrival(fd, before);
	return e < 0 ? error_errno(err, e, "put a datagram of %zu bytes into its queue", p.len) : 0;
}

int udp_queue_restore(struct restore *r, const struct node *n, int fd, struct ct_error *err)
{
	int family = (int)node_i64(n, "family", AF_INET, AF_INET6), e = 0;
	int size = sock_int(fd, SOL_SOCKET, SO_RCVBUF, 0) / 2, wide = WIDE;
	int lock = sock_int(fd, SOL_SOCKET, 72 /* SO_BUF_LOCK */, 0);
	const struct node *queue;

	if (!node_has(n, "queue"))
		return 0;
	queue = node_array(n, "queue");
	/* What was in it has room, however the kernel counts it this time. */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &wide, sizeof(wide)) < 0)
		return error_errno(err, -errno, "widen the receive buffer");
	for (size_t i = 0; e == 0 && i < node_count(queue); i++)
		e = restore_one(r, node_at(queue, i), fd, family, err);
	if (e == 0 && (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0 ||
		       setsockopt(fd, SOL_SOCKET, 72, &lock, sizeof(lock)) < 0))
		e = error_errno(err, -errno, "the receive buffer");
	return e;
}
