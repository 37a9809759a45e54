/* SPDX-License-Identifier: Apache-2.0 */
/* Connections that nobody has accepted yet, with an urgent byte among what they were sent: it is there, at its place. */
/* needs: uname -r | awk -F. '$1 > 6 || $1 == 6 && $2 >= 10 { ok = 1 } END { exit !ok }' */
#include "tcp.h"

#define N 4

/* Bytes before the urgent one, and behind it. */
static const size_t before[N] = { 0, 3000, 0, 20000 }, behind[N] = { 0, 0, 2000, 10000 };

static int fill(int family, int clients[N])
{
	struct sockaddr_storage a;
	socklen_t len;
	int l = tcp_listen(family, &a, &len);

	for (int i = 0; i < N; i++) {
		clients[i] = CHECK_SYS(socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
		CHECK_SYS(connect(clients[i], (struct sockaddr *)&a, len));
		CHECK_EQ(tcp_put(clients[i], 0, before[i]), before[i]);
		CHECK_EQ(send(clients[i], "!", 1, MSG_OOB), 1);
		CHECK_EQ(tcp_put(clients[i], before[i], behind[i]), behind[i]);
	}
	CHECK_SYS(shutdown(clients[1], SHUT_WR));
	return l;
}

static bool at_mark(int fd)
{
	int at = -1;

	CHECK_SYS(ioctl(fd, SIOCATMARK, &at));
	return at;
}

static void serve(int l, const int clients[N])
{
	for (int i = 0; i < N; i++) {
		struct pair c = { clients[i], CHECK_SYS(accept(l, NULL, NULL)) };
		struct pollfd p = { c.server, POLLPRI, 0 };
		char byte = 0;

		CHECK_EQ(poll(&p, 1, -1), 1);
		CHECK_EQ(at_mark(c.server), !before[i]);
		CHECK_EQ(recv(c.server, &byte, 1, MSG_OOB | MSG_PEEK), 1);
		CHECK_EQ(byte, '!');
		tcp_expect(c.server, 0, before[i]);
		CHECK(at_mark(c.server));
		CHECK_EQ(recv(c.server, &byte, 1, MSG_OOB), 1);
		tcp_expect(c.server, before[i], behind[i]);
		if (i == 1)
			tcp_expect_end(c.server);
		else
			tcp_exchange(c);
		tcp_close(c);
	}
	CHECK_SYS(close(l));
}

int main(void)
{
	int clients[2][N], four = fill(AF_INET, clients[0]), six = fill(AF_INET6, clients[1]);

	victim_ready();
	serve(four, clients[0]);
	serve(six, clients[1]);
	victim_pass();
}
