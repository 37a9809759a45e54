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

/* The clients are of `family`, the listening socket of `own`. */
static void fill(struct place *p, int own, int family)
{
	struct sockaddr_storage a;
	socklen_t len;

	p->listener = tcp_listen(own, &a, &len);
	if (own != family) {
		uint16_t port = tcp_port(&a);

		CHECK_SYS(close(p->listener));
		p->listener = CHECK_SYS(socket(own, SOCK_STREAM | SOCK_CLOEXEC, 0));
		a = (struct sockaddr_storage){ .ss_family = own };
		((struct sockaddr_in6 *)&a)->sin6_port = htons(port);
		CHECK_SYS(bind(p->listener, (struct sockaddr *)&a, sizeof(struct sockaddr_in6)));
		CHECK_SYS(listen(p->listener, N));
		len = tcp_loopback(&a, family, port);
	}
	for (int i = 0; i < N; i++) {
		p->clients[i] = tcp_come(p->listener, &a, len, i, &p->ports[i]);
		CHECK_EQ(tcp_put(p->clients[i], 0, lengths[i]), lengths[i]);
	}
	CHECK_SYS(shutdown(p->clients[1], SHUT_WR));
}

static void serve(struct place *p)
{
	for (int i = 0; i < N; i++) {
		struct pair c = { .client = p->clients[i], .server = tcp_accept(p->listener, p->ports[i]) };

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
	tcp_nobody_waits(p->listener);
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
