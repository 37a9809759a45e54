/* SPDX-License-Identifier: Apache-2.0 */
/* Connections that the peer has reset: the next call gets the error, once, after what was received before it. */
#include "tcp.h"

enum { BARE, RECEIVED, SHUT, ENDED, N };

static short polled(int fd)
{
	struct pollfd p = { fd, POLLIN | POLLOUT | POLLRDHUP, 0 };

	CHECK_SYS(poll(&p, 1, 0));
	return p.revents;
}

static int make(int family, int how)
{
	struct pair p = tcp_pair(family);

	if (how == RECEIVED || how == ENDED)
		CHECK_EQ(tcp_put(p.server, 0, 5000), 5000);
	if (how == SHUT)
		CHECK_SYS(shutdown(p.client, SHUT_WR));
	if (how == ENDED) {
		CHECK_SYS(shutdown(p.server, SHUT_WR));
		VICTIM_UNTIL(tcp_state_of(p.client) == TCP_CLOSE_WAIT);
	}
	/* With a reset. */
	CHECK_SYS(setsockopt(p.server, SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 0 }, sizeof(struct linger)));
	CHECK_SYS(close(p.server));
	/* One that has heard both ends' FINs would not hear a reset. */
	VICTIM_UNTIL(tcp_state_of(p.client) == TCP_CLOSE);
	return p.client;
}

static void check(int fd, int how, short events)
{
	char byte;

	CHECK_EQ(tcp_state_of(fd), TCP_CLOSE);
	CHECK_EQ(polled(fd), events);
	CHECK(events & POLLERR);
	if (how == RECEIVED || how == ENDED)
		tcp_expect(fd, 0, 5000);
	if (how == ENDED) {
		tcp_expect_end(fd);
		CHECK_ERRNO(send(fd, "x", 1, MSG_NOSIGNAL), EPIPE);
	} else {
		CHECK_ERRNO(read(fd, &byte, 1), ECONNRESET);
	}
	CHECK(!(polled(fd) & POLLERR));
	tcp_expect_end(fd);
	CHECK_ERRNO(send(fd, "x", 1, MSG_NOSIGNAL), EPIPE);
}

int main(void)
{
	int fd[2 * N];
	short events[2 * N];

	for (int i = 0; i < 2 * N; i++) {
		fd[i] = make(i < N ? AF_INET : AF_INET6, i % N);
		events[i] = polled(fd[i]);
	}
	victim_ready();
	for (int i = 0; i < 2 * N; i++)
		check(fd[i], i % N, events[i]);
	victim_pass();
}
