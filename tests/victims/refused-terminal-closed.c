/* SPDX-License-Identifier: Apache-2.0 */
/* A terminal whose output was stopped before its slave was closed: only to open it again shows that. */
/* build: -lutil */
/* refused at the stop: pid 2 (refused-termina) fd 3: output of terminal 0 was stopped (^S) and its slave closed, which is not carried; close its master first */
#include "victim.h"

#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>

static bool has_room(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	return CHECK_SYS(poll(&p, 1, 0)) == 1;
}

int main(void)
{
	int master, slave;
	char buf[16];

	CHECK_SYS(openpty(&master, &slave, NULL, NULL, NULL));
	CHECK_EQ(write(slave, "unread", 6), 6);
	CHECK_EQ(write(master, "\023", 1), 1);
	VICTIM_UNTIL(!has_room(slave));
	CHECK_SYS(close(slave));
	victim_ready();
	slave = CHECK_SYS(open("/dev/pts/0", O_RDWR | O_NOCTTY));
	CHECK(!has_room(slave));
	CHECK_EQ(read(master, buf, sizeof(buf)), 6);
	victim_pass();
}
