/* SPDX-License-Identifier: Apache-2.0 */
/* One deleted file behind several descriptions, names, processes and a mapping is still one file. */
#include "tests/victims/victim.h"

static void child(void *arg)
{
	int fd = *(int *)arg;
	char c = 0;

	victim_wait();
	VICTIM_UNTIL(pread(fd, &c, 1, 100) == 1 && c == 'm');
	CHECK_EQ(pwrite(fd, "k", 1, 101), 1);
}

int main(void)
{
	int a = CHECK_SYS(open("one", O_RDWR | O_CREAT, 0644)), b, append, reader;
	char *map, c = 0, text[8];
	struct stat st, other;
	pid_t pid;

	CHECK_SYS(ftruncate(a, 5000));
	CHECK_SYS(link("one", "two"));
	b = CHECK_SYS(open("two", O_RDWR | O_NOFOLLOW));
	append = CHECK_SYS(open("one", O_WRONLY | O_APPEND));
	reader = CHECK_SYS(open("two", O_RDONLY));
	CHECK_EQ(lseek(reader, 4998, SEEK_SET), 4998);
	map = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, a, 0);
	CHECK(map != MAP_FAILED);
	map[4999] = 'e';
	CHECK_SYS(unlink("one"));
	CHECK_SYS(unlink("two"));
	pid = victim_fork(child, &a);
	CHECK_SYS(close(a));
	victim_ready();

	CHECK_SYS(fstat(b, &st));
	CHECK_SYS(fstat(reader, &other));
	CHECK_EQ(st.st_ino, other.st_ino);
	CHECK_EQ(st.st_nlink, 0);
	CHECK_EQ(read(reader, text, 8), 2);
	CHECK_EQ(text[1], 'e');
	map[100] = 'm';
	victim_join(pid);
	CHECK_EQ(map[101], 'k');
	CHECK_EQ(pread(b, &c, 1, 101), 1);
	CHECK_EQ(c, 'k');
	CHECK_EQ(write(append, "xyz", 3), 3);
	CHECK_EQ(read(reader, text, 8), 3);
	CHECK_MEM(text, "xyz", 3);
	CHECK_EQ(map[5002], 'z');
	CHECK(fcntl(b, F_GETFL) & O_NOFOLLOW);
	victim_pass();
}
