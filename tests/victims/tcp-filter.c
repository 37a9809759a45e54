/* SPDX-License-Identifier: Apache-2.0 */
/* Connections whose filter (SO_ATTACH_FILTER) lets nothing in, in states that only a packet leads to. */
/* run: --cap-add net_raw --cap-add net_admin */
#include "tcp.h"

enum { OPEN, HALF, N };

static void hear(int fd)
{
	struct sock_filter is[8];
	socklen_t n = 8;

	CHECK_SYS(getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, is, &n));
	CHECK_EQ(n, 1);
	CHECK_EQ(is[0].code, BPF_RET | BPF_K);
	CHECK_EQ(is[0].k, 0);
	tcp_hear(fd);
}

int main(void)
{
	struct pair p[2 * N];

	for (int i = 0; i < 2 * N; i++) {
		p[i] = tcp_pair(i < N ? AF_INET : AF_INET6);
		CHECK_EQ(tcp_put(p[i].client, 0, 3000), 3000);
		VICTIM_UNTIL(!tcp_queued(p[i].client));
		if (i % N == HALF) {
			CHECK_SYS(shutdown(p[i].client, SHUT_WR));
			VICTIM_UNTIL(tcp_state_of(p[i].client) == TCP_FIN_WAIT2);
			CHECK_EQ(tcp_state_of(p[i].server), TCP_CLOSE_WAIT);
		}
		tcp_deafen(p[i].client);
		tcp_deafen(p[i].server);
	}
	victim_ready();
	for (int i = 0; i < 2 * N; i++) {
		hear(p[i].client);
		hear(p[i].server);
		CHECK_EQ(tcp_state_of(p[i].client), i % N == HALF ? TCP_FIN_WAIT2 : TCP_ESTABLISHED);
		CHECK_EQ(tcp_state_of(p[i].server), i % N == HALF ? TCP_CLOSE_WAIT : TCP_ESTABLISHED);
		CHECK_EQ(tcp_put(p[i].server, 5, 1000), 1000);
		tcp_expect(p[i].client, 5, 1000);
		if (i % N == OPEN)
			CHECK_EQ(tcp_put(p[i].client, 3000, 100), 100);
		tcp_expect(p[i].server, 0, i % N == OPEN ? 3100 : 3000);
		if (i % N == HALF)
			tcp_expect_end(p[i].server);
	}
	victim_pass();
}
