// SPDX-License-Identifier: Apache-2.0
/* A FIFO whose name was removed works on for those who have it open. */
#include "tests/victims/victim.h"

int main(void)
{
	struct stat st;
	char buf[16];
	int fd;

	CHECK_SYS(mkfifo("/run/gone", 0600));
	CHECK_SYS(chown("/run/gone", 12, 34));
	fd = CHECK_SYS(open("/run/gone", O_RDWR));
	CHECK_SYS(unlink("/run/gone"));
	CHECK_EQ(write(fd, "still here", 10), 10);
	victim_ready();
	CHECK_EQ(read(fd, buf, sizeof(buf)), 10);
	CHECK_MEM(buf, "still here", 10);
	CHECK_SYS(fstat(fd, &st));
	CHECK_EQ(st.st_nlink, 0);
	CHECK_EQ(st.st_uid, 12);
	CHECK_EQ(st.st_gid, 34);
	CHECK_EQ(access("/run/gone", F_OK), -1);
	victim_pass();
}
