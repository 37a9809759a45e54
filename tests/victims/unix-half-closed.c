/* SPDX-License-Identifier: Apache-2.0 */
/* shutdown(2) of each direction, with bytes still to be read. */
#include "victim.h"

#include <poll.h>
#include <sys/socket.h>

int main(void)
{
	struct pollfd p = { .events = POLLIN | POLLRDHUP };
	int w[2], r[2], both[2];
	char text[8];

	signal(SIGPIPE, SIG_IGN);
	CHECK_SYS(socketpair(AF_UNIX, SOCK_STREAM, 0, w));
	CHECK_SYS(socketpair(AF_UNIX, SOCK_STREAM, 0, r));
	CHECK_SYS(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, both));
	CHECK_EQ(write(w[0], "last", 4), 4);
	CHECK_SYS(shutdown(w[0], SHUT_WR));
	CHECK_SYS(shutdown(r[0], SHUT_RD));
	CHECK_EQ(write(both[0], "x", 1), 1);
	CHECK_SYS(shutdown(both[1], SHUT_RDWR));
	victim_ready();
	CHECK_ERRNO(write(w[0], "x", 1), EPIPE);
	CHECK_EQ(read(w[1], text, sizeof(text)), 4);
	CHECK_MEM(text, "last", 4);
	CHECK_EQ(read(w[1], text, sizeof(text)), 0);
	CHECK_EQ(write(w[1], "back", 4), 4);
	CHECK_EQ(read(w[0], text, sizeof(text)), 4);
	CHECK_ERRNO(write(r[1], "x", 1), EPIPE);
	CHECK_EQ(write(r[0], "y", 1), 1);
	CHECK_EQ(read(r[1], text, sizeof(text)), 1);
	p.fd = both[0];
	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK(p.revents & POLLHUP);
	CHECK_EQ(read(both[1], text, sizeof(text)), 1);
	CHECK_EQ(read(both[1], text, sizeof(text)), 0);
	victim_pass();
}
