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
	if (getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, got, &n) < 0)
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

/* What is sent of it: all, or without the timestamps and the byte. */
struct wire {
	uint16_t source, dest;
	uint32_t seq, ack;
	uint8_t offset, flags;
	uint16_t window, check, urgent;
	uint8_t rest[12 + 1];
};

#define BARE offsetof(struct wire, rest)

/* RFC 9293, 3.1: over both addresses, protocol, length, and the segment. */
static void set_checksum(struct wire *s, size_t len, const void *from, const void *to, size_t address_len)
{
	uint32_t sum = IPPROTO_TCP + (uint32_t)len;

	sum = checksum_add(sum, from, address_len);
	sum = checksum_add(sum, to, address_len);
	sum = checksum_add(sum, s, len);
	s->check = htons((uint16_t)~sum);
}

static int send_raw(int family, const void *head, size_t head_len, const struct wire *s, size_t len,
		    const void *to, socklen_t to_len)
{
	struct iovec iov[] = { { (void *)head, head_len }, { (void *)s, len } };
	struct msghdr h = { .msg_name = (void *)to, .msg_namelen = to_len, .msg_iov = iov, .msg_iovlen = 2 };
	cleanup_fd int fd = socket(family, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	uint32_t mark = MARK;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) < 0)
		return -errno;
	return sendmsg(fd, &h, 0) < 0 ? -errno : 0;
}

static int inject_ipv4(struct in_addr from, struct in_addr to, struct wire *s, size_t len)
{
	struct sockaddr_in name = { .sin_family = AF_INET, .sin_addr = to };
	struct iphdr ip = { .version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_TCP,
			    .saddr = from.s_addr, .daddr = to.s_addr,
			    .tot_len = htons((uint16_t)(sizeof(ip) + len)) };

	set_checksum(s, len, &from, &to, sizeof(from));
	return send_raw(AF_INET, &ip, sizeof(ip), s, len, &name, sizeof(name));
}

static int inject_ipv6(const struct sockaddr_in6 *from, const struct sockaddr_in6 *to,
		       struct wire *s, size_t len)
{
	struct sockaddr_in6 name = { .sin6_family = AF_INET6, .sin6_addr = to->sin6_addr,
				     .sin6_scope_id = to->sin6_scope_id };
	struct ip6_hdr ip = { .ip6_src = from->sin6_addr, .ip6_dst = to->sin6_addr };

	ip.ip6_flow = htonl(6U << 28);
	ip.ip6_plen = htons((uint16_t)len);
	ip.ip6_nxt = IPPROTO_TCP;
	ip.ip6_hlim = 64;
	set_checksum(s, len, &from->sin6_addr, &to->sin6_addr, sizeof(from->sin6_addr));
	return send_raw(AF_INET6, &ip, sizeof(ip), s, len, &name, sizeof(name));
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

int tcp_inject(const struct sockaddr_storage *from, const struct sockaddr_storage *to,
	       const struct tcp_segment *segment)
{
	/* The port stands at the same place in both. */
	struct wire s = { .source = ((const struct sockaddr_in *)from)->sin_port,
			  .dest = ((const struct sockaddr_in *)to)->sin_port,
			  .seq = htonl(segment->seq), .ack = htonl(segment->ack),
			  .flags = segment->flags, .window = htons(segment->window) };
	const uint32_t echo = htonl(segment->echo);
	struct in_addr from4, to4;
	size_t len = BARE;

	if (segment->echo) {
		/* RFC 7323: twice nothing, timestamps of 10 bytes. A time of 0 is one of which nobody knows the order. */
		memcpy(s.rest, (const uint8_t[]){ 1, 1, 8, 10, 0, 0, 0, 0 }, 8);
		memcpy(s.rest + 8, &echo, sizeof(echo));
		len += 12;
	}
	s.offset = (uint8_t)(len / 4 << 4);
	if (segment->data)
		((uint8_t *)&s)[len++] = *segment->data;
	if (ipv4_of(from, &from4) && ipv4_of(to, &to4))
		return inject_ipv4(from4, to4, &s, len);
	return inject_ipv6((const struct sockaddr_in6 *)from, (const struct sockaddr_in6 *)to, &s, len);
}
