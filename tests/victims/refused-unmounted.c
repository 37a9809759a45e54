/* SPDX-License-Identifier: Apache-2.0 */
/* A unix socket whose file is on a file system that was unmounted. */
/* run: --cap-add sys_admin --seccomp unconfined */
/* refused: pid 2 (refused-unmount) fd 3: its file '/socket' is not in the pod's file tree any more (unmounted, or something was mounted over it); close it first */
#include "victim.h"

#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/un.h>

int main(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX, .sun_path = "/run/mine/socket" };
	socklen_t len = sizeof(a);
	int fd = CHECK_SYS(socket(AF_UNIX, SOCK_DGRAM, 0));

	CHECK_SYS(mkdir("/run/mine", 0700));
	CHECK_SYS(mount("mine", "/run/mine", "tmpfs", 0, NULL));
	CHECK_SYS(bind(fd, (struct sockaddr *)&a, sizeof(a)));
	CHECK_SYS(umount2("/run/mine", MNT_DETACH));
	victim_ready();
	CHECK_SYS(getsockname(fd, (struct sockaddr *)&a, &len));
	CHECK_STR(a.sun_path, "/run/mine/socket");
	victim_pass();
}
