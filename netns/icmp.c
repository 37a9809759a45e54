/* SPDX-License-Identifier: Apache-2.0 */
#include "netns/icmp.h"

#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/ip_icmp.h>
#include <string.h>

#include "netns/checksum.h"
#include "netns/raw.h"

/*
 * Codes of "destination unreachable"; -1: none. icmp_err_convert[] and icmpv6_err_convert() are the kernel's tables; of several codes this
 * is one that UDP goes by, too.
 */
static const struct {
	int error, code, code6;
} errors[] = {
	{ ECONNREFUSED, ICMP_PORT_UNREACH, ICMP6_DST_UNREACH_NOPORT },
	{ EHOSTUNREACH, ICMP_PKT_FILTERED, ICMP6_DST_UNREACH_ADDR },
	{ ENETUNREACH, ICMP_NET_UNREACH, ICMP6_DST_UNREACH_NOROUTE },
	{ ENOPROTOOPT, ICMP_PROT_UNREACH, -1 },
	{ EACCES, -1, ICMP6_DST_UNREACH_ADMIN },
	{ EHOSTDOWN, ICMP_HOST_UNKNOWN, -1 },
	{ ENONET, ICMP_HOST_ISOLATED, -1 },
	{ EOPNOTSUPP, ICMP_SR_FAILED, -1 },
};

bool icmp_report_of(int error, bool six, struct icmp_report *ret)
{
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		int code = six ? errors[i].code6 : errors[i].code;

		if (errors[i].error != error || code < 0)
			continue;
		*ret = (struct icmp_report){ .type = six ? ICMP6_DST_UNREACH : ICMP_DEST_UNREACH,
					     .code = (uint8_t)code };
		return true;
	}
	return false;
}

bool icmp_is_six(const struct sockaddr_storage *local, const struct sockaddr_storage *remote)
{
	struct in_addr four;

	return !raw_ipv4(local, &four) && !raw_ipv4(remote, &four);
}

struct message {
	uint8_t type, code;
	uint16_t check;
	uint32_t rest;
};

static int send_report(const struct icmp_report *report, const struct sockaddr_storage *local, int protocol,
		       const struct iovec quoted[2])
{
	const struct sockaddr_storage *from = report->from.ss_family == AF_UNSPEC ? local : &report->from;
	struct message m = { .type = report->type, .code = report->code };
	const struct iovec parts[] = { { &m, sizeof(m) }, quoted[0], quoted[1] };

	m.check = raw_checksum(from, local, protocol, parts, 3);
	return raw_send(from, local, protocol, parts, 3, 0);
}

int icmp_report_send(const struct icmp_report *report, const struct sockaddr_storage *local,
		     const struct sockaddr_storage *remote, int protocol, const void *head, size_t len)
{
	struct iphdr four = { .version = 4, .ihl = 5, .ttl = 64, .protocol = (uint8_t)protocol,
			      .tot_len = htons((uint16_t)(sizeof(four) + len)) };
	struct ip6_hdr six = { 0 };
	struct iovec quoted[] = { { &four, sizeof(four) }, { (void *)head, len } };
	struct in_addr from, to;

	if (!icmp_is_six(local, remote)) {
		if (!raw_ipv4(local, &from) || !raw_ipv4(remote, &to))
			return -EINVAL;
		four.saddr = from.s_addr;
		four.daddr = to.s_addr;
		four.check = htons((uint16_t)~checksum_add(0, &four, sizeof(four)));
		return send_report(report, local, IPPROTO_ICMP, quoted);
	}
	six.ip6_src = ((const struct sockaddr_in6 *)local)->sin6_addr;
	six.ip6_dst = ((const struct sockaddr_in6 *)remote)->sin6_addr;
	six.ip6_flow = htonl(6U << 28);
	six.ip6_plen = htons((uint16_t)len);
	six.ip6_nxt = (uint8_t)protocol;
	six.ip6_hlim = 64;
	quoted[0] = (struct iovec){ &six, sizeof(six) };
	return send_report(report, local, IPPROTO_ICMPV6, quoted);
}
