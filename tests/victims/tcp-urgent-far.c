/* SPDX-License-Identifier: Apache-2.0 */
/* An urgent byte that is announced and cannot come, because the window is shut: refused. It comes afterwards. */
/* refused at the stop: pid 2 (tcp-urgent-far) fd 5: a TCP connection cannot be read: its peer has announced urgent data that has not arrived; try again */
#include "tcp.h"

#include <linux/sockios.h>

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

int main(void)
{
	struct pair p = tcp_pair(AF_INET);
	size_t n = 0;
	char byte;

	CHECK_EQ(p.server, 5);
	/* Little is left behind: only what is near is announced. */
	while (window(p.client) || !unsent(p.client)) {
		if (!unsent(p.client))
			n += tcp_put(p.client, n, 4096);
		victim_sleep_ms(5);
	}
	CHECK_EQ(send(p.client, "!", 1, MSG_OOB), 1);
	VICTIM_UNTIL(recv(p.server, &byte, 1, MSG_OOB) < 0 && errno == EAGAIN);
	victim_ready();
	CHECK_ERRNO(recv(p.server, &byte, 1, MSG_OOB), EAGAIN);
	tcp_expect(p.server, 0, n);
	VICTIM_UNTIL(recv(p.server, &byte, 1, MSG_OOB) == 1);
	CHECK_EQ(byte, '!');
	victim_pass();
}
