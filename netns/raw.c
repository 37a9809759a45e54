/* SPDX-License-Identifier: Apache-2.0 */
#include "netns/raw.h"

#include <arpa/inet.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <string.h>

#include "libct/base/cleanup.h"
#include "netns/checksum.h"

bool raw_ipv4(const struct sockaddr_storage *a, struct in_addr *ret)
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

static size_t length(const struct iovec *parts, int n)
{
	size_t len = 0;

	for (int i = 0; i < n; i++)
		len += parts[i].iov_len;
	return len;
}

static bool both_ipv4(const struct sockaddr_storage *from, const struct sockaddr_storage *to, struct in_addr *ret_from,
		      struct in_addr *ret_to)
{
	return raw_ipv4(from, ret_from) && raw_ipv4(to, ret_to);
}

uint16_t raw_checksum(const struct sockaddr_storage *from, const struct sockaddr_storage *to, int protocol,
		      const struct iovec *parts, int n)
{
	uint32_t sum = (uint32_t)protocol + (uint32_t)length(parts, n);
	struct in_addr from4, to4;

	if (protocol == IPPROTO_ICMP) {
		sum = 0;
	} else if (both_ipv4(from, to, &from4, &to4)) {
		sum = checksum_add(sum, &from4, sizeof(from4));
		sum = checksum_add(sum, &to4, sizeof(to4));
	} else {
		sum = checksum_add(sum, &((const struct sockaddr_in6 *)from)->sin6_addr, sizeof(struct in6_addr));
		sum = checksum_add(sum, &((const struct sockaddr_in6 *)to)->sin6_addr, sizeof(struct in6_addr));
	}
	for (int i = 0; i < n; i++)
		sum = checksum_add(sum, parts[i].iov_base, parts[i].iov_len);
	return htons((uint16_t)~sum);
}

static int send_packet(int family, const void *to, socklen_t to_len, const void *ip, size_t ip_len,
		       const struct iovec *parts, int n, uint32_t mark)
{
	struct iovec all[1 + RAW_PARTS] = { { (void *)ip, ip_len } };
	struct msghdr h = { .msg_name = (void *)to, .msg_namelen = to_len, .msg_iov = all,
			    .msg_iovlen = 1 + (size_t)n };
	cleanup_fd int fd = socket(family, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);

	memcpy(all + 1, parts, sizeof(*parts) * (size_t)n);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) < 0)
		return -errno;
	return sendmsg(fd, &h, 0) < 0 ? -errno : 0;
}

int raw_send(const struct sockaddr_storage *from, const struct sockaddr_storage *to, int protocol,
	     const struct iovec *parts, int n, uint32_t mark)
{
	const struct sockaddr_in6 *from6 = (const struct sockaddr_in6 *)from, *to6 = (const struct sockaddr_in6 *)to;
	struct sockaddr_in6 name6 = { .sin6_family = AF_INET6 };
	struct ip6_hdr six = { 0 };
	struct in_addr from4, to4;

	if (both_ipv4(from, to, &from4, &to4)) {
		struct sockaddr_in name = { .sin_family = AF_INET, .sin_addr = to4 };
		struct iphdr ip = { .version = 4, .ihl = 5, .ttl = 64, .protocol = (uint8_t)protocol,
				    .saddr = from4.s_addr, .daddr = to4.s_addr,
				    .tot_len = htons((uint16_t)(sizeof(ip) + length(parts, n))) };

		return send_packet(AF_INET, &name, sizeof(name), &ip, sizeof(ip), parts, n, mark);
	}
	name6.sin6_addr = to6->sin6_addr;
	name6.sin6_scope_id = to6->sin6_scope_id;
	six.ip6_src = from6->sin6_addr;
	six.ip6_dst = to6->sin6_addr;
	six.ip6_flow = htonl(6U << 28);
	six.ip6_plen = htons((uint16_t)length(parts, n));
	six.ip6_nxt = (uint8_t)protocol;
	six.ip6_hlim = 64;
	return send_packet(AF_INET6, &name6, sizeof(name6), &six, sizeof(six), parts, n, mark);
}
