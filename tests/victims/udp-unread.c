/* SPDX-License-Identifier: Apache-2.0 */
/* Datagrams that nobody has read, and a pending error, are refused. */
/* refused: pid 2 (udp-unread) fd 3: datagrams that nobody has read yet are not carried; read them first */
/* refused: pid 2 (udp-unread) fd 4: an error that nobody has read yet (such as 'connection refused') is pending on it, which is not carried; read it first */
#include "victim.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

int main(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(7200) };
	int fd = CHECK_SYS(socket(AF_INET, SOCK_DGRAM, 0)), other;
	struct pollfd p = { 0 };
	char text[8];

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	CHECK_SYS(bind(fd, (struct sockaddr *)&a, sizeof(a)));
	other = CHECK_SYS(socket(AF_INET, SOCK_DGRAM, 0));
	CHECK_EQ(sendto(other, "hi", 2, 0, (struct sockaddr *)&a, sizeof(a)), 2);
	a.sin_port = htons(7201);
	CHECK_SYS(connect(other, (struct sockaddr *)&a, sizeof(a)));
	CHECK_EQ(send(other, "lost", 4, 0), 4);
	p.fd = other;
	VICTIM_UNTIL(poll(&p, 1, 0) == 1 && p.revents & POLLERR);
	victim_ready();
	CHECK_EQ(recv(fd, text, sizeof(text), 0), 2);
	CHECK_ERRNO(recv(other, text, sizeof(text), 0), ECONNREFUSED);
	victim_pass();
}
