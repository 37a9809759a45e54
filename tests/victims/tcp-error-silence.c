/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections whose peer did not answer any more: the next call tells that, or what was reported meanwhile, once,
 * after what was received before it.
 */
/* run: --cap-add net_raw --cap-add net_admin */
#include "icmp.h"

enum { BARE, RECEIVED, ENDED, REPORTED, TOLD, N };

static int make(int family, int how)
{
	int raw = icmp_listen(family);
	struct pair p = tcp_pair(family);
	uint8_t head[8];

	if (how == RECEIVED || how == ENDED)
		CHECK_EQ(tcp_put(p.server, 0, 5000), 5000);
	if (how == ENDED) {
		CHECK_SYS(shutdown(p.server, SHUT_WR));
		VICTIM_UNTIL(tcp_state_of(p.client) == TCP_CLOSE_WAIT);
	}
	tcp_deafen(p.server);
	CHECK_EQ(send(p.client, "lost", 4, 0), 4);
	if (how == REPORTED || how == TOLD) {
		icmp_next(raw, p.client, true, head);
		icmp_report(family, head, family == AF_INET ? ICMP_HOST_UNREACH : ICMP6_DST_UNREACH_ADDR);
	}
	/* Not before it has heard of that, whatever keeps us. */
	CHECK_SYS(setsockopt(p.client, IPPROTO_TCP, TCP_USER_TIMEOUT, &(int){ 1000 }, sizeof(int)));
	CHECK_SYS(close(raw));
	return p.client;
}

static void check(int fd, int how, short events)
{
	int timeout = 0;
	socklen_t len = sizeof(timeout);
	char byte;

	CHECK_EQ(tcp_state_of(fd), TCP_CLOSE);
	CHECK_EQ(icmp_polled(fd), events);
	if (how == RECEIVED || how == ENDED)
		tcp_expect(fd, 0, 5000);
	switch (how) {
	case ENDED:
		tcp_expect_end(fd);
		CHECK_EQ(icmp_error_of(fd), ETIMEDOUT);
		break;
	case REPORTED:
		CHECK_ERRNO(read(fd, &byte, 1), EHOSTUNREACH);
		CHECK_EQ(icmp_error_of(fd), EHOSTUNREACH); /* the reason is kept for itself */
		break;
	case TOLD:
		tcp_expect_end(fd);
		CHECK_EQ(icmp_error_of(fd), EHOSTUNREACH);
		break;
	default:
		CHECK_ERRNO(read(fd, &byte, 1), ETIMEDOUT);
	}
	CHECK_EQ(icmp_error_of(fd), 0);
	CHECK(!(icmp_polled(fd) & POLLERR));
	tcp_expect_end(fd);
	CHECK_ERRNO(send(fd, "x", 1, MSG_NOSIGNAL), EPIPE);
	CHECK_SYS(getsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, &len));
	CHECK_EQ(timeout, 1000);
}

int main(void)
{
	int fd[2 * N];
	short events[2 * N];

	for (int i = 0; i < 2 * N; i++)
		fd[i] = make(i < N ? AF_INET : AF_INET6, i % N);
	for (int i = 0; i < 2 * N; i++) {
		VICTIM_UNTIL(tcp_state_of(fd[i]) == TCP_CLOSE);
		CHECK(icmp_polled(fd[i]) & POLLERR);
		if (i % N == TOLD)
			CHECK_EQ(icmp_error_of(fd[i]), EHOSTUNREACH);
		events[i] = icmp_polled(fd[i]);
	}
	victim_ready();
	for (int i = 0; i < 2 * N; i++)
		check(fd[i], i % N, events[i]);
	victim_pass();
}
