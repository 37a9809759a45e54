/* SPDX-License-Identifier: Apache-2.0 */
/* Errors on unix sockets that cannot be made again, and a relative name that leads elsewhere. */
/* refused: pid 2 (refused-unix) fd 3: an error that nobody has read yet is pending on it (its peer is gone), which is not carried; read from it first */
/* refused: pid 2 (refused-unix) fd 4: an error that nobody has read yet is pending on it (its peer is gone), which is not carried; read from it first */
/* refused: pid 2 (refused-unix) fd 5: it was bound to the relative path 'first/socket', which leads to '/run/second/socket' now; bind it to an absolute path */
#include "victim.h"

#include <sys/socket.h>
#include <sys/un.h>

static int named(const char *name)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = CHECK_SYS(socket(AF_UNIX, SOCK_DGRAM, 0));

	strcpy(a.sun_path, name);
	CHECK_SYS(bind(fd, (struct sockaddr *)&a, sizeof(a)));
	return fd;
}

/* The number of the one that is left by its peer, which has not read everything. */
static int left(int type, int number)
{
	int pair[2], fd;

	CHECK_SYS(socketpair(AF_UNIX, type, 0, pair));
	CHECK_EQ(send(pair[0], "lost", 4, 0), 4);
	CHECK_EQ(send(pair[1], "last", 4, 0), 4);
	if (type == SOCK_DGRAM) {
		/* Its peer turns to another one instead. */
		CHECK_EQ(dup2(pair[1], 20), 20);
		CHECK_SYS(connect(20, &(struct sockaddr){ AF_UNSPEC }, sizeof(sa_family_t)));
	}
	fd = CHECK_SYS(fcntl(pair[0], F_DUPFD, 10));
	CHECK_SYS(close(pair[0]));
	CHECK_SYS(close(pair[1]));
	CHECK_EQ(dup2(fd, number), number);
	CHECK_SYS(close(fd));
	return number;
}

int main(void)
{
	int packets = left(SOCK_SEQPACKET, 3), datagrams = left(SOCK_DGRAM, 4), moved;
	char text[8];

	CHECK_SYS(chdir("/run"));
	CHECK_SYS(mkdir("first", 0700));
	moved = named("first/socket");
	CHECK_EQ(moved, 5);
	CHECK_SYS(rename("first", "second"));
	CHECK_SYS(close(20));
	victim_ready();
	CHECK_ERRNO(recv(packets, text, sizeof(text), 0), ECONNRESET);
	CHECK_EQ(recv(packets, text, sizeof(text), 0), 4);
	CHECK_ERRNO(recv(datagrams, text, sizeof(text), 0), ECONNRESET);
	CHECK_EQ(recv(datagrams, text, sizeof(text), 0), 4);
	CHECK_SYS(access("second/socket", F_OK));
	victim_pass();
}
