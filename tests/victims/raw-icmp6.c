/* SPDX-License-Identifier: Apache-2.0 */
/* A raw IPv6 socket that is bound to an address: it has none of the options of IPv4. */
/* run: --cap-add net_raw */
#include "victim.h"

#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <sys/socket.h>

int main(void)
{
	int fd = CHECK_SYS(socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6));
	struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT }, from;
	struct icmp6_hdr echo = { .icmp6_type = ICMP6_ECHO_REQUEST, .icmp6_id = 77 }, got;
	socklen_t len = sizeof(from);
	struct icmp6_filter f;
	int reads = 0;

	ICMP6_FILTER_SETBLOCKALL(&f);
	ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &f);
	CHECK_SYS(setsockopt(fd, IPPROTO_ICMPV6, ICMP6_FILTER, &f, sizeof(f)));
	CHECK_SYS(bind(fd, (struct sockaddr *)&a, sizeof(a)));
	victim_ready();
	CHECK_SYS(getsockname(fd, (struct sockaddr *)&from, &len));
	CHECK(!memcmp(&from.sin6_addr, &a.sin6_addr, sizeof(a.sin6_addr)));
	CHECK_SYS(sendto(fd, &echo, sizeof(echo), 0, (struct sockaddr *)&a, sizeof(a)));
	do
		CHECK_EQ(recv(fd, &got, sizeof(got), 0), (ssize_t)sizeof(got));
	while (got.icmp6_type != ICMP6_ECHO_REPLY && ++reads < 10);
	CHECK_EQ(got.icmp6_type, ICMP6_ECHO_REPLY);
	CHECK_EQ(got.icmp6_id, 77);
	victim_pass();
}
