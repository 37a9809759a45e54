/* SPDX-License-Identifier: Apache-2.0 */
/* POSIX locks: ranges, owners as F_GETLK names them, and that closing any descriptor gives them up. */
#include "tests/victims/victim.h"

static struct flock range(short type, off_t start, off_t len)
{
	return (struct flock){ .l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len };
}

static struct flock ask(int fd, off_t start, off_t len)
{
	struct flock l = range(F_WRLCK, start, len);

	CHECK_SYS(fcntl(fd, F_GETLK, &l));
	return l;
}

static void child(void *arg)
{
	int fd = CHECK_SYS(open("file", O_RDWR));
	struct flock l = range(F_RDLCK, 50, 10), got;

	CHECK_SYS(fcntl(fd, F_SETLK, &l));
	CHECK_SYS(close(CHECK_SYS(open("child-has-it", O_WRONLY | O_CREAT, 0600))));
	victim_wait();
	got = ask(fd, 0, 5);
	CHECK_EQ(got.l_type, F_WRLCK);
	CHECK_EQ(got.l_pid, *(pid_t *)arg);
	CHECK_EQ(got.l_start, 2);
	CHECK_EQ(got.l_len, 3);
	got = ask(fd, 1000, 1);
	CHECK_EQ(got.l_type, F_RDLCK);
	CHECK_EQ(got.l_start, 100);
	CHECK_EQ(got.l_len, 0);
	CHECK_SYS(close(CHECK_SYS(open("child-looked", O_WRONLY | O_CREAT, 0600))));
	VICTIM_UNTIL(access("parent-closed", F_OK) == 0);
	CHECK_EQ(ask(fd, 0, 5).l_type, F_UNLCK);
}

int main(void)
{
	int fd = CHECK_SYS(open("file", O_RDWR | O_CREAT, 0600)), copy, second;
	struct flock write = range(F_WRLCK, 2, 3), read = range(F_RDLCK, 100, 0), got;
	pid_t pid, me = getpid();

	copy = CHECK_SYS(dup(fd));
	second = CHECK_SYS(open("file", O_RDONLY));
	pid = victim_fork(child, &me);
	VICTIM_UNTIL(access("child-has-it", F_OK) == 0);
	CHECK_SYS(fcntl(copy, F_SETLK, &write));
	CHECK_SYS(fcntl(second, F_SETLK, &read));
	victim_ready();

	got = ask(fd, 55, 1);
	CHECK_EQ(got.l_type, F_RDLCK);
	CHECK_EQ(got.l_pid, pid);
	CHECK_EQ(got.l_start, 50);
	CHECK_EQ(got.l_len, 10);
	VICTIM_UNTIL(access("child-looked", F_OK) == 0);
	CHECK_SYS(close(copy));
	CHECK_SYS(close(CHECK_SYS(open("parent-closed", O_WRONLY | O_CREAT, 0600))));
	victim_join(pid);
	victim_pass();
}
