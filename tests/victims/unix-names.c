/* SPDX-License-Identifier: Apache-2.0 */
/* Names: autobound, abstract with NULs in it, a path of the greatest length, relative paths, a renamed file. */
#include "victim.h"

#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#define PATH_AT offsetof(struct sockaddr_un, sun_path)

static int bound(struct sockaddr_un *a, socklen_t len)
{
	int fd = CHECK_SYS(socket(AF_UNIX, SOCK_DGRAM, 0));

	CHECK_SYS(bind(fd, (struct sockaddr *)a, len));
	return fd;
}

static void reaches(const char *path, int fd)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int s = CHECK_SYS(socket(AF_UNIX, SOCK_DGRAM, 0));
	char text[8];

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	CHECK_EQ(sendto(s, "hi", 2, 0, (struct sockaddr *)&a, sizeof(a)), 2);
	CHECK_EQ(recv(fd, text, sizeof(text), MSG_DONTWAIT), 2);
	CHECK_SYS(close(s));
}

static void check(int fd, const struct sockaddr_un *want, socklen_t want_len)
{
	struct sockaddr_storage got;
	socklen_t len = sizeof(got);

	CHECK_SYS(getsockname(fd, (struct sockaddr *)&got, &len));
	CHECK_EQ(len, want_len);
	CHECK_MEM(&got, want, want_len < sizeof(*want) ? want_len : sizeof(*want));
}

int main(void)
{
	struct sockaddr_un automatic = { .sun_family = AF_UNIX }, nuls = automatic, longest = automatic,
			   relative = automatic, deep = automatic, renamed = automatic;
	socklen_t len = sizeof(automatic);
	int fds[6];

	fds[0] = bound(&automatic, sizeof(sa_family_t));
	CHECK_SYS(getsockname(fds[0], (struct sockaddr *)&automatic, &len));
	memcpy(nuls.sun_path, "\0a\0b\0", 5);
	fds[1] = bound(&nuls, PATH_AT + 5);
	CHECK_SYS(mkdir("/run/d", 0755));
	memset(longest.sun_path, 'l', sizeof(longest.sun_path));
	memcpy(longest.sun_path, "/run/d/", 7);
	fds[2] = bound(&longest, sizeof(longest));
	CHECK_SYS(chdir("/run/d"));
	strcpy(relative.sun_path, "relative");
	fds[3] = bound(&relative, sizeof(relative));
	CHECK_SYS(chdir("/run"));
	strcpy(deep.sun_path, "d/deep");
	fds[4] = bound(&deep, sizeof(deep));
	strcpy(renamed.sun_path, "/run/d/new");
	fds[5] = bound(&renamed, sizeof(renamed));
	CHECK_SYS(rename("/run/d/new", "/run/d/final"));
	victim_ready();
	check(fds[0], &automatic, len);
	check(fds[1], &nuls, PATH_AT + 5);
	check(fds[2], &longest, PATH_AT + sizeof(longest.sun_path) + 1);
	check(fds[3], &relative, PATH_AT + 9);
	check(fds[4], &deep, PATH_AT + 7);
	check(fds[5], &renamed, PATH_AT + 11);
	reaches("/run/d/relative", fds[3]);
	reaches("/run/d/deep", fds[4]);
	reaches("/run/d/final", fds[5]);
	CHECK_EQ(access("/run/d/new", F_OK), -1);
	victim_pass();
}
