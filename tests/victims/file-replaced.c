/* SPDX-License-Identifier: Apache-2.0 */
/* Another file has taken the name of an open one, as editors and package managers do it. */
#include "tests/victims/victim.h"

int main(void)
{
	int old = CHECK_SYS(open("file", O_RDWR | O_CREAT, 0600)), now, older;
	char text[256] = "", path[64], *map;

	CHECK_EQ(write(old, "old", 3), 3);
	older = old;
	map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, old, 0);
	CHECK(map != MAP_FAILED);
	now = CHECK_SYS(open("file.new", O_RDWR | O_CREAT, 0644));
	CHECK_EQ(write(now, "fresh", 5), 5);
	CHECK_SYS(rename("file.new", "file"));
	victim_ready();

	CHECK_EQ(pread(older, text, 8, 0), 3);
	CHECK_STR(text, "old");
	CHECK_MEM(map, "old", 3);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", old);
	memset(text, 0, sizeof(text));
	CHECK_SYS(readlink(path, text, 255));
	CHECK_STR(text, "/var/tmp/file (deleted)");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", now);
	memset(text, 0, sizeof(text));
	CHECK_SYS(readlink(path, text, 255));
	CHECK_STR(text, "/var/tmp/file");
	CHECK_EQ(pwrite(now, "F", 1, 0), 1);
	now = CHECK_SYS(open("file", O_RDONLY));
	memset(text, 0, sizeof(text));
	CHECK_EQ(read(now, text, 255), 5);
	CHECK_STR(text, "Fresh");
	CHECK_ERRNO(access("file.new", F_OK), ENOENT);
	victim_pass();
}
