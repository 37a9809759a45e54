/* SPDX-License-Identifier: Apache-2.0 */
/* An error that nobody has read yet, and that no packet would bring again, is refused by name: to look at it is to take it. */
/* refused: pid 2 (tcp-error-other) fd 3: an error that nobody has read yet is pending on a TCP connection (at 127.0.0.1:4002), which is not carried; read it first */
#include "tcp.h"

int main(void)
{
	struct sockaddr_storage a;
	socklen_t len = tcp_loopback(&a, AF_INET, 4002);
	int fd = CHECK_SYS(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)), error = 0;
	struct pollfd p = { fd, POLLOUT, 0 };

	CHECK_SYS(bind(fd, (struct sockaddr *)&a, len));
	len = tcp_loopback(&a, AF_INET, 4003); /* where nobody listens */
	CHECK_ERRNO(connect(fd, (struct sockaddr *)&a, len), EINPROGRESS);
	CHECK_EQ(poll(&p, 1, -1), 1);
	CHECK(p.revents & POLLERR);
	victim_ready();
	len = sizeof(error);
	CHECK_SYS(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len));
	CHECK_EQ(error, ECONNREFUSED);
	victim_pass();
}
