/* SPDX-License-Identifier: Apache-2.0 */
/* An error that nobody has read yet is refused by name: to look at it is to take it. */
/* refused: pid 2 (tcp-error) fd 3: an error that nobody has read yet is pending on a TCP connection (at 127.0.0.1:4002), which is not carried; read it first */
#include "tcp.h"

static int made(uint16_t port)
{
	struct sockaddr_storage a;
	socklen_t len = tcp_loopback(&a, AF_INET, port);
	int fd = CHECK_SYS(socket(AF_INET, SOCK_STREAM, 0));

	CHECK_SYS(bind(fd, (struct sockaddr *)&a, len));
	return fd;
}

int main(void)
{
	int ended = made(4002), reset = made(4003), peer;
	struct sockaddr_storage a;
	socklen_t len = tcp_loopback(&a, AF_INET, 4003);
	char byte;

	CHECK_SYS(listen(reset, 1));
	CHECK_SYS(connect(ended, (struct sockaddr *)&a, len));
	peer = CHECK_SYS(accept(reset, NULL, NULL));
	CHECK_SYS(setsockopt(peer, SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 0 }, sizeof(struct linger)));
	CHECK_SYS(close(peer)); /* with a reset */
	victim_ready();
	CHECK_ERRNO(read(ended, &byte, 1), ECONNRESET);
	victim_pass();
}
