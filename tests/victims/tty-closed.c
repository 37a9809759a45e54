// SPDX-License-Identifier: Apache-2.0
/* Masters whose slave was never opened, or is closed: one waits, the other reads an error, both can be opened. */
#include "tests/victims/victim.h"

#include <poll.h>

static int new_master(void)
{
	int fd = CHECK_SYS(posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK));

	CHECK_SYS(unlockpt(fd));
	return fd;
}

static short state(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	CHECK_SYS(poll(&p, 1, 0));
	return p.revents;
}

int main(void)
{
	int fresh = new_master(), closed = new_master(), locked, slave;
	char buf[16];

	CHECK_SYS(close(CHECK_SYS(open("/dev/pts/1", O_RDWR | O_NOCTTY))));
	locked = CHECK_SYS(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
	victim_ready();
	CHECK_EQ(state(fresh), 0);
	CHECK_ERRNO(read(fresh, buf, sizeof(buf)), EAGAIN);
	CHECK_EQ(state(closed), POLLHUP);
	CHECK_ERRNO(read(closed, buf, sizeof(buf)), EIO);
	for (int i = 0; i < 2; i++) {
		slave = CHECK_SYS(open(i ? "/dev/pts/1" : "/dev/pts/0", O_RDWR | O_NOCTTY));
		CHECK_EQ(write(slave, "x", 1), 1);
		CHECK_EQ(read(i ? closed : fresh, buf, sizeof(buf)), 1);
		CHECK_SYS(close(slave));
	}
	CHECK_ERRNO(open("/dev/pts/2", O_RDWR | O_NOCTTY), EIO);
	CHECK_EQ(fcntl(locked, F_GETFD), FD_CLOEXEC);
	CHECK_SYS(unlockpt(locked));
	CHECK_SYS(open("/dev/pts/2", O_RDWR | O_NOCTTY));
	victim_pass();
}
