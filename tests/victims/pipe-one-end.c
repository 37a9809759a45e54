// SPDX-License-Identifier: Apache-2.0
/* A pipe of which only one end is open: the reader gets what is left and the end, the writer EPIPE. */
#include "tests/victims/victim.h"

#include <poll.h>

int main(void)
{
	struct pollfd p = { .events = POLLIN | POLLOUT };
	int reader[2], writer[2], empty[2];
	char buf[16];

	signal(SIGPIPE, SIG_IGN);
	CHECK_SYS(pipe(reader));
	CHECK_EQ(write(reader[1], "left", 4), 4);
	CHECK_SYS(close(reader[1]));
	CHECK_SYS(pipe(writer));
	CHECK_EQ(write(writer[1], "lost", 4), 4);
	CHECK_SYS(close(writer[0]));
	CHECK_SYS(pipe(empty));
	CHECK_SYS(close(empty[1]));
	victim_ready();
	p.fd = reader[0];
	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK_EQ(p.revents, POLLIN | POLLHUP);
	CHECK_EQ(read(reader[0], buf, sizeof(buf)), 4);
	CHECK_MEM(buf, "left", 4);
	CHECK_EQ(read(reader[0], buf, sizeof(buf)), 0);
	CHECK_EQ(read(empty[0], buf, sizeof(buf)), 0);
	p.fd = writer[1];
	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK_EQ(p.revents, POLLOUT | POLLERR);
	CHECK_ERRNO(write(writer[1], "x", 1), EPIPE);
	victim_pass();
}
