/* SPDX-License-Identifier: Apache-2.0 */
/* Options of connections, at both ends: those that a program sets and those that both ends have agreed on. */
#include "tcp.h"

static const struct {
	int level, number, value;
} options[] = {
	{ IPPROTO_TCP, TCP_NODELAY, 1 },      { IPPROTO_TCP, TCP_KEEPIDLE, 77 },
	{ IPPROTO_TCP, TCP_KEEPINTVL, 7 },    { IPPROTO_TCP, TCP_KEEPCNT, 3 },
	{ IPPROTO_TCP, TCP_USER_TIMEOUT, 90000 }, { IPPROTO_TCP, TCP_LINGER2, 9 },
	{ IPPROTO_TCP, TCP_NOTSENT_LOWAT, 30000 }, { IPPROTO_TCP, TCP_SYNCNT, 3 },
	{ SOL_SOCKET, SO_KEEPALIVE, 1 },      { SOL_SOCKET, SO_OOBINLINE, 1 },
	{ SOL_IP, IP_TOS, 0x10 },	      { SOL_SOCKET, SO_PRIORITY, 3 },	      { SOL_SOCKET, SO_REUSEADDR, 1 },
	{ SOL_SOCKET, SO_RCVLOWAT, 5 },	      { SOL_IP, IP_TTL, 33 },
};

#define N (sizeof(options) / sizeof(options[0]))

static int get(int fd, int level, int number)
{
	int value = -1;
	socklen_t len = sizeof(value);

	CHECK_SYS(getsockopt(fd, level, number, &value, &len));
	return value;
}

static struct tcp_info info_of(int fd)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	CHECK_SYS(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len));
	return info;
}

static void set_all(int fd)
{
	int size = 40000;

	for (size_t i = 0; i < N; i++)
		CHECK_SYS(setsockopt(fd, options[i].level, options[i].number, &options[i].value, sizeof(int)));
	CHECK_SYS(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)));
	CHECK_SYS(setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 5 }, sizeof(struct linger)));
	CHECK_SYS(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4));
}

static void check_all(int fd, const struct tcp_info *before)
{
	struct tcp_info after = info_of(fd);
	struct linger linger = { 0 };
	socklen_t len = sizeof(linger);
	char text[16] = "";

	for (size_t i = 0; i < N; i++)
		CHECK_EQ(get(fd, options[i].level, options[i].number), options[i].value);
	CHECK_EQ(get(fd, SOL_SOCKET, SO_RCVBUF), 80000);
	CHECK_SYS(getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &len));
	CHECK_EQ(linger.l_linger, 5);
	len = sizeof(text) - 1;
	CHECK_SYS(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, text, &len));
	CHECK_STR(text, "reno");
	CHECK_EQ(after.tcpi_options & (TCPI_OPT_TIMESTAMPS | TCPI_OPT_SACK | TCPI_OPT_WSCALE),
		 before->tcpi_options & (TCPI_OPT_TIMESTAMPS | TCPI_OPT_SACK | TCPI_OPT_WSCALE));
	CHECK_EQ(after.tcpi_snd_wscale, before->tcpi_snd_wscale);
	CHECK_EQ(after.tcpi_rcv_wscale, before->tcpi_rcv_wscale);
	/* On loopback up to what a window can be halved into. */
	CHECK(after.tcpi_snd_mss > before->tcpi_snd_mss / 10 * 9 || after.tcpi_snd_mss > 32000);
}

int main(void)
{
	struct pair p = tcp_pair(AF_INET), plain = tcp_pair(AF_INET);
	struct tcp_info before[2];
	int same = 9, child;

	set_all(p.client);
	set_all(p.server);
	tcp_exchange(p);
	before[0] = info_of(p.client);
	before[1] = info_of(p.server);
	/* The same description by another number and in another process. */
	CHECK_SYS(dup2(plain.client, same));
	child = victim_fork((void (*)(void *))victim_wait, NULL);
	victim_ready();
	check_all(p.client, &before[0]);
	check_all(p.server, &before[1]);
	tcp_exchange(p);
	CHECK_EQ(get(plain.client, SOL_SOCKET, SO_REUSEADDR), 0);
	CHECK_EQ(tcp_put(same, 0, 100), 100);
	tcp_expect(plain.server, 0, 100);
	tcp_exchange(plain);
	victim_join(child);
	victim_pass();
}
