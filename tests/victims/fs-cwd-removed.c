// SPDX-License-Identifier: Apache-2.0
/* A working directory that was removed: nothing has a path to it, and nothing can be made in it. */
#include "tests/victims/victim.h"

int main(void)
{
	struct stat st;
	char at[256];

	CHECK_SYS(mkdir("gone", 0751));
	CHECK_SYS(chdir("gone"));
	CHECK_SYS(rmdir("../gone"));
	CHECK_ERRNO(open("x", O_CREAT | O_WRONLY, 0600), ENOENT);
	victim_ready();
	CHECK_SYS(stat(".", &st));
	CHECK_EQ(st.st_mode & 07777, 0751);
	CHECK_EQ(st.st_nlink, 0);
	CHECK_EQ(syscall(SYS_getcwd, at, sizeof(at)), -1);
	CHECK_ERRNO(open("x", O_CREAT | O_WRONLY, 0600), ENOENT);
	CHECK_ERRNO(access("/var/tmp/gone", F_OK), ENOENT);
	victim_pass();
}
