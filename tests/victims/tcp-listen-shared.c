/* SPDX-License-Identifier: Apache-2.0 */
/* Several sockets on one port: listening ones by SO_REUSEPORT in two processes, bound ones by SO_REUSEADDR. */
#include "victim.h"

#include <netinet/in.h>
#include <sys/socket.h>

static struct sockaddr_in a = { .sin_family = AF_INET };

static int made(int option, uint16_t port)
{
	int fd = CHECK_SYS(socket(AF_INET, SOCK_STREAM, 0)), one = 1;

	CHECK_SYS(setsockopt(fd, SOL_SOCKET, option, &one, sizeof(one)));
	a.sin_port = htons(port);
	CHECK_SYS(bind(fd, (struct sockaddr *)&a, sizeof(a)));
	return fd;
}

static void other(void *arg)
{
	int l = made(SO_REUSEPORT, 4000);

	CHECK_SYS(listen(l, 5));
	CHECK_EQ(write(*(int *)arg, "x", 1), 1);
	victim_wait();
	CHECK_SYS(close(l));
}

int main(void)
{
	int l, p[2], bound, listening, c, outsider, one = 1;
	pid_t child;
	char byte;

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	CHECK_SYS(pipe(p));
	l = made(SO_REUSEPORT, 4000);
	CHECK_SYS(listen(l, 5));
	child = victim_fork(other, &p[1]);
	CHECK_EQ(read(p[0], &byte, 1), 1);
	bound = made(SO_REUSEADDR, 4001);
	listening = made(SO_REUSEADDR, 4001);
	CHECK_SYS(listen(listening, 5));
	victim_ready();
	victim_join(child);
	/* All connections come here now. */
	for (int i = 0; i < 8; i++) {
		c = CHECK_SYS(socket(AF_INET, SOCK_STREAM, 0));
		a.sin_port = htons(4000);
		CHECK_SYS(connect(c, (struct sockaddr *)&a, sizeof(a)));
		CHECK_SYS(close(CHECK_SYS(accept(l, NULL, NULL))));
		CHECK_SYS(close(c));
	}
	/* Another user may not join. */
	CHECK_SYS(seteuid(1));
	outsider = CHECK_SYS(socket(AF_INET, SOCK_STREAM, 0));
	CHECK_SYS(setsockopt(outsider, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)));
	CHECK_ERRNO(bind(outsider, (struct sockaddr *)&a, sizeof(a)), EADDRINUSE);
	CHECK_ERRNO(listen(bound, 1), EADDRINUSE);
	victim_pass();
}
