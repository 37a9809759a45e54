/* SPDX-License-Identifier: Apache-2.0 */
/* O_PATH descriptors of every type of file. */
#include "tests/victims/victim.h"

#include <sys/socket.h>
#include <sys/un.h>

static const struct {
	const char *name;
	mode_t type;
	int flags;
} files[] = {
	{ "regular", S_IFREG, 0 },	      { "directory", S_IFDIR, O_DIRECTORY },
	{ "symlink", S_IFLNK, O_NOFOLLOW },   { "fifo", S_IFIFO, 0 },
	{ "socket", S_IFSOCK, O_NOFOLLOW },   { "/dev/null", S_IFCHR, 0 },
	{ "/proc/self/fd", S_IFDIR, O_DIRECTORY }, { "/dev/tty", S_IFCHR, 0 },
};
#define N (sizeof(files) / sizeof(files[0]))

int main(void)
{
	struct sockaddr_un address = { AF_UNIX, "socket" };
	int fd[N], flags[N], again, gone;
	char text[64] = "";

	CHECK_SYS(close(CHECK_SYS(open("regular", O_WRONLY | O_CREAT, 0644))));
	CHECK_SYS(mkdir("directory", 0755));
	CHECK_SYS(symlink("regular", "symlink"));
	CHECK_SYS(mkfifo("fifo", 0644));
	again = CHECK_SYS(socket(AF_UNIX, SOCK_STREAM, 0));
	CHECK_SYS(bind(again, (void *)&address, sizeof(address)));
	CHECK_SYS(close(again));
	for (size_t i = 0; i < N; i++) {
		fd[i] = CHECK_SYS(open(files[i].name, O_PATH | files[i].flags));
		flags[i] = CHECK_SYS(fcntl(fd[i], F_GETFL));
	}
	gone = CHECK_SYS(open("gone", O_RDWR | O_CREAT, 0600));
	CHECK_EQ(write(gone, "data", 4), 4);
	CHECK_SYS(close(gone));
	gone = CHECK_SYS(open("gone", O_PATH));
	CHECK_SYS(unlink("gone"));
	victim_ready();

	for (size_t i = 0; i < N; i++) {
		struct stat st;

		CHECK_EQ(CHECK_SYS(fcntl(fd[i], F_GETFL)), flags[i]);
		CHECK_SYS(fstat(fd[i], &st));
		CHECK_EQ(st.st_mode & S_IFMT, files[i].type);
		CHECK_ERRNO(read(fd[i], text, 1), EBADF);
	}
	CHECK_EQ(readlinkat(fd[2], "", text, sizeof(text)), 7);
	CHECK_STR(text, "regular");
	CHECK_SYS(close(CHECK_SYS(openat(fd[1], "new", O_WRONLY | O_CREAT, 0644))));
	CHECK_SYS(access("directory/new", F_OK));
	snprintf(text, sizeof(text), "/proc/self/fd/%d", gone);
	again = CHECK_SYS(open(text, O_RDONLY));
	CHECK_EQ(read(again, text, 8), 4);
	CHECK_MEM(text, "data", 4);
	victim_pass();
}
