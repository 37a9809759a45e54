// SPDX-License-Identifier: Apache-2.0
/* Input of the pod that was not read yet is still there, and so is what stdin, stdout and stderr are. */
/* run: -i */
#include "tests/victims/victim.h"

#include <sys/ioctl.h>

int main(void)
{
	static char buf[65536];
	struct stat st;
	int fd, n;

	/* As if somebody had sent it: the same pipe, its other end. */
	fd = CHECK_SYS(open("/dev/stdin", O_WRONLY));
	memset(buf, 'x', sizeof(buf));
	memcpy(buf, "first", 5);
	CHECK_EQ(write(fd, buf, 10000), 10000);
	CHECK_SYS(close(fd));
	CHECK_EQ(fcntl(1, F_SETPIPE_SZ, 8192), 8192);
	victim_ready();
	CHECK_SYS(ioctl(0, FIONREAD, &n));
	CHECK_EQ(n, 10000);
	CHECK_EQ(read(0, buf, 5), 5);
	CHECK_MEM(buf, "first", 5);
	CHECK_EQ(read(0, buf, sizeof(buf)), 9995);
	for (int i = 0; i < 9995; i++)
		CHECK_EQ(buf[i], 'x');
	CHECK_EQ(fcntl(1, F_GETPIPE_SZ), 8192);
	for (int i = 0; i < 3; i++) {
		CHECK_SYS(fstat(i, &st));
		CHECK(S_ISFIFO(st.st_mode));
		CHECK_EQ(fcntl(i, F_GETFL), i ? O_WRONLY : O_RDONLY);
	}
	victim_pass();
}
