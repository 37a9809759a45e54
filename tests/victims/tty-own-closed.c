// SPDX-License-Identifier: Apache-2.0
/* A program that has closed its terminal still has it as its controlling one, with its modes. */
/* run: -t */
#include "tests/victims/victim.h"

#include <termios.h>

int main(void)
{
	int fd, null = CHECK_SYS(open("/dev/null", O_RDWR));
	struct termios t, got;
	struct stat st;

	CHECK_SYS(tcgetattr(0, &t));
	t.c_cc[VKILL] = 'k';
	t.c_lflag &= ~(tcflag_t)ISIG;
	CHECK_SYS(tcsetattr(0, TCSANOW, &t));
	for (int i = 0; i < 3; i++)
		CHECK_SYS(dup2(null, i));
	CHECK_SYS(close(null));
	victim_ready();
	CHECK_EQ(isatty(0), 0);
	fd = CHECK_SYS(open("/dev/tty", O_RDWR));
	CHECK_SYS(tcgetattr(fd, &got));
	CHECK_MEM(&got, &t, sizeof(t));
	CHECK_EQ(tcgetpgrp(fd), getpgrp());
	CHECK_SYS(fstat(fd, &st));
	CHECK_EQ(st.st_rdev, 0x500);
	CHECK_SYS(close(fd));
	CHECK_SYS(stat("/dev/pts/0", &st));
	victim_pass();
}
