/* SPDX-License-Identifier: Apache-2.0 */
/* Connections that are opened with data: in a SYN that nobody answers, and one that waits for its first send. */
/* refused: pid 2 (tcp-fast-open) fd 4: a TCP connection that is opened with data in its first packet (fast open) is not carried; try again */
/* refused: pid 2 (tcp-fast-open) fd 5: a TCP connection that is opened with data in its first packet (fast open) is not carried; try again */
#include "tcp.h"

int main(void)
{
	struct sockaddr_storage a;
	socklen_t len;
	int l = tcp_listen(AF_INET, &a, &len), sent = CHECK_SYS(socket(AF_INET, SOCK_STREAM, 0));
	int waits = CHECK_SYS(socket(AF_INET, SOCK_STREAM, 0)), far = 255, near = 0, one = 1;

	/* Takes no packet from so near. */
	CHECK_SYS(setsockopt(l, SOL_IP, IP_MINTTL, &far, sizeof(far)));
	CHECK_SYS(setsockopt(sent, IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, &one, sizeof(one)));
	CHECK_EQ(sendto(sent, "early", 5, MSG_FASTOPEN | MSG_DONTWAIT, (struct sockaddr *)&a, len), 5);
	CHECK_SYS(setsockopt(waits, IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, &one, sizeof(one)));
	CHECK_SYS(setsockopt(waits, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &one, sizeof(one)));
	CHECK_SYS(connect(waits, (struct sockaddr *)&a, len));
	CHECK_EQ(tcp_state_of(sent), TCP_SYN_SENT);
	CHECK_EQ(tcp_state_of(waits), TCP_SYN_SENT);
	victim_ready();
	CHECK_SYS(setsockopt(l, SOL_IP, IP_MINTTL, &near, sizeof(near)));
	CHECK_EQ(send(waits, "later", 5, 0), 5);
	for (int i = 0; i < 2; i++) {
		int s = CHECK_SYS(accept(l, NULL, NULL));
		char text[5];

		CHECK_EQ(recv(s, text, 5, MSG_WAITALL), 5);
		CHECK(!memcmp(text, "early", 5) || !memcmp(text, "later", 5));
	}
	victim_pass();
}
