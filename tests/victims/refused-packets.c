/* SPDX-License-Identifier: Apache-2.0 */
/* Packets, and errors that came back, at sockets from which they cannot be taken and given again. */
/* run: --cap-add net_raw */
/* refused: pid 2 (refused-packets) fd 3: a datagram that is being put together or sent is not carried; try again */
/* refused: pid 2 (refused-packets) fd 4: packets that nobody has read yet are not carried; read them first */
/* refused: pid 2 (refused-packets) fd 5: an error that nobody has read yet is pending on it, which is not carried; read it first */
/* refused: pid 2 (refused-packets) fd 6: datagrams and an error that nobody has read yet are not carried together; read them first */
/* refused: pid 2 (refused-packets) fd 7: messages that nobody has read yet are in its error queue (MSG_ERRQUEUE), which are not carried; read them first */
#include "victim.h"

#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/socket.h>

static struct sockaddr_in at(uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return a;
}

static int connected(int type, int protocol, uint16_t port)
{
	int fd = CHECK_SYS(socket(AF_INET, type, protocol));
	struct sockaddr_in a = at(port);

	CHECK_SYS(connect(fd, (struct sockaddr *)&a, sizeof(a)));
	return fd;
}

static bool fails(int fd)
{
	struct pollfd p = { .fd = fd };

	return poll(&p, 1, 0) == 1 && p.revents & POLLERR;
}

static bool readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

static void answer(int to)
{
	struct sockaddr_in a = at(7411), b;
	socklen_t len = sizeof(b);
	int fd = CHECK_SYS(socket(AF_INET, SOCK_DGRAM, 0));

	CHECK_SYS(bind(fd, (struct sockaddr *)&a, sizeof(a)));
	CHECK_SYS(getsockname(to, (struct sockaddr *)&b, &len));
	CHECK_EQ(sendto(fd, "hi", 2, 0, (struct sockaddr *)&b, sizeof(b)), 2);
	VICTIM_UNTIL(readable(to));
	CHECK_SYS(close(fd));
}

int main(void)
{
	int corked = connected(SOCK_DGRAM, 0, 7410), unread = connected(SOCK_RAW, IPPROTO_ICMP, 0);
	int queued = CHECK_SYS(socket(AF_INET, SOCK_RAW, IPPROTO_EGP)), on = 1;
	int both = connected(SOCK_DGRAM, 0, 7411), explained = connected(SOCK_DGRAM, 0, 7412);
	struct icmphdr echo = { .type = ICMP_ECHO, .checksum = (uint16_t)~htons(ICMP_ECHO << 8) };
	static char large[65535];
	struct sockaddr_in a = at(0);
	char text[128];

	CHECK_SYS(setsockopt(corked, IPPROTO_UDP, UDP_CORK, &on, sizeof(on)));
	CHECK_EQ(send(corked, "half", 4, 0), 4);
	CHECK_EQ(send(unread, &echo, sizeof(echo), 0), (ssize_t)sizeof(echo));
	VICTIM_UNTIL(readable(unread));
	CHECK_SYS(setsockopt(queued, SOL_IP, IP_RECVERR, &on, sizeof(on)));
	CHECK_ERRNO(sendto(queued, large, sizeof(large), 0, (struct sockaddr *)&a, sizeof(a)), EMSGSIZE);
	VICTIM_UNTIL(fails(queued));
	answer(both);
	CHECK_EQ(send(both, "lost", 4, 0), 4);
	VICTIM_UNTIL(fails(both));
	CHECK_SYS(setsockopt(explained, SOL_IP, IP_RECVERR, &on, sizeof(on)));
	CHECK_ERRNO(send(explained, large, sizeof(large), 0), EMSGSIZE);
	VICTIM_UNTIL(fails(explained));
	victim_ready();
	CHECK_SYS(setsockopt(corked, IPPROTO_UDP, UDP_CORK, &(int){ 0 }, sizeof(int)));
	CHECK(recv(unread, text, sizeof(text), 0) > 0);
	CHECK(fails(queued));
	CHECK(recv(queued, text, sizeof(text), MSG_ERRQUEUE) >= 0);
	CHECK_ERRNO(recv(both, text, sizeof(text), 0), ECONNREFUSED);
	CHECK_EQ(recv(both, text, sizeof(text), 0), 2);
	CHECK(recv(explained, text, sizeof(text), MSG_ERRQUEUE) >= 0);
	victim_pass();
}
