// SPDX-License-Identifier: Apache-2.0
/* Terminals keep their numbers, modes, sizes and owners, and work on. */
/* build: -lutil */
#include "tests/victims/victim.h"

#include <pty.h>
#include <sys/ioctl.h>
#include <termios.h>

static int number_of(int master)
{
	int n;

	CHECK_SYS(ioctl(master, TIOCGPTN, &n));
	return n;
}

int main(void)
{
	struct winsize size = { 33, 101, 640, 480 };
	struct termios raw, odd, got;
	int master[4], slave[4], extra, n;
	struct stat st;
	char buf[64];

	for (int i = 0; i < 4; i++)
		CHECK_SYS(openpty(&master[i], &slave[i], NULL, NULL, NULL));
	/* 1 becomes free, 3 stays. */
	CHECK_SYS(close(master[1]));
	CHECK_SYS(close(slave[1]));
	/* The gaps between their fields, too. */
	memset(&raw, 0, sizeof(raw));
	memset(&odd, 0, sizeof(odd));
	memset(&got, 0, sizeof(got));
	CHECK_SYS(tcgetattr(slave[0], &raw));
	memcpy(&odd, &raw, sizeof(odd));
	cfmakeraw(&raw);
	raw.c_cc[VMIN] = 3;
	raw.c_cc[VTIME] = 7;
	CHECK_SYS(tcsetattr(slave[0], TCSANOW, &raw));
	odd.c_cc[VINTR] = 'q';
	odd.c_cc[VEOL] = ';';
	odd.c_lflag |= ECHONL | NOFLSH;
	odd.c_iflag |= IUTF8 | IXANY;
	odd.c_oflag |= OLCUC;
	cfsetspeed(&odd, B19200);
	CHECK_SYS(tcsetattr(slave[3], TCSANOW, &odd));
	CHECK_SYS(tcgetattr(slave[3], &odd));
	CHECK_SYS(ioctl(master[3], TIOCSWINSZ, &size));
	CHECK_SYS(fchown(slave[2], 1000, 5));
	CHECK_SYS(fchmod(slave[2], 0622));
	extra = CHECK_SYS(open("/dev/pts/2", O_RDONLY | O_NOCTTY | O_NONBLOCK));
	CHECK_SYS(ioctl(slave[2], TIOCEXCL));
	victim_ready();
	CHECK_EQ(number_of(master[0]), 0);
	CHECK_EQ(number_of(master[2]), 2);
	CHECK_EQ(number_of(master[3]), 3);
	CHECK_STR(ttyname(slave[3]), "/dev/pts/3");
	CHECK_SYS(tcgetattr(slave[0], &got));
	CHECK_MEM(&got, &raw, sizeof(got));
	CHECK_SYS(tcgetattr(slave[3], &got));
	CHECK_MEM(&got, &odd, sizeof(got));
	CHECK_SYS(ioctl(slave[3], TIOCGWINSZ, &size));
	CHECK_EQ(size.ws_row, 33);
	CHECK_EQ(size.ws_col, 101);
	CHECK_EQ(size.ws_ypixel, 480);
	CHECK_SYS(fstat(slave[2], &st));
	CHECK_EQ(st.st_uid, 1000);
	CHECK_EQ(st.st_gid, 5);
	CHECK_EQ(st.st_mode & 0777, 0622);
	CHECK_SYS(ioctl(slave[2], TIOCGEXCL, &n));
	CHECK_EQ(n, 1);
	CHECK_EQ(fcntl(extra, F_GETFL) & (O_ACCMODE | O_NONBLOCK), O_RDONLY | O_NONBLOCK);
	CHECK_EQ(fcntl(slave[2], F_GETFL) & O_NONBLOCK, 0);
	CHECK_EQ(write(master[2], "hello\n", 6), 6);
	CHECK_EQ(read(slave[2], buf, sizeof(buf)), 6);
	CHECK_MEM(buf, "hello\n", 6);
	CHECK_EQ(write(slave[3], "lower\n", 6), 6);
	for (int got = 0; got < 7;)
		got += CHECK_SYS(read(master[3], buf + got, 7 - got));
	CHECK_MEM(buf, "LOWER\r\n", 7);
	CHECK_EQ(number_of(CHECK_SYS(posix_openpt(O_RDWR | O_NOCTTY))), 1);
	victim_pass();
}
