// SPDX-License-Identifier: Apache-2.0
/* Packets in a pipe (O_DIRECT) stay packets, also where plain bytes stand between them. */
#include "tests/victims/victim.h"

static char buf[70000];

static void put(int fd, int flags, size_t len)
{
	memset(buf, flags ? 'P' : 'a', len);
	CHECK_SYS(fcntl(fd, F_SETFL, flags));
	CHECK_EQ(write(fd, buf, len), (ssize_t)len);
}

/* A read gets what is left of plain bytes together with the packet behind them. */
static void get(int fd, size_t want, size_t len)
{
	CHECK_EQ(read(fd, buf, want), (ssize_t)len);
}

int main(void)
{
	int packets[2], mixed[2];

	CHECK_SYS(pipe2(packets, O_DIRECT));
	CHECK_SYS(pipe(mixed));
	put(packets[1], O_DIRECT, 5);
	put(packets[1], O_DIRECT, 1);
	put(packets[1], O_DIRECT, 4096);
	put(packets[1], O_DIRECT, 2);
	put(mixed[1], 0, 8192);
	put(mixed[1], O_DIRECT, 1);
	put(mixed[1], O_DIRECT, 100);
	put(mixed[1], 0, 4000);
	put(mixed[1], O_DIRECT, 200);
	get(mixed[0], 4192, 4192);
	victim_ready();
	CHECK_EQ(fcntl(packets[1], F_GETFL), O_WRONLY | O_DIRECT);
	CHECK_EQ(fcntl(packets[0], F_GETFL), O_RDONLY);
	get(packets[0], sizeof(buf), 5);
	get(packets[0], sizeof(buf), 1);
	get(packets[0], 10, 10); /* the rest of it is dropped */
	get(packets[0], sizeof(buf), 2);
	get(mixed[0], sizeof(buf), 4001);
	CHECK_EQ(buf[3999], 'a');
	CHECK_EQ(buf[4000], 'P');
	get(mixed[0], sizeof(buf), 100);
	get(mixed[0], 3999, 3999);
	get(mixed[0], sizeof(buf), 201);
	CHECK_EQ(buf[0], 'a');
	CHECK_EQ(buf[200], 'P');
	victim_pass();
}
