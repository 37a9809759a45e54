/* SPDX-License-Identifier: Apache-2.0 */
/* An established connection is refused, at both ends; so is one that waits, one half-closed, one that has ended. */
/* refused: pid 2 (tcp-established) fd 3: a TCP connection that waits to be accepted (at 127.0.0.1:4000) is not carried yet; accept and close it before the checkpoint */
/* refused: pid 2 (tcp-established) fd 4: an established TCP connection (127.0.0.1:4001 to 127.0.0.1:4000) is not carried yet; close it before the checkpoint */
/* refused: pid 2 (tcp-established) fd 5: an established TCP connection (127.0.0.1:4000 to 127.0.0.1:4001) is not carried yet; close it before the checkpoint */
/* refused: pid 2 (tcp-established) fd 6: an established TCP connection (127.0.0.1:4002 to 127.0.0.1:4000) is not carried yet; close it before the checkpoint */
/* refused: pid 2 (tcp-established) fd 7: a half-closed TCP connection (127.0.0.1:4003 to 127.0.0.1:4004) is not carried yet; close it before the checkpoint */
/* refused: pid 2 (tcp-established) fd 8: a half-closed TCP connection (127.0.0.1:4004 to 127.0.0.1:4003) is not carried yet; close it before the checkpoint */
/* refused: pid 2 (tcp-established) fd 9: a TCP connection that has ended (at 127.0.0.1:4005) is not carried yet; close it before the checkpoint */
#include "victim.h"

#include <netinet/in.h>
#include <sys/socket.h>

static int made(uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = CHECK_SYS(socket(AF_INET, SOCK_STREAM, 0));

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	CHECK_SYS(bind(fd, (struct sockaddr *)&a, sizeof(a)));
	return fd;
}

static int to(int fd, uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return connect(fd, (struct sockaddr *)&a, sizeof(a));
}

int main(void)
{
	int l = made(4000), c, s, waiting, half, other, ended, reset, peer;
	char byte;

	CHECK_SYS(listen(l, 5));
	c = made(4001);
	CHECK_SYS(to(c, 4000));
	s = CHECK_SYS(accept(l, NULL, NULL));
	waiting = made(4002);
	CHECK_SYS(to(waiting, 4000));
	half = made(4003);
	other = made(4004);
	CHECK_SYS(listen(other, 1));
	CHECK_SYS(to(half, 4004));
	{
		int got = CHECK_SYS(accept(other, NULL, NULL));

		CHECK_SYS(dup2(got, other));
		CHECK_SYS(close(got));
	}
	CHECK_SYS(shutdown(half, SHUT_WR));
	CHECK_EQ(read(other, &byte, 1), 0);
	ended = made(4005);
	reset = made(4006);
	CHECK_SYS(listen(reset, 1));
	CHECK_SYS(to(ended, 4006));
	peer = CHECK_SYS(accept(reset, NULL, NULL));
	CHECK_SYS(setsockopt(peer, SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 0 }, sizeof(struct linger)));
	CHECK_SYS(close(peer)); /* with a reset */
	victim_ready();
	CHECK_EQ(write(c, "x", 1), 1);
	CHECK_EQ(read(s, &byte, 1), 1);
	victim_pass();
}
