/* SPDX-License-Identifier: Apache-2.0 */
/* What is in /run, /dev/shm and /dev, and what was taken away there. */
/* run: --cap-add */
/* run: MKNOD */
#include "tests/victims/victim.h"

#include <sys/sysmacros.h>

static const struct timespec times[2] = { { 111, 1 }, { 222, 333444555 } };

int main(void)
{
	struct stat st, other;
	char text[64] = "", *map;
	int fd;

	CHECK_SYS(mkdir("/run/dir", 0700));
	CHECK_SYS(chown("/run/dir", 12, 34));
	fd = CHECK_SYS(open("/run/dir/file", O_RDWR | O_CREAT, 0640));
	CHECK_EQ(write(fd, "running", 7), 7);
	CHECK_SYS(ftruncate(fd, 1L << 33));
	CHECK_SYS(link("/run/dir/file", "/run/lock/file"));
	CHECK_SYS(futimens(fd, times));
	CHECK_SYS(utimensat(AT_FDCWD, "/run/dir", times, 0));
	fd = CHECK_SYS(open("/dev/shm/shared", O_RDWR | O_CREAT, 0666));
	CHECK_SYS(ftruncate(fd, 8192));
	map = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(map != MAP_FAILED);
	strcpy(map + 4096, "mapped");
	CHECK_SYS(close(fd));
	CHECK_SYS(mknod("/dev/mine", S_IFCHR | 0600, makedev(1, 5)));
	CHECK_SYS(unlink("/dev/full"));
	CHECK_SYS(chmod("/dev/null", 0600));
	CHECK_SYS(symlink("null", "/dev/link"));
	CHECK_SYS(mknod("/run/socket", S_IFSOCK | 0755, 0));
	CHECK_SYS(mkfifo("/run/fifo", 0600));
	CHECK_SYS(chmod("/dev/shm", 0755));
	victim_ready();

	CHECK_SYS(stat("/run/dir", &st));
	CHECK_EQ(st.st_mode, S_IFDIR | 0700);
	CHECK_EQ(st.st_gid, 34);
	CHECK_EQ(st.st_mtim.tv_nsec, 333444555);
	CHECK_SYS(stat("/run/dir/file", &st));
	CHECK_SYS(stat("/run/lock/file", &other));
	CHECK_EQ(st.st_ino, other.st_ino);
	CHECK_EQ(st.st_nlink, 2);
	CHECK_EQ(st.st_size, 1L << 33);
	CHECK(st.st_blocks < 100);
	CHECK_EQ(st.st_mtim.tv_sec, 222);
	CHECK_EQ(st.st_mode & 07777, 0640);
	fd = CHECK_SYS(open("/run/dir/file", O_RDONLY));
	CHECK_EQ(read(fd, text, 8), 8);
	CHECK_STR(text, "running");
	fd = CHECK_SYS(open("/dev/shm/shared", O_RDWR));
	CHECK_EQ(pread(fd, text, 8, 4096), 8);
	CHECK_STR(text, "mapped");
	/* The mapping is of this very file. */
	CHECK_EQ(pwrite(fd, "M", 1, 4096), 1);
	CHECK_EQ(map[4096], 'M');
	CHECK_ERRNO(access("/dev/full", F_OK), ENOENT);
	fd = CHECK_SYS(open("/dev/mine", O_RDONLY));
	CHECK_EQ(read(fd, text, 8), 8);
	CHECK_STR(text, "");
	CHECK_SYS(stat("/dev/null", &st));
	CHECK_EQ(st.st_mode, S_IFCHR | 0600);
	CHECK_EQ(readlink("/dev/link", text, 8), 4);
	CHECK_SYS(lstat("/run/socket", &st));
	CHECK_EQ(st.st_mode, S_IFSOCK | 0755);
	CHECK_SYS(lstat("/run/fifo", &st));
	CHECK_EQ(st.st_mode, S_IFIFO | 0600);
	CHECK_SYS(stat("/dev/shm", &st));
	CHECK_EQ(st.st_mode, S_IFDIR | 0755);
	victim_pass();
}
