/* SPDX-License-Identifier: Apache-2.0 */
/* Datagrams that nobody has read: in order, with their senders and headers, also an empty one; of both families. */
#include "victim.h"

#include <netinet/in.h>
#include <sys/socket.h>

static socklen_t loopback(struct sockaddr_storage *a, int family, uint16_t port)
{
	*a = (struct sockaddr_storage){ .ss_family = (sa_family_t)family };
	if (family == AF_INET) {
		((struct sockaddr_in *)a)->sin_port = htons(port);
		((struct sockaddr_in *)a)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		return sizeof(struct sockaddr_in);
	}
	((struct sockaddr_in6 *)a)->sin6_port = htons(port);
	((struct sockaddr_in6 *)a)->sin6_addr = in6addr_loopback;
	return sizeof(struct sockaddr_in6);
}

static int bound(int family, uint16_t port)
{
	struct sockaddr_storage a;
	int fd = CHECK_SYS(socket(family, SOCK_DGRAM, 0));
	socklen_t len = loopback(&a, family, port);

	CHECK_SYS(bind(fd, (struct sockaddr *)&a, len));
	return fd;
}

static void to(int fd, int family, uint16_t port, const char *text, size_t n)
{
	struct sockaddr_storage a;
	socklen_t len = loopback(&a, family, port);

	CHECK_EQ(sendto(fd, text, n, 0, (struct sockaddr *)&a, len), (ssize_t)n);
}

static void expect(int fd, int family, uint16_t port, size_t n, char first)
{
	static char text[65536];
	struct sockaddr_storage a = { 0 }, want;
	socklen_t len = sizeof(a), want_len = loopback(&want, family, port);

	CHECK_EQ(recvfrom(fd, text, sizeof(text), MSG_DONTWAIT, (struct sockaddr *)&a, &len), (ssize_t)n);
	if (n) {
		CHECK_EQ(text[0], first);
		CHECK_EQ(text[n - 1], first);
	}
	CHECK_EQ(len, want_len);
	CHECK_MEM(&a, &want, want_len);
}

int main(void)
{
	static char big[60000];
	int four = bound(AF_INET, 7200), six = bound(AF_INET6, 7200), a = bound(AF_INET, 7201);
	int b = bound(AF_INET6, 7202), any = CHECK_SYS(socket(AF_INET6, SOCK_DGRAM, 0));
	struct sockaddr_in6 all = { .sin6_family = AF_INET6, .sin6_port = htons(7203) }, from;
	struct sockaddr_storage peer;
	int ttl = 9, one = 1, connected = bound(AF_INET, 7204);
	char control[64], text[8];
	struct iovec iov = { text, sizeof(text) };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
			    .msg_controllen = sizeof(control) };
	socklen_t len = sizeof(from);

	memset(big, 'b', sizeof(big));
	CHECK_SYS(bind(any, (struct sockaddr *)&all, sizeof(all)));
	CHECK_SYS(setsockopt(four, IPPROTO_IP, IP_RECVTTL, &one, sizeof(one)));
	to(a, AF_INET, 7200, "1", 1);
	to(a, AF_INET, 7200, big, sizeof(big));
	to(a, AF_INET, 7200, "", 0);
	CHECK_SYS(setsockopt(a, IPPROTO_IP, IP_TTL, &ttl, sizeof(ttl)));
	to(a, AF_INET, 7200, "9", 1);
	to(b, AF_INET6, 7200, "6", 1);
	to(b, AF_INET6, 7200, big, 3000);
	to(a, AF_INET, 7203, "m", 1); /* IPv4 at an IPv6 socket */
	to(a, AF_INET, 7204, "before", 6);
	CHECK_SYS(connect(connected, (struct sockaddr *)&peer, loopback(&peer, AF_INET, 7299)));
	victim_ready();
	expect(four, AF_INET, 7201, 1, '1');
	expect(four, AF_INET, 7201, sizeof(big), 'b');
	expect(four, AF_INET, 7201, 0, 0);
	CHECK_EQ(recvmsg(four, &h, MSG_DONTWAIT), 1);
	CHECK_EQ(*(int *)CMSG_DATA(CMSG_FIRSTHDR(&h)), 9);
	CHECK_ERRNO(recv(four, text, 1, MSG_DONTWAIT), EAGAIN);
	expect(six, AF_INET6, 7202, 1, '6');
	expect(six, AF_INET6, 7202, 3000, 'b');
	CHECK_EQ(recvfrom(any, text, sizeof(text), 0, (struct sockaddr *)&from, &len), 1);
	CHECK(IN6_IS_ADDR_V4MAPPED(&from.sin6_addr));
	CHECK_EQ(ntohs(from.sin6_port), 7201);
	CHECK_EQ(recv(connected, text, sizeof(text), MSG_DONTWAIT), 6);
	CHECK_MEM(text, "before", 6);
	victim_pass();
}
