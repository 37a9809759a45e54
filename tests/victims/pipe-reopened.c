// SPDX-License-Identifier: Apache-2.0
/* Ends of a pipe that were opened again by their links in /proc are descriptions of their own. */
#include "tests/victims/victim.h"

static int again(int fd, int flags)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return CHECK_SYS(open(path, flags));
}

int main(void)
{
	int fd[2], reader, writer, both, turned;
	char buf[16];

	CHECK_SYS(pipe(fd));
	reader = again(fd[0], O_RDONLY | O_NONBLOCK);
	writer = again(fd[1], O_WRONLY | O_CLOEXEC);
	both = again(fd[0], O_RDWR);
	turned = again(fd[1], O_RDONLY);
	CHECK_SYS(close(fd[1]));
	CHECK_EQ(write(writer, "12345678", 8), 8);
	victim_ready();
	CHECK_EQ(fcntl(fd[0], F_GETFL) & O_NONBLOCK, 0);
	CHECK_EQ(fcntl(reader, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	CHECK_EQ(fcntl(writer, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(fcntl(both, F_GETFL) & O_ACCMODE, O_RDWR);
	CHECK_EQ(read(fd[0], buf, 2), 2);
	CHECK_EQ(read(reader, buf + 2, 2), 2);
	CHECK_EQ(read(both, buf + 4, 2), 2);
	CHECK_EQ(read(turned, buf + 6, 2), 2);
	CHECK_MEM(buf, "12345678", 8);
	CHECK_EQ(write(both, "x", 1), 1);
	CHECK_EQ(read(fd[0], buf, 2), 1);
	CHECK_SYS(close(both));
	CHECK_ERRNO(read(reader, buf, 1), EAGAIN);
	CHECK_SYS(close(writer));
	CHECK_EQ(read(reader, buf, 1), 0);
	victim_pass();
}
