/* SPDX-License-Identifier: Apache-2.0 */
/* O_TMPFILE: contents and flags, and it can still be given a name. */
#include "tests/victims/victim.h"

static int make(const char *directory)
{
	int fd = CHECK_SYS(open(directory, O_TMPFILE | O_RDWR, 0640));

	CHECK_EQ(write(fd, "temporary", 9), 9);
	return fd;
}

static void check(int fd, int flags, const char *name)
{
	char path[64], text[16];
	struct stat st;

	CHECK_EQ(CHECK_SYS(fcntl(fd, F_GETFL)), flags);
	CHECK_SYS(fstat(fd, &st));
	CHECK_EQ(st.st_nlink, 0);
	CHECK_EQ(st.st_mode & 07777, 0640);
	CHECK_EQ(pread(fd, text, 16, 0), 9);
	CHECK_MEM(text, "temporary", 9);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	CHECK_SYS(linkat(AT_FDCWD, path, AT_FDCWD, name, AT_SYMLINK_FOLLOW));
	CHECK_SYS(stat(name, &st));
	CHECK_EQ(st.st_size, 9);
}

int main(void)
{
	int a, b, reader, flags_a, flags_b;
	char path[64], text[8];
	int probe = open(".", O_TMPFILE | O_RDWR, 0600);

	/* An overlay has none before Linux 6.3. */
	if (probe < 0) {
		CHECK_EQ(errno, EOPNOTSUPP);
		CHECK_SYS(chdir("/dev/shm"));
	} else {
		close(probe);
	}
	CHECK_SYS(mkdir("directory", 0755));
	a = make("directory");
	b = make("/run");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", a);
	reader = CHECK_SYS(open(path, O_RDONLY));
	flags_a = CHECK_SYS(fcntl(a, F_GETFL));
	flags_b = CHECK_SYS(fcntl(b, F_GETFL));
	CHECK_EQ(lseek(reader, 5, SEEK_SET), 5);
	victim_ready();
	CHECK_EQ(read(reader, text, 8), 4);
	CHECK_MEM(text, "rary", 4);
	check(a, flags_a, "directory/named");
	check(b, flags_b, "/run/named");
	CHECK_EQ(lseek(a, 0, SEEK_CUR), 9);
	victim_pass();
}
