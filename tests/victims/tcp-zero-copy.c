/* SPDX-License-Identifier: Apache-2.0 */
/* A program that sends without copying is told by number what has been sent; nobody else learns the numbers. */
/* refused: pid 2 (tcp-zero-copy) fd 4: how far a TCP connection has sent without copying (SO_ZEROCOPY) cannot be read; switch it off before the checkpoint */
#include "tcp.h"

#include <linux/errqueue.h>

int main(void)
{
	struct pair p = tcp_pair(AF_INET);
	struct pollfd events = { p.client, 0, 0 };
	char control[200], byte;
	int one = 1;

	CHECK_EQ(p.client, 4);
	CHECK_SYS(setsockopt(p.client, SOL_SOCKET, SO_ZEROCOPY, &one, sizeof(one)));
	for (int i = 0; i < 4; i++) {
		struct msghdr h = { .msg_control = control, .msg_controllen = sizeof(control) };
		struct sock_extended_err *e;

		if (i == 3)
			victim_ready();
		CHECK_EQ(send(p.client, "x", 1, MSG_ZEROCOPY), 1);
		CHECK_EQ(recv(p.server, &byte, 1, 0), 1);
		CHECK_EQ(poll(&events, 1, 120000), 1);
		CHECK_SYS(recvmsg(p.client, &h, MSG_ERRQUEUE));
		e = (struct sock_extended_err *)CMSG_DATA(CMSG_FIRSTHDR(&h));
		CHECK_EQ(e->ee_data, i);
	}
	victim_pass();
}
