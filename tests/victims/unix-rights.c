/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors under way: files, pipes, sockets, a socket in its own queue; each where it was
 * among the bytes.
 */
#include "tests/victims/rights.h"

#include <sys/socket.h>

int main(void)
{
	int s[2], d[2], cycle[2], p[2], inner[2], file, fds[4];
	char text[16];

	CHECK_SYS(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	CHECK_SYS(socketpair(AF_UNIX, SOCK_DGRAM, 0, d));
	CHECK_SYS(socketpair(AF_UNIX, SOCK_STREAM, 0, cycle));
	CHECK_SYS(socketpair(AF_UNIX, SOCK_STREAM, 0, inner));
	CHECK_SYS(pipe(p));
	file = CHECK_SYS(open("/run/victim.file", O_RDWR | O_CREAT, 0600));
	CHECK_EQ(write(file, "0123456789", 10), 10);
	CHECK_EQ(lseek(file, 3, SEEK_SET), 3);
	CHECK_EQ(write(p[1], "piped", 5), 5);
	CHECK_EQ(write(inner[1], "inner", 5), 5);

	CHECK_EQ(write(s[0], "plain", 5), 5);
	rights_give(s[0], "AB", 2, (int[]){ file, p[0] }, 2);
	rights_give(s[0], "C", 1, &inner[0], 1);
	CHECK_EQ(write(s[0], "tail", 4), 4);
	rights_give(d[0], "dg", 2, &file, 1);
	rights_give(cycle[0], "self", 4, (int[]){ cycle[0], cycle[1] }, 2);
	CHECK_SYS(close(p[0]));
	CHECK_SYS(close(inner[0]));
	victim_ready();
	CHECK_EQ(rights_take(s[1], text, 3, fds), 0);
	CHECK_EQ(rights_take(s[1], text, 2, fds), 0);
	CHECK_EQ(rights_take(s[1], text, 1, fds), 2);
	CHECK_EQ(text[0], 'A');
	CHECK_EQ(read(fds[0], text, 2), 2);
	CHECK_MEM(text, "34", 2);
	CHECK_EQ(lseek(file, 0, SEEK_CUR), 5); /* one description */
	CHECK_EQ(read(fds[1], text, sizeof(text)), 5);
	CHECK_MEM(text, "piped", 5);
	CHECK_EQ(rights_take(s[1], text, 1, fds), 0);
	CHECK_EQ(rights_take(s[1], text, 1, fds), 1);
	CHECK_EQ(read(fds[0], text, sizeof(text)), 5);
	CHECK_MEM(text, "inner", 5);
	CHECK_EQ(write(fds[0], "x", 1), 1);
	CHECK_EQ(read(inner[1], text, sizeof(text)), 1);
	CHECK_EQ(rights_take(s[1], text, 4, fds), 0);
	CHECK_MEM(text, "tail", 4);
	CHECK_EQ(rights_take(d[1], text, 2, fds), 1);
	CHECK_EQ(read(fds[0], text, 2), 2);
	CHECK_MEM(text, "56", 2);
	CHECK_EQ(rights_take(cycle[1], text, 4, fds), 2);
	CHECK_EQ(write(fds[0], "round", 5), 5);
	CHECK_EQ(read(fds[1], text, sizeof(text)), 5);
	victim_pass();
}
