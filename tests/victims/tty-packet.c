// SPDX-License-Identifier: Apache-2.0
/* A master in packet mode reads what was printed, each read with its control byte. */
/* build: -lutil */
/* undisturbed: by checkpoint -R */
#include "tests/victims/victim.h"

#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <termios.h>

int main(void)
{
	int master, slave, quiet_master, quiet_slave, on = 1, n;
	struct pollfd p = { .events = POLLIN | POLLPRI };
	struct termios t;
	char buf[64];

	CHECK_SYS(openpty(&master, &slave, NULL, NULL, NULL));
	CHECK_SYS(ioctl(master, TIOCPKT, &on));
	CHECK_EQ(write(slave, "printed", 7), 7);
	CHECK_EQ(write(master, "typed\n", 6), 6);
	VICTIM_UNTIL(ioctl(master, FIONREAD, &n) == 0 && n == 14); /* with the echo */
	CHECK_SYS(openpty(&quiet_master, &quiet_slave, NULL, NULL, NULL));
	CHECK_SYS(tcgetattr(quiet_slave, &t));
	t.c_lflag &= ~(tcflag_t)ECHO;
	CHECK_SYS(tcsetattr(quiet_slave, TCSANOW, &t));
	CHECK_SYS(ioctl(quiet_master, TIOCPKT, &on));
	CHECK_EQ(write(quiet_master, "typed\n", 6), 6);
	VICTIM_UNTIL(ioctl(quiet_slave, FIONREAD, &n) == 0 && n == 6);
	victim_ready();
	p.fd = quiet_master;
	CHECK_EQ(poll(&p, 1, 0), 0);
	CHECK_EQ(read(quiet_slave, buf, sizeof(buf)), 6);
	CHECK_EQ(read(master, buf, sizeof(buf)), 15);
	CHECK_EQ(buf[0], TIOCPKT_DATA);
	CHECK_MEM(buf + 1, "printedtyped\r\n", 14);
	CHECK_EQ(read(slave, buf, sizeof(buf)), 6);
	CHECK_SYS(tcflush(slave, TCIFLUSH));
	CHECK_EQ(read(master, buf, sizeof(buf)), 1);
	CHECK_EQ(buf[0], TIOCPKT_FLUSHREAD);
	victim_pass();
}
