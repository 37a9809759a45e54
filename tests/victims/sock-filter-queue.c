/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets whose filter (SO_ATTACH_FILTER), locked or not, lets nothing in, with what had come before; and connections in
 * states that only a packet leads to.
 */
/* run: --cap-add net_raw --cap-add net_admin */
#include "tcp.h"

#include <sys/un.h>

enum { UDP, UNIX_DATAGRAM, UNIX_STREAM, UNIX_PACKET, TCP_OPEN, TCP_HALF, TCP_OTHER_HALF, N };

static void make(int what, int *ret_writer, int *ret_reader)
{
	static const int types[] = { [UNIX_DATAGRAM] = SOCK_DGRAM, [UNIX_STREAM] = SOCK_STREAM,
				     [UNIX_PACKET] = SOCK_SEQPACKET };
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int ends[2];

	if (what == UDP) {
		*ret_reader = CHECK_SYS(socket(AF_INET, SOCK_DGRAM, 0));
		*ret_writer = CHECK_SYS(socket(AF_INET, SOCK_DGRAM, 0));
		CHECK_SYS(bind(*ret_reader, (struct sockaddr *)&a, len));
		CHECK_SYS(getsockname(*ret_reader, (struct sockaddr *)&a, &len));
		CHECK_SYS(connect(*ret_writer, (struct sockaddr *)&a, len));
	} else if (what >= TCP_OPEN) {
		struct pair p = tcp_pair(AF_INET);

		*ret_writer = p.client;
		*ret_reader = p.server;
	} else {
		CHECK_SYS(socketpair(AF_UNIX, types[what], 0, ends));
		*ret_writer = ends[0];
		*ret_reader = ends[1];
	}
	CHECK_EQ(send(*ret_writer, "before", 6, 0), 6);
	VICTIM_UNTIL(recv(*ret_reader, &a, sizeof(a), MSG_PEEK | MSG_DONTWAIT) == 6);
	if (what == TCP_HALF)
		CHECK_SYS(shutdown(*ret_writer, SHUT_WR));
	if (what == TCP_OTHER_HALF)
		CHECK_SYS(shutdown(*ret_reader, SHUT_WR));
	if (what == TCP_HALF)
		VICTIM_UNTIL(tcp_state_of(*ret_writer) == TCP_FIN_WAIT2);
	if (what == TCP_OTHER_HALF)
		VICTIM_UNTIL(tcp_state_of(*ret_reader) == TCP_FIN_WAIT2);
}

static void check(int what, int writer, int reader, bool locked)
{
	static const int states[] = { [TCP_OPEN] = TCP_ESTABLISHED, [TCP_HALF] = TCP_CLOSE_WAIT,
				      [TCP_OTHER_HALF] = TCP_FIN_WAIT2 };
	char got[10] = "";
	struct sock_filter is[8];
	socklen_t n = 8, len = sizeof(int);
	int lock = -1;

	CHECK_SYS(getsockopt(reader, SOL_SOCKET, SO_GET_FILTER, is, &n));
	CHECK_EQ(n, 1);
	CHECK_EQ(is[0].k, 0);
	CHECK_SYS(getsockopt(reader, SOL_SOCKET, SO_LOCK_FILTER, &lock, &len));
	CHECK_EQ(lock, locked);
	CHECK_EQ(recv(reader, got, 6, MSG_DONTWAIT), 6);
	CHECK(!strcmp(got, "before"));
	if (what != TCP_HALF)
		send(writer, "behind", 6, MSG_DONTWAIT | MSG_NOSIGNAL);
	/* Streams of AF_UNIX do not ask it. */
	if (what == TCP_HALF)
		CHECK_EQ(recv(reader, got, sizeof(got), MSG_DONTWAIT), 0);
	else if (what != UNIX_STREAM)
		CHECK(recv(reader, got, sizeof(got), MSG_DONTWAIT) < 0 && errno == EAGAIN);
	if (what >= TCP_OPEN)
		CHECK_EQ(tcp_state_of(reader), states[what]);
}

int main(void)
{
	int writer[2 * N], reader[2 * N];

	for (int i = 0; i < 2 * N; i++) {
		make(i % N, &writer[i], &reader[i]);
		tcp_deafen(reader[i]);
		if (i >= N)
			CHECK_SYS(setsockopt(reader[i], SOL_SOCKET, SO_LOCK_FILTER, &(int){ 1 }, sizeof(int)));
	}
	victim_ready();
	for (int i = 0; i < 2 * N; i++)
		check(i % N, writer[i], reader[i], i >= N);
	victim_pass();
}
