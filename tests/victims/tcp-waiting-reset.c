/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections that nobody has accepted before the peer has given them up: they keep their place among the others, and who
 * accepts them reads what was received, and then the error.
 */
/* needs: uname -r | awk -F. '$1 > 6 || $1 == 6 && $2 >= 10 { ok = 1 } END { exit !ok }' */
#include "tcp.h"

enum { BARE, RECEIVED, GOOD, ENDED, LAST, N };

#define LEN 5000

struct place {
	int listener, clients[N];
	uint16_t ports[N];
};

static void fill(struct place *p, int family)
{
	struct sockaddr_storage a;
	socklen_t len;

	p->listener = tcp_listen(family, &a, &len);
	for (int i = 0; i < N; i++) {
		int fd = p->clients[i] = tcp_come(p->listener, &a, len, i, &p->ports[i]);

		if (i != BARE)
			CHECK_EQ(tcp_put(fd, 0, LEN), LEN);
		if (i == ENDED)
			CHECK_SYS(shutdown(fd, SHUT_WR));
		/* What was shut down both ways is not reset by close(2): it is disconnected instead. */
		if (i == ENDED)
			CHECK_SYS(connect(fd, &(struct sockaddr){ .sa_family = AF_UNSPEC }, sizeof(struct sockaddr)));
		if (i != GOOD && i != LAST) {
			CHECK_SYS(setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 0 }, sizeof(struct linger)));
			CHECK_SYS(close(fd));
		}
	}
}

static void check_error(int fd, int how)
{
	struct pollfd p = { fd, POLLIN | POLLOUT | POLLRDHUP, 0 };
	char byte;

	CHECK_EQ(tcp_state_of(fd), TCP_CLOSE);
	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK(p.revents & POLLERR && p.revents & POLLHUP);
	if (how != BARE)
		tcp_expect(fd, 0, LEN);
	if (how == ENDED) {
		tcp_expect_end(fd);
		CHECK_ERRNO(send(fd, "x", 1, MSG_NOSIGNAL), EPIPE);
	} else {
		CHECK_ERRNO(read(fd, &byte, 1), ECONNRESET);
	}
	tcp_expect_end(fd);
}

static void serve(struct place *p)
{
	for (int i = 0; i < N; i++) {
		struct pair c = { .client = p->clients[i], .server = tcp_accept(p->listener, p->ports[i]) };

		if (i == GOOD || i == LAST) {
			tcp_expect(c.server, 0, LEN);
			tcp_exchange(c);
			CHECK_SYS(close(c.client));
		} else {
			check_error(c.server, i);
		}
		CHECK_SYS(close(c.server));
	}
	tcp_nobody_waits(p->listener);
}

int main(void)
{
	struct place four, six;

	fill(&four, AF_INET);
	fill(&six, AF_INET6);
	victim_ready();
	serve(&four);
	serve(&six);
	victim_pass();
}
