/* SPDX-License-Identifier: Apache-2.0 */
/* Deleted under the name it was opened by, alive under another one. */
#include "tests/victims/victim.h"

static void check(int fd, const char *other, const char *link)
{
	char path[64], text[256];
	struct stat a, b;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = CHECK_SYS(readlink(path, text, 255));
	text[n] = '\0';
	CHECK_STR(text, link);
	CHECK_SYS(fstat(fd, &a));
	CHECK_SYS(stat(other, &b));
	CHECK_EQ(a.st_ino, b.st_ino);
	CHECK_EQ(a.st_nlink, 1);
	CHECK_EQ(write(fd, "more", 4), 4);
	CHECK_SYS(stat(other, &b));
	CHECK_EQ(b.st_size, 7);
}

int main(void)
{
	int on_overlay = CHECK_SYS(open("linked", O_RDWR | O_CREAT, 0600));
	int on_tmpfs = CHECK_SYS(open("/run/linked", O_WRONLY | O_CREAT, 0600));

	CHECK_EQ(write(on_overlay, "abc", 3), 3);
	CHECK_EQ(write(on_tmpfs, "def", 3), 3);
	CHECK_SYS(mkdir("sub", 0755));
	CHECK_SYS(link("linked", "sub/other"));
	CHECK_SYS(link("/run/linked", "/run/lock/other"));
	CHECK_SYS(unlink("linked"));
	CHECK_SYS(unlink("/run/linked"));
	victim_ready();

	CHECK_ERRNO(access("linked", F_OK), ENOENT);
	CHECK_ERRNO(access("/run/linked", F_OK), ENOENT);
	check(on_overlay, "sub/other", "/var/tmp/linked (deleted)");
	check(on_tmpfs, "/run/lock/other", "/run/linked (deleted)");
	victim_pass();
}
