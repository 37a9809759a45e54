/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every state that the end of a connection can leave at a descriptor: FIN_WAIT_1 (what the peer's full buffer
 * holds up), FIN_WAIT_2, CLOSE_WAIT, CLOSING and LAST_ACK (likewise), and over. What is under way arrives, the ends of
 * file come where they were, and the other direction goes on.
 */
/* verified: from the first */
#include "tcp.h"

/* Fills it until the receiver's window is shut, so that no FIN is acknowledged. */
static size_t stuff(int fd)
{
	size_t n = 0;

	for (int k = 0; k < 20; k++) {
		n += tcp_put(fd, n, 8 << 20);
		victim_sleep_ms(2);
	}
	return n;
}

struct set {
	struct pair simple, full, both, last, over;
	size_t n, m, k;
};

static struct set make(int f)
{
	struct set s = { tcp_pair(f), tcp_pair(f), tcp_pair(f), tcp_pair(f), tcp_pair(f), 0, 0, 0 };

	/* FIN_WAIT_2 and CLOSE_WAIT, with bytes before the end */
	CHECK_EQ(tcp_put(s.simple.client, 0, 1000), 1000);
	CHECK_SYS(shutdown(s.simple.client, SHUT_WR));
	VICTIM_UNTIL(tcp_state_of(s.simple.client) == TCP_FIN_WAIT2);
	CHECK_EQ(tcp_state_of(s.simple.server), TCP_CLOSE_WAIT);
	/* FIN_WAIT_1 and ESTABLISHED */
	s.n = stuff(s.full.client);
	CHECK_SYS(shutdown(s.full.client, SHUT_WR));
	CHECK_EQ(tcp_state_of(s.full.client), TCP_FIN_WAIT1);
	/* FIN_WAIT_1 at both ends: none has received the other's */
	s.m = stuff(s.both.client);
	s.k = stuff(s.both.server);
	CHECK_SYS(shutdown(s.both.client, SHUT_WR));
	CHECK_SYS(shutdown(s.both.server, SHUT_WR));
	/* LAST_ACK, and FIN_WAIT_2 that has not received it */
	CHECK_SYS(shutdown(s.last.client, SHUT_WR));
	VICTIM_UNTIL(tcp_state_of(s.last.client) == TCP_FIN_WAIT2);
	CHECK(stuff(s.last.server) > 0);
	CHECK_SYS(shutdown(s.last.server, SHUT_WR));
	CHECK_EQ(tcp_state_of(s.last.server), TCP_LAST_ACK);
	/* CLOSED, with bytes before the end */
	CHECK_EQ(tcp_put(s.over.client, 0, 500), 500);
	CHECK_SYS(shutdown(s.over.client, SHUT_WR));
	VICTIM_UNTIL(tcp_state_of(s.over.client) == TCP_FIN_WAIT2);
	CHECK_SYS(shutdown(s.over.server, SHUT_WR));
	VICTIM_UNTIL(tcp_state_of(s.over.server) == TCP_CLOSE);
	return s;
}

static size_t rest(int fd)
{
	unsigned char byte[4096];
	size_t all = 0;
	ssize_t n;

	while ((n = CHECK_SYS(recv(fd, byte, sizeof(byte), 0))) > 0) {
		for (ssize_t i = 0; i < n; i++)
			CHECK_EQ(byte[i], tcp_byte(all + i));
		all += n;
	}
	return all;
}

static void check(const struct set *s)
{
	tcp_expect(s->simple.server, 0, 1000);
	tcp_expect_end(s->simple.server);
	CHECK_EQ(tcp_put(s->simple.server, 3, 2000), 2000);
	tcp_expect(s->simple.client, 3, 2000);
	CHECK_ERRNO(send(s->simple.client, "x", 1, MSG_NOSIGNAL), EPIPE);
	CHECK_SYS(shutdown(s->simple.server, SHUT_WR));
	tcp_expect_end(s->simple.client);
	CHECK_EQ(rest(s->full.server), s->n);
	CHECK_EQ(tcp_put(s->full.server, 3, 2000), 2000);
	tcp_expect(s->full.client, 3, 2000);
	CHECK_EQ(rest(s->both.server), s->m);
	CHECK_EQ(rest(s->both.client), s->k);
	CHECK(rest(s->last.client) > 0);
	VICTIM_UNTIL(tcp_state_of(s->last.server) == TCP_CLOSE);
	CHECK_EQ(rest(s->over.server), 500);
	tcp_expect_end(s->over.client);
	CHECK_ERRNO(send(s->over.server, "x", 1, MSG_NOSIGNAL), EPIPE);
}

int main(void)
{
	struct set four = make(AF_INET), six = make(AF_INET6);

	victim_ready();
	check(&four);
	check(&six);
	victim_pass();
}
