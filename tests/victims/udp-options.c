/* SPDX-License-Identifier: Apache-2.0 */
/* Options of UDP, IP and IPv6. */
#include "victim.h"

#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>

static const struct {
	int level, option, value;
	bool six;
} options[] = {
	{ SOL_SOCKET, SO_BROADCAST, 1, false }, { SOL_SOCKET, SO_REUSEPORT, 1, false },
	{ SOL_SOCKET, SO_TIMESTAMPNS, 1, false }, { SOL_SOCKET, SO_RXQ_OVFL, 1, false },
	{ IPPROTO_IP, IP_TTL, 5, false }, { IPPROTO_IP, IP_TOS, 0x20, false },
	{ IPPROTO_IP, IP_PKTINFO, 1, false }, { IPPROTO_IP, IP_RECVERR, 1, false },
	{ IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO, false },
	{ IPPROTO_IP, IP_MULTICAST_TTL, 7, false }, { IPPROTO_IP, IP_MULTICAST_LOOP, 0, false },
	{ IPPROTO_UDP, UDP_SEGMENT, 1200, false },
	{ IPPROTO_IPV6, IPV6_RECVPKTINFO, 1, true }, { IPPROTO_IPV6, IPV6_TCLASS, 0x40, true },
	{ IPPROTO_IPV6, IPV6_UNICAST_HOPS, 9, true }, { IPPROTO_IPV6, IPV6_V6ONLY, 1, true },
	{ IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 3, true }, { IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1, true },
};

#define N (sizeof(options) / sizeof(options[0]))

int main(void)
{
	int fd[2] = { CHECK_SYS(socket(AF_INET, SOCK_DGRAM, 0)), CHECK_SYS(socket(AF_INET6, SOCK_DGRAM, 0)) };
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(7000) };
	char device[16] = "";
	socklen_t len;

	for (size_t i = 0; i < N; i++)
		CHECK_SYS(setsockopt(fd[options[i].six], options[i].level, options[i].option,
				     &options[i].value, sizeof(int)));
	CHECK_SYS(setsockopt(fd[0], SOL_SOCKET, SO_BINDTODEVICE, "lo", 3));
	CHECK_SYS(bind(fd[0], (struct sockaddr *)&a, sizeof(a)));
	victim_ready();
	for (size_t i = 0; i < N; i++) {
		int v = 0;

		len = sizeof(v);
		CHECK_SYS(getsockopt(fd[options[i].six], options[i].level, options[i].option, &v, &len));
		if (v != options[i].value)
			VICTIM_FAIL("option %d of level %d is %d, expected %d", options[i].option,
				    options[i].level, v, options[i].value);
	}
	len = sizeof(device);
	CHECK_SYS(getsockopt(fd[0], SOL_SOCKET, SO_BINDTODEVICE, device, &len));
	CHECK_STR(device, "lo");
	victim_pass();
}
