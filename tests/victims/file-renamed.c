/* SPDX-License-Identifier: Apache-2.0 */
/* Renamed while open, itself or a directory above it; and mapped privately. */
#include "tests/victims/victim.h"

int main(void)
{
	char text[256] = "", *map;
	struct stat a, b;
	int fd, deep;

	CHECK_SYS(mkdir("old", 0700));
	fd = CHECK_SYS(open("before", O_RDWR | O_CREAT, 0600));
	deep = CHECK_SYS(open("old/file", O_RDWR | O_CREAT, 0600));
	CHECK_EQ(write(fd, "hello", 5), 5);
	CHECK_EQ(write(deep, "world", 5), 5);
	map = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
	CHECK(map != MAP_FAILED);
	CHECK_SYS(rename("before", "after"));
	CHECK_SYS(rename("old", "new"));
	victim_ready();

	CHECK_EQ(readlink("/proc/self/fd/3", text, 255), (ssize_t)strlen("/var/tmp/after"));
	CHECK_STR(text, "/var/tmp/after");
	CHECK_SYS(fstat(fd, &a));
	CHECK_SYS(stat("after", &b));
	CHECK_EQ(a.st_ino, b.st_ino);
	CHECK_SYS(fstat(deep, &a));
	CHECK_SYS(stat("new/file", &b));
	CHECK_EQ(a.st_ino, b.st_ino);
	CHECK_MEM(map, "hello", 5);
	/* The file, not a copy of it. */
	CHECK_EQ(pwrite(fd, "H", 1, 0), 1);
	CHECK_EQ(map[0], 'H');
	victim_pass();
}
