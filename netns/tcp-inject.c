/* SPDX-License-Identifier: Apache-2.0 */
/* Segments that we give to a socket in the name of its peer, and the filter that lets only these through. */
#include <arpa/inet.h>
#include <linux/filter.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <stddef.h>
#include <string.h>

#include "libct/base/cleanup.h"
#include "libct/base/error.h"
#include "netns/checksum.h"
#include "netns/tcp-impl.h"

/* SO_MARK of what we send: nothing else in a network that is closed has it. */
#define MARK 0x70636b74

static struct sock_filter only_ours[] = {
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_MARK)),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MARK, 0, 1),
	BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
	BPF_STMT(BPF_RET | BPF_K, 0),
};

#define N_ONLY_OURS (sizeof(only_ours) / sizeof(only_ours[0]))

int tcp_deafen(int fd, struct ct_error *err)
{
	struct sock_fprog program = { N_ONLY_OURS, only_ours };
	socklen_t n = 0;

	/* EACCES: an eBPF program. */
	if (getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, NULL, &n) < 0)
		return errno == EACCES ? 0 : error_errno(err, -errno, "SO_GET_FILTER");
	if (n)
		return 0;
	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0)
		return error_errno(err, -errno, "SO_ATTACH_FILTER");
	return 0;
}

/* 1: our filter, 0: another or none. */
static int has_ours(int fd)
{
	struct sock_filter got[N_ONLY_OURS];
	socklen_t n = N_ONLY_OURS; /* instructions, not bytes */

	/* EINVAL: a longer one. */
	if (sock_get(fd, SOL_SOCKET, SO_GET_FILTER, got, &n) < 0)
		return errno == EACCES || errno == EINVAL ? 0 : -errno;
	return n == N_ONLY_OURS && !memcmp(got, only_ours, sizeof(got));
}

int tcp_hear(int fd, struct ct_error *err)
{
	int r = has_ours(fd);

	if (r <= 0)
		return r < 0 ? error_errno(err, r, "SO_GET_FILTER") : 0;
	if (setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &(int){ 0 }, sizeof(int)) < 0)
		return error_errno(err, -errno, "SO_DETACH_FILTER");
	return 0;
}

bool tcp_is_deaf(int fd)
{
	return has_ours(fd) > 0;
}

/* What is sent of it, but for the data. */
struct wire {
	uint16_t source, dest;
	uint32_t seq, ack;
	uint8_t offset, flags;
	uint16_t window, check, urgent;
	uint8_t options[40];
};

struct packet {
	struct wire head;
	size_t head_len;
	const void *data;
	size_t len;
};

/* RFC 9293, 3.1: over both addresses, protocol, length, and the segment. */
static void set_checksum(struct packet *p, const void *from, const void *to, size_t address_len)
{
	uint32_t sum = IPPROTO_TCP + (uint32_t)(p->head_len + p->len);

	sum = checksum_add(sum, from, address_len);
	sum = checksum_add(sum, to, address_len);
	sum = checksum_add(sum, &p->head, p->head_len);
	sum = checksum_add(sum, p->data, p->len);
	p->head.check = htons((uint16_t)~sum);
}

static int send_raw(int family, const void *ip, size_t ip_len, const struct packet *p, const void *to,
		    socklen_t to_len)
{
	struct iovec iov[] = { { (void *)ip, ip_len },
			       { (void *)&p->head, p->head_len },
			       { (void *)p->data, p->len } };
	struct msghdr h = { .msg_name = (void *)to, .msg_namelen = to_len, .msg_iov = iov, .msg_iovlen = 3 };
	cleanup_fd int fd = socket(family, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	uint32_t mark = MARK;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) < 0)
		return -errno;
	return sendmsg(fd, &h, 0) < 0 ? -errno : 0;
}

static int inject_ipv4(struct in_addr from, struct in_addr to, struct packet *p)
{
	struct sockaddr_in name = { .sin_family = AF_INET, .sin_addr = to };
	struct iphdr ip = { .version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_TCP,
			    .saddr = from.s_addr, .daddr = to.s_addr,
			    .tot_len = htons((uint16_t)(sizeof(ip) + p->head_len + p->len)) };

	set_checksum(p, &from, &to, sizeof(from));
	return send_raw(AF_INET, &ip, sizeof(ip), p, &name, sizeof(name));
}

static int inject_ipv6(const struct sockaddr_in6 *from, const struct sockaddr_in6 *to, struct packet *p)
{
	struct sockaddr_in6 name = { .sin6_family = AF_INET6, .sin6_addr = to->sin6_addr,
				     .sin6_scope_id = to->sin6_scope_id };
	struct ip6_hdr ip = { .ip6_src = from->sin6_addr, .ip6_dst = to->sin6_addr };

	ip.ip6_flow = htonl(6U << 28);
	ip.ip6_plen = htons((uint16_t)(p->head_len + p->len));
	ip.ip6_nxt = IPPROTO_TCP;
	ip.ip6_hlim = 64;
	set_checksum(p, &from->sin6_addr, &to->sin6_addr, sizeof(from->sin6_addr));
	return send_raw(AF_INET6, &ip, sizeof(ip), p, &name, sizeof(name));
}

/* The IPv4 address, also a mapped one; false: it is of IPv6. */
static bool ipv4_of(const struct sockaddr_storage *a, struct in_addr *ret)
{
	const struct in6_addr *six = &((const struct sockaddr_in6 *)a)->sin6_addr;

	if (a->ss_family == AF_INET)
		*ret = ((const struct sockaddr_in *)a)->sin_addr;
	else if (IN6_IS_ADDR_V4MAPPED(six))
		memcpy(ret, six->s6_addr + 12, sizeof(*ret));
	else
		return false;
	return true;
}

/* `len`: with the two bytes of its head. */
static size_t put_option(uint8_t *to, uint8_t kind, uint8_t len, uint64_t value)
{
	to[0] = kind;
	to[1] = len;
	for (uint8_t i = 2; i < len; i++)
		to[i] = (uint8_t)(value >> 8 * (len - 1 - i));
	return len;
}

/* RFC 9293, 7323 and 2018; filled up with options that say nothing. Returns their length. */
static size_t put_options(uint8_t *to, const struct tcp_segment *segment)
{
	const struct tcp_connection *offer = segment->offer;
	size_t n = 0;

	if (offer)
		n += put_option(to + n, TCP_OPTION_MSS, 4, offer->max_segment);
	if (offer && offer->scaling)
		n += put_option(to + n, TCP_OPTION_SCALE, 3, offer->snd_scale);
	if (offer && offer->sack)
		n += put_option(to + n, TCP_OPTION_SACK, 2, 0);
	while (n % 4 != (segment->timestamps ? 2 : 0))
		to[n++] = 1;
	if (segment->timestamps)
		n += put_option(to + n, TCP_OPTION_TIMESTAMPS, 10, (uint64_t)segment->time << 32 | segment->echo);
	return n;
}

int tcp_inject(const struct sockaddr_storage *from, const struct sockaddr_storage *to,
	       const struct tcp_segment *segment)
{
	/* The port stands at the same place in both. */
	struct packet p = { .head = { .source = ((const struct sockaddr_in *)from)->sin_port,
				      .dest = ((const struct sockaddr_in *)to)->sin_port,
				      .seq = htonl(segment->seq), .ack = htonl(segment->ack),
				      .flags = segment->flags, .window = htons(segment->window) },
			    .data = segment->data, .len = segment->len };
	struct in_addr from4, to4;

	p.head_len = offsetof(struct wire, options) + put_options(p.head.options, segment);
	p.head.offset = (uint8_t)(p.head_len / 4 << 4);
	if (ipv4_of(from, &from4) && ipv4_of(to, &to4))
		return inject_ipv4(from4, to4, &p);
	return inject_ipv6((const struct sockaddr_in6 *)from, (const struct sockaddr_in6 *)to, &p);
}
