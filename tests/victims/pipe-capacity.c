// SPDX-License-Identifier: Apache-2.0
/* A pipe holds as much as before, be it less or more than others; one owned by another user still is. */
#include "tests/victims/victim.h"

int main(void)
{
	static char buf[1 << 20];
	int small[2], large[2];
	struct stat st;

	CHECK_SYS(pipe2(small, O_NONBLOCK));
	CHECK_SYS(pipe2(large, O_NONBLOCK));
	CHECK_EQ(fcntl(small[0], F_SETPIPE_SZ, 4096), 4096);
	CHECK_EQ(fcntl(large[1], F_SETPIPE_SZ, 1 << 20), 1 << 20);
	CHECK_EQ(write(large[1], buf, 100000), 100000);
	CHECK_SYS(fchown(small[1], 1000, 1001));
	CHECK_SYS(fchmod(small[1], 0640));
	victim_ready();
	CHECK_EQ(fcntl(small[1], F_GETPIPE_SZ), 4096);
	CHECK_EQ(fcntl(large[1], F_GETPIPE_SZ), 1 << 20);
	CHECK_EQ(write(small[1], buf, sizeof(buf)), 4096);
	CHECK_EQ(write(large[1], buf, 900000), 900000);
	CHECK_SYS(fstat(small[0], &st));
	CHECK_EQ(st.st_uid, 1000);
	CHECK_EQ(st.st_gid, 1001);
	CHECK_EQ(st.st_mode, S_IFIFO | 0640);
	victim_pass();
}
