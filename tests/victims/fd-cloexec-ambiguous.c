// SPDX-License-Identifier: Apache-2.0
/*
 * A terminal opened by TIOCGPTPEER with O_CLOEXEC has that flag in the file as well, where every
 * duplicate of it seems to be close-on-exec from outside.
 */
#include <sys/ioctl.h>

#include "tests/victims/victim.h"

int main(void)
{
	int master = CHECK_SYS(open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC)), unlock = 0, slave;

	CHECK_SYS(ioctl(master, TIOCSPTLCK, &unlock));
	slave = CHECK_SYS(ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
	CHECK_EQ(dup2(slave, 20), 20);
	victim_ready();
	CHECK_EQ(fcntl(master, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(fcntl(slave, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(fcntl(20, F_GETFD), 0);
	victim_pass();
}
