/* SPDX-License-Identifier: Apache-2.0 */
/* A file of the host that was open and mapped when the pod deleted it, and one that was replaced. */
#include "tests/victims/victim.h"

int main(void)
{
	int gone = CHECK_SYS(open("/etc/passwd", O_RDONLY)), old = CHECK_SYS(open("/etc/group", O_RDONLY));
	char before[512] = "", group[512] = "", text[512] = "", *map;
	ssize_t n = CHECK_SYS(pread(gone, before, sizeof(before), 0));
	ssize_t g = CHECK_SYS(pread(old, group, sizeof(group), 0));

	CHECK(n > 10 && g > 10);
	map = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, gone, 0);
	CHECK(map != MAP_FAILED);
	CHECK_SYS(unlink("/etc/passwd"));
	CHECK_EQ(system("echo new > /etc/group.new && mv /etc/group.new /etc/group"), 0);
	CHECK_EQ(lseek(gone, 7, SEEK_SET), 7);
	victim_ready();

	CHECK_ERRNO(access("/etc/passwd", F_OK), ENOENT);
	CHECK_EQ(lseek(gone, 0, SEEK_CUR), 7);
	CHECK_EQ(pread(gone, text, sizeof(text), 0), n);
	CHECK_MEM(text, before, n);
	CHECK_MEM(map, before, n);
	CHECK_EQ(pread(old, text, sizeof(text), 0), g);
	CHECK_MEM(text, group, g);
	CHECK_EQ(readlink("/proc/self/fd/3", text, sizeof(text)), 21);
	CHECK_MEM(text, "/etc/passwd (deleted)", 21);
	CHECK_EQ(readlink("/proc/self/fd/4", text, sizeof(text)), 20);
	CHECK_MEM(text, "/etc/group (deleted)", 20);
	CHECK_EQ(system("grep -qx new /etc/group"), 0);
	victim_pass();
}
