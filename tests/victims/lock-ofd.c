/* SPDX-License-Identifier: Apache-2.0 */
/* Locks of open file descriptions (F_OFD_SETLK), also on a deleted file. */
#include "tests/victims/victim.h"

static void lock(int fd, int cmd, short type, off_t start, off_t len)
{
	struct flock l = { .l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len };

	CHECK_SYS(fcntl(fd, cmd, &l));
}

static struct flock ask(int fd, off_t start)
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = start, .l_len = 1 };

	CHECK_SYS(fcntl(fd, F_OFD_GETLK, &l));
	return l;
}

int main(void)
{
	int a = CHECK_SYS(open("file", O_RDWR | O_CREAT, 0600)), b = CHECK_SYS(open("file", O_RDWR));
	int c = CHECK_SYS(open("gone", O_RDWR | O_CREAT, 0600)), d = CHECK_SYS(open("gone", O_RDWR));

	lock(a, F_OFD_SETLK, F_WRLCK, 0, 10);
	lock(a, F_OFD_SETLK, F_RDLCK, 20, 0);
	lock(b, F_OFD_SETLK, F_RDLCK, 30, 5);
	lock(c, F_OFD_SETLK, F_WRLCK, 1L << 40, 1);
	CHECK_SYS(unlink("gone"));
	victim_ready();

	CHECK_EQ(ask(b, 5).l_type, F_WRLCK);
	CHECK_EQ(ask(b, 5).l_pid, -1);
	CHECK_EQ(ask(b, 5).l_len, 10);
	CHECK_EQ(ask(b, 15).l_type, F_UNLCK);
	CHECK_EQ(ask(b, 1000).l_type, F_RDLCK);
	CHECK_EQ(ask(b, 1000).l_len, 0);
	CHECK_EQ(ask(a, 32).l_start, 30);
	CHECK_EQ(ask(a, 5).l_type, F_UNLCK);
	CHECK_EQ(ask(d, 1L << 40).l_type, F_WRLCK);
	CHECK_EQ(ask(c, 1L << 40).l_type, F_UNLCK);
	CHECK_SYS(close(a));
	CHECK_EQ(ask(b, 5).l_type, F_UNLCK);
	victim_pass();
}
