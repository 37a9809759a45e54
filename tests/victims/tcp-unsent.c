/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was written and has not been sent is as unsent as it was: bytes behind a shut window, with a FIN behind them,
 * and more than TCP_NOTSENT_LOWAT allows. All of it goes out when there is room.
 */
#include "tcp.h"

#include <linux/sockios.h>

#define N 4

struct count {
	int queued, unsent;
};

static struct count count(int fd)
{
	struct count c;

	CHECK_SYS(ioctl(fd, SIOCOUTQ, &c.queued));
	CHECK_SYS(ioctl(fd, SIOCOUTQNSD, &c.unsent));
	return c;
}

/* Until the receiver's window is shut, and a little more that cannot leave. */
static size_t stuff(int fd, size_t more)
{
	size_t n = 0;

	while (!count(fd).unsent) {
		n += tcp_put(fd, n, 4096);
		victim_sleep_ms(1);
	}
	return n + tcp_put(fd, n, more);
}

static size_t rest(int fd, size_t at)
{
	unsigned char byte[4096];
	ssize_t n;

	while ((n = CHECK_SYS(recv(fd, byte, sizeof(byte), 0))) > 0)
		for (ssize_t i = 0; i < n; i++, at++)
			CHECK_EQ(byte[i], tcp_byte(at));
	return at;
}

int main(void)
{
	struct pair p[N] = { tcp_pair(AF_INET), tcp_pair(AF_INET6), tcp_pair(AF_INET), tcp_pair(AF_INET) };
	struct pollfd writable = { p[1].client, POLLOUT, 0 };
	int low = 1000, got = 0;
	struct count before[N], after;
	socklen_t len = sizeof(got);
	size_t n[N];

	for (int i = 0; i < N; i++)
		n[i] = stuff(p[i].client, 500000);
	CHECK_SYS(setsockopt(p[1].client, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &low, sizeof(low)));
	CHECK_SYS(shutdown(p[2].client, SHUT_WR));
	/* CLOSE_WAIT, and LAST_ACK */
	CHECK_SYS(shutdown(p[3].server, SHUT_WR));
	VICTIM_UNTIL(tcp_state_of(p[3].client) == TCP_CLOSE_WAIT);
	CHECK_SYS(shutdown(p[3].client, SHUT_WR));
	for (int i = 0; i < N; i++)
		before[i] = count(p[i].client);
	victim_ready();
	for (int i = 0; i < N; i++) {
		after = count(p[i].client);
		/* The kernel tries from time to time how much of it goes. */
		CHECK(after.queued <= before[i].queued);
		CHECK(after.unsent <= before[i].unsent && after.unsent > low);
	}
	CHECK_SYS(getsockopt(p[1].client, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &got, &len));
	CHECK_EQ(got, low);
	CHECK_EQ(poll(&writable, 1, 0), 0);
	for (int i = 0; i < 2; i++)
		CHECK_SYS(shutdown(p[i].client, SHUT_WR));
	for (int i = 0; i < N; i++)
		CHECK_EQ(rest(p[i].server, 0), n[i]);
	victim_pass();
}
