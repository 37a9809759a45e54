/* SPDX-License-Identifier: Apache-2.0 */
/* More open files than podckpt itself may have by default, and numbers with gaps. */
#include "tests/victims/victim.h"

#include <sys/resource.h>

#define FILES 3000

int main(void)
{
	struct rlimit limit;
	char name[32];
	int fd[FILES], n;

	CHECK_SYS(getrlimit(RLIMIT_NOFILE, &limit));
	CHECK(limit.rlim_max > 2 * FILES);
	limit.rlim_cur = limit.rlim_max;
	CHECK_SYS(setrlimit(RLIMIT_NOFILE, &limit));
	CHECK_SYS(mkdir("many", 0755));
	for (int i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "many/%d", i);
		fd[i] = CHECK_SYS(open(name, O_RDWR | O_CREAT, 0600));
		n = snprintf(name, sizeof(name), "%d", i);
		CHECK_EQ(write(fd[i], name, n), n);
		if (i % 3 == 0)
			CHECK_SYS(unlinkat(AT_FDCWD, (snprintf(name, sizeof(name), "many/%d", i), name), 0));
	}
	for (int i = 0; i < FILES; i += 2)
		CHECK_SYS(close(fd[i]));
	victim_ready();
	for (int i = 1; i < FILES; i += 2) {
		char text[32] = "";

		CHECK(pread(fd[i], text, sizeof(text) - 1, 0) > 0);
		CHECK_EQ(atoi(text), i);
		CHECK_EQ(lseek(fd[i], 0, SEEK_CUR), (off_t)strlen(text));
	}
	CHECK_ERRNO(fcntl(fd[0], F_GETFD), EBADF);
	victim_pass();
}
