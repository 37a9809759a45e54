/* SPDX-License-Identifier: Apache-2.0 */
/* A connection that nobody accepts is refused by name; so is an error that nobody reads. */
/* refused: pid 2 (tcp-waiting) fd 3: a TCP connection that waits to be accepted (at 127.0.0.1:4000) is not carried; accept it before the checkpoint */
/* refused: pid 2 (tcp-waiting) fd 5: an error that nobody has read yet is pending on a TCP connection (at 127.0.0.1:4002), which is not carried; read it first */
#include "tcp.h"

static int made(uint16_t port)
{
	struct sockaddr_storage a;
	socklen_t len = tcp_loopback(&a, AF_INET, port);
	int fd = CHECK_SYS(socket(AF_INET, SOCK_STREAM, 0));

	CHECK_SYS(bind(fd, (struct sockaddr *)&a, len));
	return fd;
}

static int to(int fd, uint16_t port)
{
	struct sockaddr_storage a;
	socklen_t len = tcp_loopback(&a, AF_INET, port);

	return connect(fd, (struct sockaddr *)&a, len);
}

int main(void)
{
	int l = made(4000), waiting = made(4001), ended = made(4002), reset = made(4003), peer;
	char byte;

	CHECK_SYS(listen(l, 5));
	CHECK_SYS(to(waiting, 4000));
	CHECK_SYS(listen(reset, 1));
	CHECK_SYS(to(ended, 4003));
	peer = CHECK_SYS(accept(reset, NULL, NULL));
	CHECK_SYS(setsockopt(peer, SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 0 }, sizeof(struct linger)));
	CHECK_SYS(close(peer)); /* with a reset */
	victim_ready();
	CHECK_ERRNO(read(ended, &byte, 1), ECONNRESET);
	CHECK_EQ(write(waiting, "x", 1), 1);
	peer = CHECK_SYS(accept(l, NULL, NULL));
	CHECK_EQ(read(peer, &byte, 1), 1);
	victim_pass();
}
