/* SPDX-License-Identifier: Apache-2.0 */
/* Connected UDP sockets keep both addresses and hear nobody else. */
#include "victim.h"

#include <netinet/in.h>
#include <sys/socket.h>

int main(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET }, b = a, got;
	int server = CHECK_SYS(socket(AF_INET, SOCK_DGRAM, 0));
	int client = CHECK_SYS(socket(AF_INET, SOCK_DGRAM, 0));
	int other = CHECK_SYS(socket(AF_INET, SOCK_DGRAM, 0));
	socklen_t len = sizeof(a);
	char text[16];

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	CHECK_SYS(bind(server, (struct sockaddr *)&a, sizeof(a)));
	CHECK_SYS(getsockname(server, (struct sockaddr *)&a, &len));
	CHECK_SYS(connect(client, (struct sockaddr *)&a, sizeof(a)));
	CHECK_SYS(getsockname(client, (struct sockaddr *)&b, &len));
	victim_ready();
	CHECK_SYS(getsockname(client, (struct sockaddr *)&got, &len));
	CHECK_MEM(&got, &b, sizeof(b));
	CHECK_SYS(getpeername(client, (struct sockaddr *)&got, &len));
	CHECK_MEM(&got, &a, sizeof(a));
	CHECK_EQ(send(client, "question", 8, 0), 8);
	CHECK_EQ(recvfrom(server, text, sizeof(text), 0, (struct sockaddr *)&got, &len), 8);
	CHECK_MEM(&got, &b, sizeof(b));
	CHECK_EQ(sendto(other, "spoofed", 7, 0, (struct sockaddr *)&b, sizeof(b)), 7);
	CHECK_EQ(sendto(server, "answer", 6, 0, (struct sockaddr *)&b, sizeof(b)), 6);
	CHECK_EQ(recv(client, text, sizeof(text), 0), 6);
	CHECK_MEM(text, "answer", 6);
	victim_pass();
}
