/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets whose path is gone, or another's by now. */
#include "victim.h"

#include <sys/socket.h>
#include <sys/un.h>

static int bound(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = CHECK_SYS(socket(AF_UNIX, SOCK_DGRAM, 0));

	strcpy(a.sun_path, path);
	CHECK_SYS(bind(fd, (struct sockaddr *)&a, sizeof(a)));
	return fd;
}

static void check(int fd, const char *path)
{
	struct sockaddr_un a = { 0 };
	socklen_t len = sizeof(a);

	CHECK_SYS(getsockname(fd, (struct sockaddr *)&a, &len));
	CHECK_STR(a.sun_path, path);
}

int main(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX, .sun_path = "/run/gone/taken" };
	int removed, replaced, now, s;
	char text[8];

	CHECK_SYS(mkdir("/run/gone", 0755));
	CHECK_SYS(mkdir("/run/gone/deeper", 0755));
	removed = bound("/run/gone/deeper/socket");
	CHECK_SYS(unlink("/run/gone/deeper/socket"));
	CHECK_SYS(rmdir("/run/gone/deeper"));
	replaced = bound("/run/gone/taken");
	CHECK_SYS(unlink("/run/gone/taken"));
	now = bound("/run/gone/taken");
	victim_ready();
	check(removed, "/run/gone/deeper/socket");
	check(replaced, "/run/gone/taken");
	check(now, "/run/gone/taken");
	CHECK_EQ(access("/run/gone/deeper", F_OK), -1);
	s = CHECK_SYS(socket(AF_UNIX, SOCK_DGRAM, 0));
	CHECK_EQ(sendto(s, "new", 3, 0, (struct sockaddr *)&a, sizeof(a)), 3);
	CHECK_EQ(recv(now, text, sizeof(text), MSG_DONTWAIT), 3);
	CHECK_ERRNO(recv(replaced, text, sizeof(text), MSG_DONTWAIT), EAGAIN);
	victim_pass();
}
