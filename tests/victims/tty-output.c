// SPDX-License-Identifier: Apache-2.0
/* What was printed and not read by the master, also when the program has closed its side. */
/* build: -lutil */
#include "tests/victims/victim.h"

#include <pty.h>

static void expect(int fd, const char *text)
{
	size_t len = strlen(text), got = 0;
	char buf[4096];

	while (got < len)
		got += CHECK_SYS(read(fd, buf + got, len - got));
	CHECK_MEM(buf, text, len);
}

int main(void)
{
	static char long_text[1501];
	int open_master, open_slave, closed_master, closed_slave;
	char buf[16];

	memset(long_text, 'l', 1500);
	CHECK_SYS(openpty(&open_master, &open_slave, NULL, NULL, NULL));
	CHECK_SYS(openpty(&closed_master, &closed_slave, NULL, NULL, NULL));
	CHECK_EQ(write(open_slave, long_text, 1500), 1500);
	CHECK_EQ(write(open_slave, "line\n\377", 6), 6);
	CHECK_EQ(write(closed_slave, "last words\n", 11), 11);
	CHECK_SYS(close(closed_slave));
	victim_ready();
	expect(open_master, long_text);
	expect(open_master, "line\r\n\377");
	CHECK_EQ(write(open_slave, "more", 4), 4);
	expect(open_master, "more");
	expect(closed_master, "last words\r\n");
	CHECK_ERRNO(read(closed_master, buf, sizeof(buf)), EIO);
	victim_pass();
}
