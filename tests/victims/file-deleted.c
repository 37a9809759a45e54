/* SPDX-License-Identifier: Apache-2.0 */
/* Deleted files: contents, holes, attributes and what /proc calls them; on the overlay and on a tmpfs. */
#include "tests/victims/victim.h"

#include <sys/xattr.h>

static void link_of(int fd, char text[256])
{
	char path[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = CHECK_SYS(readlink(path, text, 255));
	text[n] = '\0';
}

struct deleted {
	const char *path;
	int fd;
	char link[256];
	struct stat st;
	bool has_xattr; /* a tmpfs has user's since Linux 6.6 */
};

#define HOLE (3L << 30)

static void make(struct deleted *f)
{
	struct timespec times[2] = { { 1000, 5 }, { 2000, 123456789 } };

	f->fd = CHECK_SYS(open(f->path, O_RDWR | O_CREAT | O_EXCL, 0600));
	CHECK_EQ(write(f->fd, "begin", 5), 5);
	CHECK_EQ(pwrite(f->fd, f->path, strlen(f->path), HOLE), (ssize_t)strlen(f->path));
	f->has_xattr = !fsetxattr(f->fd, "user.deleted", "yes", 3, 0);
	if (!f->has_xattr)
		CHECK_EQ(errno, EOPNOTSUPP);
	CHECK_SYS(fchown(f->fd, 1234, 5678));
	CHECK_SYS(fchmod(f->fd, 04751));
	CHECK_SYS(futimens(f->fd, times));
	CHECK_SYS(unlink(f->path));
	CHECK_SYS(fstat(f->fd, &f->st));
	link_of(f->fd, f->link);
}

static void check(struct deleted *f)
{
	char text[256];
	struct stat st;

	link_of(f->fd, text);
	CHECK_STR(text, f->link);
	CHECK_ERRNO(access(f->path, F_OK), ENOENT);
	CHECK_SYS(fstat(f->fd, &st));
	CHECK_EQ(st.st_nlink, 0);
	CHECK_EQ(st.st_mode, f->st.st_mode);
	CHECK_EQ(st.st_uid, 1234);
	CHECK_EQ(st.st_gid, 5678);
	if (f->has_xattr) {
		CHECK_EQ(fgetxattr(f->fd, "user.deleted", text, sizeof(text)), 3);
		CHECK_MEM(text, "yes", 3);
	}
	CHECK_EQ(st.st_size, f->st.st_size);
	CHECK_EQ(st.st_mtim.tv_sec, 2000);
	CHECK_EQ(st.st_mtim.tv_nsec, 123456789);
	CHECK(st.st_blocks < 1000);
	CHECK_EQ(lseek(f->fd, 0, SEEK_CUR), 5);
	memset(text, 0, sizeof(text));
	CHECK_EQ(pread(f->fd, text, 6, 0), 6);
	CHECK_STR(text, "begin");
	CHECK_EQ(pread(f->fd, text, 200, HOLE), (ssize_t)strlen(f->path));
	CHECK_STR(text, f->path);
}

int main(void)
{
	struct deleted files[] = {
		{ .path = "/var/tmp/deleted-overlay" }, { .path = "/run/deleted-tmpfs" },
		{ .path = "/dev/shm/deleted-shm" },	{ .path = "/var/tmp/deleted (deleted)" },
		{ .path = "/var/tmp/deleted-\xff\xfe" }, { .path = "/var/tmp/a/b/c/deleted-with-directory" },
	};
	size_t n = sizeof(files) / sizeof(files[0]);
	struct stat before, after;

	CHECK_SYS(mkdir("/var/tmp/a", 0755));
	CHECK_SYS(mkdir("/var/tmp/a/b", 0755));
	CHECK_SYS(mkdir("/var/tmp/a/b/c", 0755));
	for (size_t i = 0; i < n; i++)
		make(&files[i]);
	CHECK(files[0].has_xattr);
	CHECK_SYS(rmdir("/var/tmp/a/b/c"));
	CHECK_SYS(rmdir("/var/tmp/a/b"));
	CHECK_SYS(stat("/var/tmp/a", &before));
	victim_ready();
	for (size_t i = 0; i < n; i++)
		check(&files[i]);
	CHECK_SYS(stat("/var/tmp/a", &after));
	CHECK_EQ(after.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
	CHECK_EQ(after.st_nlink, before.st_nlink);
	victim_pass();
}
