/* SPDX-License-Identifier: Apache-2.0 */
/* A lease on a file. */
/* refused: pid 2 (lock-lease) fd 3: a lease (fcntl F_SETLEASE) is not carried; give it up first */
#include "tests/victims/victim.h"

int main(void)
{
	int fd = CHECK_SYS(open("/run/file", O_RDONLY | O_CREAT, 0600));

	CHECK_EQ(fd, 3);
	CHECK_SYS(fcntl(fd, F_SETLEASE, F_RDLCK));
	victim_ready();
	CHECK_EQ(CHECK_SYS(fcntl(fd, F_GETLEASE)), F_RDLCK);
	victim_pass();
}
