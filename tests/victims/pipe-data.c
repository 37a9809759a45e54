// SPDX-License-Identifier: Apache-2.0
/* What is in pipes comes out again, in order, however much it is; then they work on. */
#include "tests/victims/victim.h"

static char pattern(int pipe, int at)
{
	return (char)(pipe * 31 + at * 7 + at / 251);
}

static void fill(int pipe, int fd, int len)
{
	for (int i = 0; i < len; i++) {
		char c = pattern(pipe, i);

		CHECK_EQ(write(fd, &c, 1), 1);
	}
}

static void drain(int pipe, int fd, int len)
{
	for (int i = 0; i < len; i++) {
		char c;

		CHECK_EQ(read(fd, &c, 1), 1);
		if (c != pattern(pipe, i))
			VICTIM_FAIL("pipe %d differs at byte %d", pipe, i);
	}
}

int main(void)
{
	static const int len[] = { 0, 1, 4096, 10001, 65536 };
	int fd[5][2];
	char c = 0;

	for (int i = 0; i < 5; i++) {
		CHECK_SYS(pipe2(fd[i], i == 4 ? O_NONBLOCK : 0));
		fill(i, fd[i][1], len[i]);
	}
	CHECK_ERRNO(write(fd[4][1], &c, 1), EAGAIN);
	/* Also from the middle. */
	drain(3, fd[3][0], 0);
	victim_ready();
	CHECK_ERRNO(write(fd[4][1], &c, 1), EAGAIN);
	for (int i = 0; i < 5; i++) {
		drain(i, fd[i][0], len[i]);
		CHECK_EQ(fcntl(fd[i][0], F_GETFL), i == 4 ? O_NONBLOCK : 0);
		CHECK_EQ(fcntl(fd[i][1], F_GETFL), O_WRONLY | (i == 4 ? O_NONBLOCK : 0));
		fill(i, fd[i][1], 100);
		drain(i, fd[i][0], 100);
		CHECK_SYS(close(fd[i][1]));
		CHECK_EQ(read(fd[i][0], &c, 1), 0);
	}
	victim_pass();
}
