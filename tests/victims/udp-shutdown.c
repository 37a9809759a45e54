// SPDX-License-Identifier: Apache-2.0
/* Connected UDP sockets that were shut down for reading, for writing, and for both. */
#include "tests/victims/victim.h"

#include <netinet/in.h>
#include <sys/socket.h>

int main(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(4711),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int peer = CHECK_SYS(socket(AF_INET, SOCK_DGRAM, 0)), fd[4];
	char c;

	CHECK_SYS(bind(peer, (struct sockaddr *)&a, sizeof(a)));
	for (int how = 0; how < 4; how++) {
		fd[how] = CHECK_SYS(socket(AF_INET, SOCK_DGRAM, 0));
		CHECK_SYS(connect(fd[how], (struct sockaddr *)&a, sizeof(a)));
		if (how < 3)
			CHECK_SYS(shutdown(fd[how], how));
	}
	signal(SIGPIPE, SIG_IGN);
	victim_ready();
	CHECK_EQ(recv(fd[SHUT_RD], &c, 1, 0), 0);
	CHECK_ERRNO(recv(fd[SHUT_WR], &c, 1, MSG_DONTWAIT), EAGAIN);
	CHECK_EQ(recv(fd[SHUT_RDWR], &c, 1, 0), 0);
	CHECK_ERRNO(recv(fd[3], &c, 1, MSG_DONTWAIT), EAGAIN);
	CHECK_EQ(send(fd[SHUT_RD], "x", 1, 0), 1);
	CHECK_ERRNO(send(fd[SHUT_WR], "x", 1, 0), EPIPE);
	CHECK_ERRNO(send(fd[SHUT_RDWR], "x", 1, 0), EPIPE);
	CHECK_EQ(send(fd[3], "x", 1, 0), 1);
	victim_pass();
}
