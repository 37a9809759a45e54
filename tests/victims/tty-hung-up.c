// SPDX-License-Identifier: Apache-2.0
/* A slave whose master is gone reads the end and cannot be written; its number stays taken. */
/* build: -lutil */
#include "tests/victims/victim.h"

#include <pty.h>

int main(void)
{
	int master, slave, other_master, other_slave;
	char buf[16];

	CHECK_SYS(openpty(&master, &slave, NULL, NULL, NULL));
	CHECK_SYS(openpty(&other_master, &other_slave, NULL, NULL, NULL));
	CHECK_SYS(close(master));
	CHECK_EQ(read(slave, buf, sizeof(buf)), 0);
	victim_ready();
	CHECK_EQ(read(slave, buf, sizeof(buf)), 0);
	CHECK_ERRNO(write(slave, "x", 1), EIO);
	CHECK_EQ(access("/dev/pts/0", F_OK), -1);
	CHECK_EQ(write(other_slave, "x", 1), 1);
	CHECK_EQ(read(other_master, buf, sizeof(buf)), 1);
	CHECK_SYS(close(slave));
	CHECK_SYS(openpty(&master, &slave, NULL, NULL, NULL));
	CHECK_STR(ttyname(slave), "/dev/pts/0");
	victim_pass();
}
