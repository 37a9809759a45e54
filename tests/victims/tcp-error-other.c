/* SPDX-License-Identifier: Apache-2.0 */
/* Messages in the error queue that no packet would bring again are refused by name. */
/* refused: pid 2 (tcp-error-other) fd 3: messages that nobody has read yet are in the error queue (MSG_ERRQUEUE) of a TCP connection (at 127.0.0.1:4002), which are not carried; read them first */
#include "tcp.h"

#include <linux/net_tstamp.h>

int main(void)
{
	struct sockaddr_storage a, b;
	socklen_t len = tcp_loopback(&a, AF_INET, 4002), b_len;
	int fd = CHECK_SYS(socket(AF_INET, SOCK_STREAM, 0)), server;
	int flags = SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE, l = tcp_listen(AF_INET, &b, &b_len);
	struct pollfd p = { fd, 0, 0 };
	char data[1000];
	struct iovec iov = { data, sizeof(data) };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	CHECK_SYS(bind(fd, (struct sockaddr *)&a, len));
	CHECK_SYS(connect(fd, (struct sockaddr *)&b, b_len));
	server = CHECK_SYS(accept(l, NULL, NULL));
	CHECK_SYS(setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPING, &flags, sizeof(flags)));
	CHECK_EQ(tcp_put(fd, 0, 100), 100);
	VICTIM_UNTIL(poll(&p, 1, 0) == 1 && p.revents & POLLERR);
	victim_ready();
	CHECK_SYS(recvmsg(fd, &m, MSG_ERRQUEUE));
	tcp_expect(server, 0, 100);
	tcp_exchange((struct pair){ fd, server });
	victim_pass();
}
