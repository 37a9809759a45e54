/* SPDX-License-Identifier: Apache-2.0 */
/* Listening TCP sockets of both families with the options that accepted ones get. */
#include "victim.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

static void set(int fd, int level, int option, int value)
{
	CHECK_SYS(setsockopt(fd, level, option, &value, sizeof(value)));
}

static int get(int fd, int level, int option)
{
	int value = 0;
	socklen_t len = sizeof(value);

	CHECK_SYS(getsockopt(fd, level, option, &value, &len));
	return value;
}

static void check_traffic(int l, const struct sockaddr *a, socklen_t len)
{
	int c = CHECK_SYS(socket(a->sa_family, SOCK_STREAM, 0)), s;
	char text[8];

	CHECK_SYS(connect(c, a, len));
	s = CHECK_SYS(accept(l, NULL, NULL));
	CHECK_EQ(get(s, IPPROTO_TCP, TCP_NODELAY), a->sa_family == AF_INET);
	CHECK_EQ(write(c, "hello", 5), 5);
	CHECK_EQ(read(s, text, sizeof(text)), 5);
	CHECK_SYS(close(s));
	CHECK_SYS(close(c));
}

int main(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(80) };
	struct sockaddr_in6 b = { .sin6_family = AF_INET6, .sin6_port = htons(8080) };
	int four = CHECK_SYS(socket(AF_INET, SOCK_STREAM, 0));
	int six = CHECK_SYS(socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0));
	char name[16] = "";
	socklen_t len = sizeof(name);
	struct tcp_info info;

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	b.sin6_addr = in6addr_loopback;
	set(four, SOL_SOCKET, SO_REUSEADDR, 1);
	set(four, SOL_SOCKET, SO_RCVBUF, 50000);
	set(four, SOL_SOCKET, SO_KEEPALIVE, 1);
	set(four, IPPROTO_TCP, TCP_NODELAY, 1);
	set(four, IPPROTO_TCP, TCP_KEEPIDLE, 77);
	set(four, IPPROTO_TCP, TCP_DEFER_ACCEPT, 5);
	set(four, IPPROTO_TCP, TCP_USER_TIMEOUT, 12345);
	set(four, IPPROTO_IP, IP_TOS, 0x10);
	CHECK_SYS(bind(four, (struct sockaddr *)&a, sizeof(a)));
	CHECK_SYS(listen(four, 37));
	set(four, IPPROTO_TCP, TCP_DEFER_ACCEPT, 0);
	set(four, IPPROTO_TCP, TCP_QUICKACK, 0);
	set(four, IPPROTO_TCP, TCP_FASTOPEN, 9);
	set(six, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	CHECK_SYS(bind(six, (struct sockaddr *)&b, sizeof(b)));
	CHECK_SYS(listen(six, 5));
	victim_ready();
	CHECK_EQ(get(four, IPPROTO_TCP, TCP_QUICKACK), 0);
	CHECK_EQ(get(four, SOL_SOCKET, SO_ACCEPTCONN), 1);
	CHECK_EQ(get(four, SOL_SOCKET, SO_RCVBUF), 100000);
	CHECK_EQ(get(four, SOL_SOCKET, SO_KEEPALIVE), 1);
	CHECK_EQ(get(four, IPPROTO_TCP, TCP_KEEPIDLE), 77);
	CHECK_EQ(get(four, IPPROTO_TCP, TCP_USER_TIMEOUT), 12345);
	CHECK_EQ(get(four, IPPROTO_TCP, TCP_FASTOPEN), 9);
	CHECK_EQ(get(four, IPPROTO_IP, IP_TOS), 0x10);
	CHECK_EQ(get(six, IPPROTO_IPV6, IPV6_V6ONLY), 1);
	CHECK_SYS(getsockopt(four, IPPROTO_TCP, TCP_CONGESTION, name, &len));
	CHECK(name[0]);
	len = sizeof(info);
	CHECK_SYS(getsockopt(four, IPPROTO_TCP, TCP_INFO, &info, &len));
	CHECK_EQ(info.tcpi_sacked, 37); /* the backlog */
	CHECK_ERRNO(accept(six, NULL, NULL), EAGAIN);
	check_traffic(four, (struct sockaddr *)&a, sizeof(a));
	victim_pass();
}
