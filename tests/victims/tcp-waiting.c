/* SPDX-License-Identifier: Apache-2.0 */
/* Connections that nobody has accepted yet: their order, what they were sent, who has ended; IPv4, IPv6 and both at once. */
/* needs: uname -r | awk -F. '$1 > 6 || $1 == 6 && $2 >= 10 { ok = 1 } END { exit !ok }' */
#include "tcp.h"

#define N 4

static const size_t lengths[N] = { 0, 5, 30000, 1 };

struct place {
	int listener, clients[N];
	uint16_t ports[N];
};

static uint16_t port_of(const struct sockaddr_storage *a)
{
	return ntohs(((const struct sockaddr_in *)a)->sin_port);
}

/* The clients are of `family`, the listening socket of `own`. */
/* How many wait to be accepted. */
static int waiting(int listener)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	CHECK_SYS(getsockopt(listener, IPPROTO_TCP, TCP_INFO, &info, &len));
	return (int)info.tcpi_unacked;
}

static void fill(struct place *p, int own, int family)
{
	struct sockaddr_storage a;
	socklen_t len;

	p->listener = tcp_listen(own, &a, &len);
	if (own != family) {
		uint16_t port = port_of(&a);

		CHECK_SYS(close(p->listener));
		p->listener = CHECK_SYS(socket(own, SOCK_STREAM | SOCK_CLOEXEC, 0));
		a = (struct sockaddr_storage){ .ss_family = own };
		((struct sockaddr_in6 *)&a)->sin6_port = htons(port);
		CHECK_SYS(bind(p->listener, (struct sockaddr *)&a, sizeof(struct sockaddr_in6)));
		CHECK_SYS(listen(p->listener, N));
		len = tcp_loopback(&a, family, port);
	}
	for (int i = 0; i < N; i++) {
		struct sockaddr_storage mine;
		socklen_t mine_len = sizeof(mine);

		p->clients[i] = CHECK_SYS(socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
		CHECK_SYS(connect(p->clients[i], (struct sockaddr *)&a, len));
		/* The last packet of the handshake may be under way still, and the next client's overtake it. */
		VICTIM_UNTIL(waiting(p->listener) == i + 1);
		CHECK_EQ(tcp_put(p->clients[i], 0, lengths[i]), lengths[i]);
		CHECK_SYS(getsockname(p->clients[i], (struct sockaddr *)&mine, &mine_len));
		p->ports[i] = port_of(&mine);
	}
	CHECK_SYS(shutdown(p->clients[1], SHUT_WR));
}

static void serve(struct place *p)
{
	for (int i = 0; i < N; i++) {
		struct sockaddr_storage a;
		socklen_t len = sizeof(a);
		struct pair c = { .client = p->clients[i] };

		c.server = CHECK_SYS(accept(p->listener, (struct sockaddr *)&a, &len));
		CHECK_EQ(port_of(&a), p->ports[i]);
		tcp_expect(c.server, 0, lengths[i]);
		if (i == 1) {
			tcp_expect_end(c.server);
			CHECK_EQ(tcp_put(c.server, 1, 20000), 20000);
			tcp_expect(c.client, 1, 20000);
		} else {
			tcp_exchange(c);
		}
		tcp_close(c);
	}
	CHECK_SYS(fcntl(p->listener, F_SETFL, O_NONBLOCK));
	CHECK_ERRNO(accept(p->listener, NULL, NULL), EAGAIN);
}

int main(void)
{
	struct place places[3];
	struct pair after;

	fill(&places[0], AF_INET, AF_INET);
	fill(&places[1], AF_INET6, AF_INET6);
	fill(&places[2], AF_INET6, AF_INET);
	victim_ready();
	for (int i = 0; i < 3; i++)
		serve(&places[i]);
	after = tcp_pair(AF_INET);
	tcp_exchange(after);
	victim_pass();
}
