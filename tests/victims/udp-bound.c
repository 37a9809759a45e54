/* SPDX-License-Identifier: Apache-2.0 */
/* UDP sockets: bound to a port and an address, to any, to both families at once. */
#include "victim.h"

#include <netinet/in.h>
#include <sys/socket.h>

static void send_to(uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = CHECK_SYS(socket(AF_INET, SOCK_DGRAM, 0));

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	CHECK_EQ(sendto(fd, "datagram", 8, 0, (struct sockaddr *)&a, sizeof(a)), 8);
	CHECK_SYS(close(fd));
}

int main(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(53) }, got;
	struct sockaddr_in6 b = { .sin6_family = AF_INET6, .sin6_port = htons(54) };
	int one = CHECK_SYS(socket(AF_INET, SOCK_DGRAM, 0));
	int any = CHECK_SYS(socket(AF_INET, SOCK_DGRAM, 0));
	int dual = CHECK_SYS(socket(AF_INET6, SOCK_DGRAM, 0));
	int fresh = CHECK_SYS(socket(AF_INET6, SOCK_DGRAM, 0));
	socklen_t len = sizeof(got);
	char text[16];

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	CHECK_SYS(bind(one, (struct sockaddr *)&a, sizeof(a)));
	a = (struct sockaddr_in){ .sin_family = AF_INET };
	CHECK_SYS(bind(any, (struct sockaddr *)&a, sizeof(a)));
	CHECK_SYS(getsockname(any, (struct sockaddr *)&a, &len));
	CHECK_SYS(bind(dual, (struct sockaddr *)&b, sizeof(b)));
	victim_ready();
	send_to(53);
	CHECK_EQ(recv(one, text, sizeof(text), 0), 8);
	send_to(ntohs(a.sin_port));
	CHECK_EQ(recv(any, text, sizeof(text), 0), 8);
	send_to(54);
	CHECK_EQ(recv(dual, text, sizeof(text), 0), 8);
	b.sin6_addr = in6addr_loopback;
	CHECK_EQ(sendto(fresh, "six", 3, 0, (struct sockaddr *)&b, sizeof(b)), 3);
	CHECK_EQ(recv(dual, text, sizeof(text), 0), 3);
	victim_pass();
}
