/* SPDX-License-Identifier: Apache-2.0 */
/* A raw socket with a filter on the kinds of ICMP messages. */
/* run: --cap-add net_raw */
#include "victim.h"

#include <linux/icmp.h>
#include <netinet/in.h>
#include <sys/socket.h>

int main(void)
{
	int fd = CHECK_SYS(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
	struct icmp_filter f = { ~(1U << ICMP_ECHOREPLY) }, got = { 0 };
	struct sockaddr_in a = { .sin_family = AF_INET };
	struct icmphdr echo = { .type = ICMP_ECHO, .checksum = 0 };
	char packet[128];
	socklen_t len = sizeof(got);

	CHECK_SYS(setsockopt(fd, SOL_RAW, ICMP_FILTER, &f, sizeof(f)));
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	CHECK_SYS(connect(fd, (struct sockaddr *)&a, sizeof(a)));
	victim_ready();
	CHECK_SYS(getsockopt(fd, SOL_RAW, ICMP_FILTER, &got, &len));
	CHECK_EQ(got.data, f.data);
	echo.checksum = (uint16_t)~htons(ICMP_ECHO << 8);
	CHECK_SYS(send(fd, &echo, sizeof(echo), 0));
	CHECK_EQ(recv(fd, packet, sizeof(packet), 0), (ssize_t)(20 + sizeof(echo)));
	CHECK_EQ(packet[20], ICMP_ECHOREPLY);
	victim_pass();
}
