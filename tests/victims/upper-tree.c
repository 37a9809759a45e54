/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a pod wrote over its trees: every type of file, owners, modes, times, extended attributes, ACLs, hard
 * links, holes, odd names, and files of the host that were deleted, changed, moved or hidden.
 */
/* run: --cap-add */
/* run: MKNOD */
#include "tests/victims/victim.h"

#include <dirent.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#define HOLE (5L << 30)

static const struct timespec times[2] = { { 111, 1 }, { 222, 333444555 } };

static char long_name[256];
static const char acl[] = /* u::rw-,u:1000:r--,g::r--,m::r--,o::--- as the kernel keeps it */
	"\2\0\0\0"
	"\1\0\6\0\xff\xff\xff\xff"
	"\2\0\4\0\xe8\3\0\0"
	"\4\0\4\0\xff\xff\xff\xff"
	"\x10\0\4\0\xff\xff\xff\xff"
	"\x20\0\0\0\xff\xff\xff\xff";

static void write_file(const char *path, const char *text)
{
	int fd = CHECK_SYS(open(path, O_WRONLY | O_CREAT | O_EXCL, 0600));

	CHECK_EQ(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	CHECK_SYS(close(fd));
}

static void check_text(const char *path, const char *text)
{
	int fd = CHECK_SYS(open(path, O_RDONLY | O_NOFOLLOW));
	char got[512] = "";

	CHECK(read(fd, got, sizeof(got) - 1) >= 0);
	CHECK_STR(got, text);
	CHECK_SYS(close(fd));
}

static void make_plain(void)
{
	int fd;

	CHECK_SYS(mkdir("tree", 0755));
	CHECK_SYS(chdir("tree"));
	write_file("file", "content");
	CHECK_SYS(chown("file", 1001, 70000));
	CHECK_SYS(chmod("file", 06755));
	write_file(long_name, "long");
	write_file("\xff\xc3(", "not utf-8");
	write_file("new\nline", "new line");
	write_file("empty", "");
	write_file("one", "linked");
	CHECK_SYS(mkdir("sub", 01777));
	CHECK_SYS(link("one", "sub/two"));
	CHECK_SYS(link("one", "three"));
	fd = CHECK_SYS(open("sparse", O_WRONLY | O_CREAT, 0600));
	CHECK_EQ(pwrite(fd, "tail", 4, HOLE), 4);
	CHECK_SYS(ftruncate(fd, HOLE + 123456));
	CHECK_SYS(close(fd));
	fd = CHECK_SYS(open("hole", O_WRONLY | O_CREAT, 0600));
	CHECK_SYS(ftruncate(fd, 99999));
	CHECK_SYS(close(fd));
}

static void make_special(void)
{
	CHECK_SYS(symlink("../some/where", "symlink"));
	CHECK_SYS(lchown("symlink", 5, 6));
	CHECK_SYS(mkfifo("fifo", 0620));
	CHECK_SYS(mknod("socket", S_IFSOCK | 0755, 0));
	CHECK_SYS(mknod("device", S_IFCHR | 0640, makedev(1, 7)));
	CHECK_SYS(setxattr("file", "user.binary", "\0\1\xff", 3, 0));
	CHECK_SYS(setxattr("sub", "user.on-directory", "", 0, 0));
	CHECK_SYS(setxattr("file", "system.posix_acl_access", acl, sizeof(acl) - 1, 0));
	CHECK_SYS(setxattr("sub", "system.posix_acl_default", acl, sizeof(acl) - 1, 0));
	CHECK_SYS(utimensat(AT_FDCWD, "file", times, 0));
	CHECK_SYS(utimensat(AT_FDCWD, "symlink", times, AT_SYMLINK_NOFOLLOW));
	CHECK_SYS(utimensat(AT_FDCWD, "sub", times, 0));
}

/* Deeper than one path can say. */
#define DEPTH 60

static void make_deep(void)
{
	int here = CHECK_SYS(open(".", O_RDONLY | O_DIRECTORY));

	long_name[100] = '\0';
	for (int i = 0; i < DEPTH; i++) {
		CHECK_SYS(mkdir(long_name, 0755));
		CHECK_SYS(chdir(long_name));
	}
	write_file("deep", "deep");
	CHECK_SYS(link("deep", "deeper"));
	CHECK_SYS(fchdir(here));
	CHECK_SYS(close(here));
	long_name[100] = 'n';
}

static void check_deep(void)
{
	struct stat st;

	long_name[100] = '\0';
	for (int i = 0; i < DEPTH; i++)
		CHECK_SYS(chdir(long_name));
	check_text("deeper", "deep");
	CHECK_SYS(stat("deep", &st));
	CHECK_EQ(st.st_nlink, 2);
}

/* Something of the host's, which every host has. */
static void make_lower(void)
{
	int fd = CHECK_SYS(open("/etc/passwd", O_WRONLY | O_APPEND));

	CHECK_EQ(write(fd, "victim:x:1:1::/:/\n", 18), 18);
	CHECK_SYS(close(fd));
	CHECK_SYS(unlink("/etc/group"));
	CHECK_SYS(rename("/etc/nsswitch.conf", "/etc/moved"));
	CHECK_SYS(chmod("/etc/fstab", 0600));
	CHECK_EQ(system("rm -rf /usr/share/doc && mkdir /usr/share/doc && touch /usr/share/doc/mine"), 0);
}

static void check_time(const char *path)
{
	struct stat st;

	CHECK_SYS(lstat(path, &st));
	CHECK_EQ(st.st_mtim.tv_sec, 222);
	CHECK_EQ(st.st_mtim.tv_nsec, 333444555);
}

static void check_plain(void)
{
	struct stat st, other;
	char text[8] = "";
	int fd;

	check_text("file", "content");
	CHECK_SYS(stat("file", &st));
	CHECK_EQ(st.st_uid, 1001);
	CHECK_EQ(st.st_gid, 70000);
	CHECK_EQ(st.st_mode & 07000, 06000);
	check_text(long_name, "long");
	check_text("\xff\xc3(", "not utf-8");
	check_text("new\nline", "new line");
	check_text("empty", "");
	check_text("three", "linked");
	CHECK_SYS(stat("one", &st));
	CHECK_SYS(stat("sub/two", &other));
	CHECK_EQ(st.st_nlink, 3);
	CHECK_EQ(st.st_ino, other.st_ino);
	CHECK_SYS(stat("sub", &st));
	CHECK_EQ(st.st_mode & 07777, 01777);
	fd = CHECK_SYS(open("sparse", O_RDONLY));
	CHECK_EQ(pread(fd, text, 8, HOLE), 8);
	CHECK_MEM(text, "tail\0\0\0\0", 8);
	CHECK_SYS(fstat(fd, &st));
	CHECK_EQ(st.st_size, HOLE + 123456);
	CHECK(st.st_blocks < 10000);
	CHECK_SYS(close(fd));
	CHECK_SYS(stat("hole", &st));
	CHECK_EQ(st.st_size, 99999);
	CHECK(st.st_blocks < 16);
}

static void check_special(void)
{
	char text[256] = "";
	struct stat st;

	CHECK_EQ(readlink("symlink", text, sizeof(text) - 1), 13);
	CHECK_STR(text, "../some/where");
	CHECK_SYS(lstat("symlink", &st));
	CHECK_EQ(st.st_uid, 5);
	CHECK_SYS(lstat("fifo", &st));
	CHECK_EQ(st.st_mode, S_IFIFO | 0620);
	CHECK_SYS(lstat("socket", &st));
	CHECK_EQ(st.st_mode, S_IFSOCK | 0755);
	CHECK_SYS(lstat("device", &st));
	CHECK_EQ(st.st_mode, S_IFCHR | 0640);
	CHECK_EQ(st.st_rdev, makedev(1, 7));
	CHECK_EQ(getxattr("file", "user.binary", text, sizeof(text)), 3);
	CHECK_MEM(text, "\0\1\xff", 3);
	CHECK_EQ(getxattr("sub", "user.on-directory", text, sizeof(text)), 0);
	CHECK_EQ(getxattr("file", "system.posix_acl_access", text, sizeof(text)), (ssize_t)sizeof(acl) - 1);
	CHECK_MEM(text, acl, sizeof(acl) - 1);
	CHECK_EQ(getxattr("sub", "system.posix_acl_default", text, sizeof(text)), (ssize_t)sizeof(acl) - 1);
	CHECK_EQ(getxattr("socket", "user.binary", text, sizeof(text)), -1);
	check_time("file");
	check_time("symlink");
	check_time("sub");
}

static void check_lower(void)
{
	struct dirent *e;
	struct stat st;
	int n = 0;
	DIR *dir;

	CHECK_EQ(system("tail -n1 /etc/passwd | grep -q ^victim: && head -n1 /etc/passwd | grep -q ^root:"), 0);
	CHECK_ERRNO(access("/etc/group", F_OK), ENOENT);
	CHECK_ERRNO(access("/etc/nsswitch.conf", F_OK), ENOENT);
	CHECK_EQ(system("grep -q passwd: /etc/moved"), 0);
	CHECK_SYS(stat("/etc/fstab", &st));
	CHECK_EQ(st.st_mode & 07777, 0600);
	dir = opendir("/usr/share/doc");
	CHECK(dir);
	while ((e = readdir(dir)))
		n++;
	closedir(dir);
	CHECK_EQ(n, 3);
	CHECK_SYS(access("/usr/share/doc/mine", F_OK));
}

int main(void)
{
	memset(long_name, 'n', 255);
	umask(0);
	make_plain();
	make_special();
	make_deep();
	make_lower();
	victim_ready();
	check_plain();
	check_special();
	check_lower();
	check_deep();
	victim_pass();
}
