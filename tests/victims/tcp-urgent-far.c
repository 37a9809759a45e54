/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Urgent bytes that cannot be sent, because the window is shut: announced already or not, last or not, before the end or not.
 * They arrive as urgent ones, each in its place.
 */
#include "tcp.h"

#include <linux/sockios.h>

#define N 8

struct item {
	struct pair p;
	size_t before, behind;
	bool in_line, ended;
};

/* tcpi_snd_wnd, which <netinet/tcp.h> does not have. */
static uint32_t window(int fd)
{
	uint32_t info[60] = { 0 };
	socklen_t len = sizeof(info);

	CHECK_SYS(getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, &len));
	return info[228 / 4];
}

static int unsent(int fd)
{
	int n = 0;

	CHECK_SYS(ioctl(fd, SIOCOUTQNSD, &n));
	return n;
}

static bool at_mark(int fd)
{
	int is = 0;

	CHECK_SYS(ioctl(fd, SIOCATMARK, &is));
	return is;
}

static struct item make(int i)
{
	struct item it = { .p = tcp_pair(i & 1 ? AF_INET6 : AF_INET), .in_line = i & 2, .ended = i & 4 };
	char byte;

	if (it.in_line)
		CHECK_SYS(setsockopt(it.p.server, SOL_SOCKET, SO_OOBINLINE, &(int){ 1 }, sizeof(int)));
	/* Little is left behind: only what is near is announced. */
	while (window(it.p.client) || !unsent(it.p.client)) {
		if (!unsent(it.p.client))
			it.before += tcp_put(it.p.client, it.before, 4096);
		victim_sleep_ms(5);
	}
	/* Only the last of several has the mark. */
	if (i & 1) {
		CHECK_EQ(send(it.p.client, (char[]){ (char)tcp_byte(it.before) }, 1, MSG_OOB), 1);
		it.before++;
	}
	CHECK_EQ(send(it.p.client, "!", 1, MSG_OOB), 1);
	if (i < N / 2 && !it.in_line)
		VICTIM_UNTIL(recv(it.p.server, &byte, 1, MSG_OOB) < 0 && errno == EAGAIN);
	it.behind = tcp_put(it.p.client, it.before, i & 1 ? 3000 : 0);
	if (it.ended)
		CHECK_SYS(shutdown(it.p.client, SHUT_WR));
	return it;
}

static void check(const struct item *i)
{
	int fd = i->p.server;
	char byte;

	if (!i->in_line)
		CHECK(recv(fd, &byte, 1, MSG_OOB) < 0);
	CHECK(!at_mark(fd));
	tcp_expect(fd, 0, i->before);
	VICTIM_UNTIL(at_mark(fd));
	if (i->in_line)
		CHECK_EQ(recv(fd, &byte, 1, 0), 1);
	else
		VICTIM_UNTIL(recv(fd, &byte, 1, MSG_OOB) == 1);
	CHECK_EQ(byte, '!');
	tcp_expect(fd, i->before, i->behind);
	/* A byte out of line is left behind by the next read. */
	CHECK_EQ(at_mark(fd), !i->in_line && !i->behind);
	if (i->ended)
		tcp_expect_end(fd);
	CHECK_EQ(tcp_put(fd, 3, 100), 100);
	tcp_expect(i->p.client, 3, 100);
}

int main(void)
{
	struct item list[N];

	for (int i = 0; i < N; i++)
		list[i] = make(i);
	victim_ready();
	for (int i = 0; i < N; i++)
		check(&list[i]);
	victim_pass();
}
