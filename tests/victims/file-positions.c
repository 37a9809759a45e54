/* SPDX-License-Identifier: Apache-2.0 */
/* Access modes, flags and positions; shared by dup(2) and fork(2), or not where a file was opened twice. */
#include "tests/victims/victim.h"

#define FLAGS(fd) (CHECK_SYS(fcntl(fd, F_GETFL)) & ~O_CLOEXEC)

static void child(void *arg)
{
	int fd = *(int *)arg;
	char c;

	victim_wait();
	/* The parent reads one byte first and says so by the position. */
	VICTIM_UNTIL(lseek(fd, 0, SEEK_CUR) == 6);
	CHECK_EQ(read(fd, &c, 1), 1);
	CHECK_EQ(c, '6');
}

int main(void)
{
	int both = CHECK_SYS(open("positions", O_RDWR | O_CREAT | O_TRUNC, 0640));
	int append = CHECK_SYS(open("positions", O_WRONLY | O_APPEND));
	int reader = CHECK_SYS(open("positions", O_RDONLY | O_NOATIME));
	int sync = CHECK_SYS(open("positions", O_WRONLY | O_SYNC | O_NONBLOCK | O_CLOEXEC));
	int flags[4] = { FLAGS(both), FLAGS(append), FLAGS(reader), FLAGS(sync) };
	int copy, high;
	struct stat st;
	char text[16] = "";
	pid_t pid;

	CHECK_EQ(write(both, "0123456789", 10), 10);
	CHECK_EQ(lseek(both, 5, SEEK_SET), 5);
	CHECK_EQ(lseek(reader, 2, SEEK_SET), 2);
	CHECK_EQ(lseek(sync, 1L << 40, SEEK_SET), 1L << 40);
	copy = CHECK_SYS(dup(both));
	high = CHECK_SYS(fcntl(reader, F_DUPFD_CLOEXEC, 777));
	pid = victim_fork(child, &both);
	victim_ready();

	CHECK_EQ(FLAGS(both), flags[0]);
	CHECK_EQ(FLAGS(append), flags[1]);
	CHECK_EQ(FLAGS(reader), flags[2]);
	CHECK_EQ(FLAGS(sync), flags[3]);
	CHECK_EQ(CHECK_SYS(fcntl(both, F_GETFD)), 0);
	CHECK_EQ(CHECK_SYS(fcntl(sync, F_GETFD)), FD_CLOEXEC);
	CHECK_EQ(CHECK_SYS(fcntl(high, F_GETFD)), FD_CLOEXEC);
	CHECK_EQ(lseek(sync, 0, SEEK_CUR), 1L << 40);
	CHECK_EQ(lseek(high, 0, SEEK_CUR), 2);
	CHECK_EQ(read(high, text, 2), 2);
	CHECK_EQ(lseek(reader, 0, SEEK_CUR), 4);
	CHECK_STR(text, "23");
	CHECK_ERRNO(write(reader, "x", 1), EBADF);
	CHECK_ERRNO(read(append, text, 1), EBADF);

	CHECK_EQ(read(copy, text, 1), 1);
	CHECK_EQ(text[0], '5');
	victim_join(pid);
	CHECK_EQ(lseek(both, 0, SEEK_CUR), 7);

	CHECK_EQ(write(append, "ab", 2), 2);
	CHECK_EQ(pread(both, text, 12, 0), 12);
	CHECK_MEM(text, "0123456789ab", 12);
	CHECK_SYS(fstat(both, &st));
	CHECK_EQ(st.st_mode & 07777, 0640);
	CHECK_EQ(st.st_size, 12);
	victim_pass();
}
