/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections whose receiver does not read, filled until nothing more goes in: bytes that were received and not
 * read, and bytes that were not acknowledged or not sent. All arrive, in order and once; both ways at once.
 */
#include "tcp.h"

int main(void)
{
	struct pair p[] = { tcp_pair(AF_INET), tcp_pair(AF_INET6), tcp_pair(AF_INET) };
	size_t there[3], back[3];
	int small = 8192;

	CHECK_SYS(setsockopt(p[2].server, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)));
	CHECK_SYS(setsockopt(p[2].client, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)));
	for (int i = 0; i < 3; i++) {
		there[i] = back[i] = 0;
		for (int k = 0; k < 20; k++) {
			there[i] += tcp_put(p[i].client, there[i], 8 << 20);
			victim_sleep_ms(2);
		}
		back[i] = tcp_put(p[i].server, 5, 100000);
	}
	victim_ready();
	for (int i = 0; i < 3; i++) {
		tcp_expect(p[i].server, 0, there[i]);
		tcp_expect(p[i].client, 5, back[i]);
		tcp_exchange(p[i]);
		CHECK_SYS(shutdown(p[i].client, SHUT_WR));
		tcp_expect_end(p[i].server);
		tcp_close(p[i]);
	}
	victim_pass();
}
