/* SPDX-License-Identifier: Apache-2.0 */
/* The file of a bound socket keeps owner, mode and place; nothing else appears in its directory. */
#include "victim.h"

#include <dirent.h>
#include <sys/socket.h>
#include <sys/un.h>

static void run(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = CHECK_SYS(socket(AF_UNIX, SOCK_STREAM, 0));

	strcpy(a.sun_path, path);
	CHECK_SYS(bind(fd, (struct sockaddr *)&a, sizeof(a)));
	CHECK_SYS(listen(fd, 5));
	CHECK_SYS(chmod(path, 0640));
	CHECK_SYS(chown(path, 7, 8));
}

static void check(const char *path, const char *directory)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = CHECK_SYS(socket(AF_UNIX, SOCK_STREAM, 0)), n = 0;
	DIR *dir = opendir(directory);
	struct dirent *e;
	struct stat st;

	CHECK_SYS(stat(path, &st));
	CHECK_EQ(st.st_mode, S_IFSOCK | 0640);
	CHECK_EQ(st.st_uid, 7);
	CHECK_EQ(st.st_gid, 8);
	strcpy(a.sun_path, path);
	CHECK_SYS(connect(fd, (struct sockaddr *)&a, sizeof(a)));
	while ((e = readdir(dir)))
		n += e->d_name[0] != '.';
	CHECK_EQ(n, 1);
}

int main(void)
{
	struct stat before, after;

	CHECK_SYS(mkdir("/run/tmpfs", 0755));
	CHECK_SYS(mkdir("/var/tmp/victim-overlay", 0755));
	run("/run/tmpfs/socket");
	run("/var/tmp/victim-overlay/socket");
	CHECK_SYS(stat("/var/tmp/victim-overlay", &before));
	victim_ready();
	CHECK_SYS(stat("/var/tmp/victim-overlay", &after));
	CHECK_EQ(after.st_mtim.tv_sec, before.st_mtim.tv_sec);
	CHECK_EQ(after.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
	check("/run/tmpfs/socket", "/run/tmpfs");
	check("/var/tmp/victim-overlay/socket", "/var/tmp/victim-overlay");
	victim_pass();
}
