/* SPDX-License-Identifier: Apache-2.0 */
/* Messages about datagrams that did not arrive (IP_RECVERR): in order, each with the datagram it is about and its address. */
#include "victim.h"

#include <linux/errqueue.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <sys/socket.h>

#define N 3

static socklen_t nobody(struct sockaddr_storage *a, int family, bool mapped, uint16_t port)
{
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)a;
	struct sockaddr_in *four = (struct sockaddr_in *)a;

	*a = (struct sockaddr_storage){ .ss_family = family };
	four->sin_port = htons(port);
	if (family == AF_INET) {
		four->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		return sizeof(*four);
	}
	six->sin6_addr = in6addr_loopback;
	if (mapped)
		memcpy(&six->sin6_addr, (uint8_t[16]){ [10] = 0xff, 0xff, 127, 0, 0, 1 }, 16);
	return sizeof(*six);
}

static int make(int family, bool mapped, bool connected, uint16_t port)
{
	int fd = CHECK_SYS(socket(family, SOCK_DGRAM, 0));
	struct sockaddr_storage a;
	struct pollfd p = { .fd = fd };
	socklen_t len;

	CHECK_SYS(setsockopt(fd, SOL_IP, IP_RECVERR, &(int){ 1 }, sizeof(int)));
	if (family == AF_INET6)
		CHECK_SYS(setsockopt(fd, SOL_IPV6, IPV6_RECVERR, &(int){ 1 }, sizeof(int)));
	len = nobody(&a, family, mapped, port);
	if (connected)
		CHECK_SYS(connect(fd, (struct sockaddr *)&a, len));
	for (int i = 0; i < N; i++) {
		char text[] = "datagram 0";
		int error;
		socklen_t size = sizeof(error);

		text[9] += i;
		len = nobody(&a, family, mapped, port + (connected ? 0 : i));
		/* The error of the one before would come instead. */
		CHECK_SYS(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size));
		CHECK_EQ(sendto(fd, text, 10 - i, 0, connected ? NULL : (struct sockaddr *)&a, connected ? 0 : len), 10 - i);
		do {
			/* One after the other. */
			p.revents = 0;
			CHECK_SYS(poll(&p, 1, 0));
			CHECK_SYS(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size));
		} while (error != ECONNREFUSED);
	}
	/* The last is not told yet, of those that are connected. */
	if (connected) {
		CHECK_EQ(send(fd, "more", 4, 0), 4);
		VICTIM_UNTIL(poll(&p, 1, 0) == 1 && recv(fd, &a, 1, MSG_DONTWAIT | MSG_PEEK) < 0 && errno == ECONNREFUSED);
		CHECK_EQ(send(fd, "last", 4, 0), 4);
	}
	return fd;
}

static void expect(int fd, int family, bool mapped, uint16_t port, const char *text, size_t len)
{
	char data[100], control[512];
	struct sockaddr_storage from, want;
	struct iovec iov = { data, sizeof(data) };
	struct msghdr m = { .msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &iov, .msg_iovlen = 1,
			    .msg_control = control, .msg_controllen = sizeof(control) };
	struct sock_extended_err *e;
	ssize_t n = CHECK_SYS(recvmsg(fd, &m, MSG_ERRQUEUE | MSG_DONTWAIT));
	bool six = family == AF_INET6 && !mapped;

	CHECK_EQ(n, (ssize_t)len);
	CHECK_MEM(data, text, len);
	nobody(&want, family, mapped, port);
	CHECK_EQ(from.ss_family, family);
	CHECK_EQ(((struct sockaddr_in *)&from)->sin_port, htons(port));
	if (family == AF_INET6)
		CHECK_MEM(&((struct sockaddr_in6 *)&from)->sin6_addr, &((struct sockaddr_in6 *)&want)->sin6_addr, 16);
	CHECK(CMSG_FIRSTHDR(&m));
	e = (void *)CMSG_DATA(CMSG_FIRSTHDR(&m));
	CHECK_EQ(e->ee_errno, ECONNREFUSED);
	CHECK_EQ(e->ee_origin, six ? SO_EE_ORIGIN_ICMP6 : SO_EE_ORIGIN_ICMP);
	CHECK_EQ(e->ee_type, six ? ICMP6_DST_UNREACH : ICMP_DEST_UNREACH);
	CHECK_EQ(e->ee_code, six ? ICMP6_DST_UNREACH_NOPORT : ICMP_PORT_UNREACH);
	if (family == AF_INET6)
		CHECK_MEM(&((struct sockaddr_in6 *)SO_EE_OFFENDER(e))->sin6_addr, &((struct sockaddr_in6 *)&want)->sin6_addr, 16);
	else
		CHECK_EQ(((struct sockaddr_in *)SO_EE_OFFENDER(e))->sin_addr.s_addr, htonl(INADDR_LOOPBACK));
}

static void check(int fd, int family, bool mapped, bool connected, uint16_t port)
{
	struct pollfd p = { .fd = fd };
	char byte;

	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK(p.revents & POLLERR);
	if (connected)
		CHECK_ERRNO(recv(fd, &byte, 1, MSG_DONTWAIT), ECONNREFUSED);
	CHECK_ERRNO(recv(fd, &byte, 1, MSG_DONTWAIT), EAGAIN);
	for (int i = 0; i < N; i++) {
		char text[] = "datagram 0";

		text[9] += i;
		expect(fd, family, mapped, port + (connected ? 0 : i), text, 10 - i);
	}
	if (connected) {
		expect(fd, family, mapped, port, "more", 4);
		expect(fd, family, mapped, port, "last", 4);
	}
	CHECK_ERRNO(recv(fd, &byte, 1, MSG_DONTWAIT), EAGAIN);
	CHECK_EQ(poll(&p, 1, 0), 0);
}

int main(void)
{
	int fd[6];

	for (int i = 0; i < 6; i++)
		fd[i] = make(i / 2 ? AF_INET6 : AF_INET, i / 2 == 2, i % 2, 7210);
	victim_ready();
	for (int i = 0; i < 6; i++)
		check(fd[i], i / 2 ? AF_INET6 : AF_INET, i / 2 == 2, i % 2, 7210);
	victim_pass();
}
