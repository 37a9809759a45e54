/* SPDX-License-Identifier: Apache-2.0 */
/* Datagrams that could not be given to the restored socket as they are. */
/* refused: pid 2 (udp-unread-grou) fd 3: datagrams that nobody has read yet (at a port that several sockets share) are not carried; read them first */
/* refused: pid 2 (udp-unread-grou) fd 4: datagrams that nobody has read yet (with the time of arrival) are not carried; read them first */
#include "victim.h"

#include <netinet/in.h>
#include <sys/socket.h>

int main(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	static const int options[] = { SO_REUSEPORT, SO_TIMESTAMP };
	int fd[2], one = 1, other = CHECK_SYS(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
	char text[8];

	CHECK_SYS(dup2(other, 10));
	CHECK_SYS(close(other));
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (int i = 0; i < 2; i++) {
		fd[i] = CHECK_SYS(socket(AF_INET, SOCK_DGRAM, 0));
		CHECK_SYS(setsockopt(fd[i], SOL_SOCKET, options[i], &one, sizeof(one)));
		a.sin_port = htons((uint16_t)(7300 + i));
		CHECK_SYS(bind(fd[i], (struct sockaddr *)&a, sizeof(a)));
		CHECK_EQ(sendto(10, "hi", 2, 0, (struct sockaddr *)&a, sizeof(a)), 2);
	}
	victim_ready();
	CHECK_EQ(recv(fd[0], text, sizeof(text), 0), 2);
	CHECK_EQ(recv(fd[1], text, sizeof(text), 0), 2);
	victim_pass();
}
