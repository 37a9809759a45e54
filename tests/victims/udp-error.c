/* SPDX-License-Identifier: Apache-2.0 */
/* An error that came back for a datagram is still there to be read, once. */
/* verified: from the first */
#include "victim.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

static void check(int fd)
{
	char c;

	CHECK_ERRNO(recv(fd, &c, 1, MSG_DONTWAIT), ECONNREFUSED);
	CHECK_ERRNO(recv(fd, &c, 1, MSG_DONTWAIT), EAGAIN);
}

static int refused(const void *a, socklen_t len)
{
	int fd = CHECK_SYS(socket(((const struct sockaddr *)a)->sa_family, SOCK_DGRAM, 0));
	struct pollfd p = { .fd = fd };

	CHECK_SYS(connect(fd, a, len));
	CHECK_EQ(send(fd, "lost", 4, 0), 4);
	VICTIM_UNTIL(poll(&p, 1, 0) == 1 && p.revents & POLLERR);
	return fd;
}

int main(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(7201) };
	struct sockaddr_in6 b = { .sin6_family = AF_INET6, .sin6_port = htons(7202) };
	int four, six;

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	b.sin6_addr = in6addr_loopback;
	four = refused(&a, sizeof(a));
	six = refused(&b, sizeof(b));
	victim_ready();
	check(four);
	check(six);
	victim_pass();
}
