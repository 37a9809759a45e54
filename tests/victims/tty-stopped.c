// SPDX-License-Identifier: Apache-2.0
/* build: -lutil */
/* refused: pid 2 (tty-stopped) fd 3: output of terminal 0 was stopped (^S), which is not carried; start it again first (^Q) */
/* refused: pid 2 (tty-stopped) fd 5: output of terminal 1 was stopped (^S), which is not carried; start it again first (^Q) */
/* Output that ^S or tcflow(3) has stopped, with some of it unread and an echo that waits; ^Q starts the one, not the other. */
#include "tests/victims/victim.h"

#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <termios.h>

static bool has_room(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	return CHECK_SYS(poll(&p, 1, 0)) == 1;
}

int main(void)
{
	int typed_master, typed_slave, held_master, held_slave, n;
	char buf[64];

	CHECK_SYS(openpty(&typed_master, &typed_slave, NULL, NULL, NULL));
	CHECK_SYS(openpty(&held_master, &held_slave, NULL, NULL, NULL));
	CHECK_EQ(write(typed_slave, "unread", 6), 6);
	CHECK_EQ(write(typed_master, "\023echo\n", 6), 6);
	CHECK_SYS(tcflow(held_slave, TCOOFF));
	VICTIM_UNTIL(!has_room(typed_slave) && ioctl(typed_slave, FIONREAD, &n) == 0 && n == 5);
	victim_ready();
	CHECK(!has_room(typed_slave));
	CHECK_EQ(read(typed_master, buf, sizeof(buf)), 6);
	CHECK_MEM(buf, "unread", 6);
	CHECK_EQ(write(typed_master, "\021", 1), 1);
	VICTIM_UNTIL(has_room(typed_slave));
	VICTIM_UNTIL(ioctl(typed_master, FIONREAD, &n) == 0 && n == 6);
	CHECK_EQ(read(typed_master, buf, sizeof(buf)), 6);
	CHECK_MEM(buf, "echo\r\n", 6);
	CHECK_EQ(write(held_master, "\021x\n", 3), 3);
	VICTIM_UNTIL(ioctl(held_slave, FIONREAD, &n) == 0 && n == 2);
	CHECK(!has_room(held_slave));
	CHECK_SYS(tcflow(held_slave, TCOON));
	CHECK(has_room(held_slave));
	victim_pass();
}
