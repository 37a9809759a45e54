/* SPDX-License-Identifier: Apache-2.0 */
/* The other end is closed: what it had sent is read, then the end, or the error that it left. */
#include "victim.h"

#include <sys/socket.h>
#include <sys/un.h>

static int connection(bool keep_client, const char *name)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int l = CHECK_SYS(socket(AF_UNIX, SOCK_STREAM, 0)), c, s;
	socklen_t len = (socklen_t)(sizeof(sa_family_t) + 1 + strlen(name));

	strcpy(a.sun_path + 1, name);
	CHECK_SYS(bind(l, (struct sockaddr *)&a, len));
	CHECK_SYS(listen(l, 1));
	c = CHECK_SYS(socket(AF_UNIX, SOCK_STREAM, 0));
	CHECK_SYS(connect(c, (struct sockaddr *)&a, len));
	s = CHECK_SYS(accept(l, NULL, NULL));
	CHECK_SYS(close(l));
	CHECK_EQ(write(keep_client ? s : c, "left", 4), 4);
	CHECK_SYS(close(keep_client ? s : c));
	return keep_client ? c : s;
}

int main(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX, .sun_path = "\0gone" };
	int s[2], e[2], d[2], sender, client, server;
	char text[8];
	socklen_t len;

	signal(SIGPIPE, SIG_IGN);
	CHECK_SYS(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	CHECK_EQ(write(s[1], "bye", 3), 3);
	CHECK_SYS(close(s[1]));
	CHECK_SYS(socketpair(AF_UNIX, SOCK_STREAM, 0, e));
	CHECK_EQ(write(e[0], "unread", 6), 6);
	CHECK_EQ(write(e[1], "bye", 3), 3);
	CHECK_SYS(close(e[1]));
	CHECK_SYS(socketpair(AF_UNIX, SOCK_DGRAM, 0, d));
	CHECK_EQ(write(d[1], "datagram", 8), 8);
	CHECK_SYS(close(d[1]));
	/* A datagram socket connected to one that is gone. */
	d[1] = CHECK_SYS(socket(AF_UNIX, SOCK_DGRAM, 0));
	CHECK_SYS(bind(d[1], (struct sockaddr *)&a, sizeof(sa_family_t) + 5));
	sender = CHECK_SYS(socket(AF_UNIX, SOCK_DGRAM, 0));
	CHECK_SYS(connect(sender, (struct sockaddr *)&a, sizeof(sa_family_t) + 5));
	CHECK_SYS(close(d[1]));
	client = connection(true, "one");
	server = connection(false, "two");
	victim_ready();
	CHECK_EQ(read(s[0], text, sizeof(text)), 3);
	CHECK_EQ(read(s[0], text, sizeof(text)), 0);
	CHECK_ERRNO(write(s[0], "x", 1), EPIPE);
	CHECK_EQ(read(e[0], text, sizeof(text)), 3);
	CHECK_ERRNO(read(e[0], text, sizeof(text)), ECONNRESET);
	CHECK_EQ(read(e[0], text, sizeof(text)), 0);
	CHECK_EQ(read(d[0], text, sizeof(text)), 8);
	CHECK_ERRNO(write(d[0], "x", 1), ECONNREFUSED);
	len = sizeof(a);
	CHECK_SYS(getpeername(sender, (struct sockaddr *)&a, &len));
	CHECK_EQ(len, sizeof(sa_family_t) + 5);
	CHECK_ERRNO(write(sender, "x", 1), ECONNREFUSED);
	CHECK_EQ(read(client, text, sizeof(text)), 4);
	CHECK_EQ(read(client, text, sizeof(text)), 0);
	len = sizeof(a);
	CHECK_SYS(getpeername(client, (struct sockaddr *)&a, &len));
	CHECK_MEM(a.sun_path, "\0one", 4);
	CHECK_EQ(read(server, text, sizeof(text)), 4);
	CHECK_EQ(read(server, text, sizeof(text)), 0);
	len = sizeof(a);
	CHECK_SYS(getsockname(server, (struct sockaddr *)&a, &len));
	CHECK_MEM(a.sun_path, "\0two", 4);
	victim_pass();
}
