/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accepted connections have the port of the socket that listens, whether it allows that (SO_REUSEADDR) or not, and
 * whether it still listens or not. Several sockets that share a port (SO_REUSEPORT) take new connections afterwards.
 */
#include "tcp.h"

static struct pair join(int l)
{
	struct sockaddr_storage a;
	socklen_t len = sizeof(a);
	struct pair p = { .client = CHECK_SYS(socket(AF_INET, SOCK_STREAM, 0)) };

	CHECK_SYS(getsockname(l, (struct sockaddr *)&a, &len));
	CHECK_SYS(connect(p.client, (struct sockaddr *)&a, len));
	p.server = CHECK_SYS(accept(l, NULL, NULL));
	return p;
}

static int accept_all(int l)
{
	int n = 0;

	while (accept(l, NULL, NULL) >= 0)
		n++;
	return n;
}

int main(void)
{
	struct sockaddr_storage a;
	socklen_t len;
	int strict = tcp_listen(AF_INET, &a, &len), over = tcp_listen(AF_INET, &a, &len), one = 1;
	int group[2], accepted = 0;
	struct pair p[] = { join(strict), join(strict), join(over) }, more;

	CHECK_SYS(close(over));
	len = tcp_loopback(&a, AF_INET, 4000);
	for (int i = 0; i < 2; i++) {
		group[i] = CHECK_SYS(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
		CHECK_SYS(setsockopt(group[i], SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)));
		CHECK_SYS(bind(group[i], (struct sockaddr *)&a, len));
		CHECK_SYS(listen(group[i], 64));
	}
	victim_ready();
	for (int i = 0; i < 3; i++)
		tcp_exchange(p[i]);
	more = join(strict);
	tcp_exchange(more);
	for (int i = 0; i < 20; i++) {
		int c = CHECK_SYS(socket(AF_INET, SOCK_STREAM, 0));

		CHECK_SYS(connect(c, (struct sockaddr *)&a, len));
	}
	/* The last packet of a handshake may be under way still. */
	VICTIM_UNTIL((accepted += accept_all(group[0]) + accept_all(group[1])) >= 20);
	CHECK_EQ(accepted, 20);
	victim_pass();
}
