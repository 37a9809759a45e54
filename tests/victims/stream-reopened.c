// SPDX-License-Identifier: Apache-2.0
/* /dev/stdout opened again is another description of the same pipe: it has flags of its own. */
#include "tests/victims/victim.h"

int main(void)
{
	struct stat a, b;
	int again = CHECK_SYS(open("/dev/stdout", O_WRONLY | O_NONBLOCK | O_CLOEXEC));
	int dup = CHECK_SYS(fcntl(1, F_DUPFD, 20));

	victim_ready();
	CHECK_SYS(fstat(1, &a));
	CHECK_SYS(fstat(again, &b));
	CHECK_EQ(a.st_ino, b.st_ino);
	CHECK_EQ(fcntl(1, F_GETFL) & O_NONBLOCK, 0);
	CHECK_EQ(fcntl(again, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	CHECK_EQ(fcntl(again, F_GETFD), FD_CLOEXEC);
	CHECK_SYS(fcntl(dup, F_SETFL, O_NONBLOCK));
	CHECK_EQ(fcntl(1, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	CHECK_SYS(fcntl(again, F_SETFL, 0));
	CHECK_EQ(fcntl(1, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	victim_pass();
}
