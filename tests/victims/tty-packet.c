// SPDX-License-Identifier: Apache-2.0
/* A master in packet mode reads what was printed, each read with its control byte. */
/* build: -lutil */
#include "tests/victims/victim.h"

#include <pty.h>
#include <sys/ioctl.h>
#include <termios.h>

int main(void)
{
	int master, slave, on = 1, n;
	char buf[64];

	CHECK_SYS(openpty(&master, &slave, NULL, NULL, NULL));
	CHECK_SYS(ioctl(master, TIOCPKT, &on));
	CHECK_EQ(write(slave, "printed", 7), 7);
	CHECK_EQ(write(master, "typed\n", 6), 6);
	VICTIM_UNTIL(ioctl(master, FIONREAD, &n) == 0 && n == 14); /* with the echo */
	victim_ready();
	CHECK_EQ(read(master, buf, sizeof(buf)), 15);
	CHECK_EQ(buf[0], TIOCPKT_DATA);
	CHECK_MEM(buf + 1, "printedtyped\r\n", 14);
	CHECK_EQ(read(slave, buf, sizeof(buf)), 6);
	CHECK_SYS(tcflush(slave, TCIFLUSH));
	CHECK_EQ(read(master, buf, sizeof(buf)), 1);
	CHECK_EQ(buf[0], TIOCPKT_FLUSHREAD);
	victim_pass();
}
