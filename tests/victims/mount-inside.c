/* SPDX-License-Identifier: Apache-2.0 */
/* A file system that a program of the pod has mounted. */
/* run: --cap-add */
/* run: SYS_ADMIN */
/* run: --seccomp */
/* run: unconfined */
/* refused: the mount of tmpfs on '/mnt' was made inside the pod and is not carried; unmount it first */
/* refused: the mount of tmpfs on '/run' was made inside the pod and is not carried; unmount it first */
#include "tests/victims/victim.h"

#include <sys/mount.h>

int main(void)
{
	int fd;

	CHECK_SYS(mount("mine", "/mnt", "tmpfs", 0, NULL));
	CHECK_SYS(mount("mine", "/run", "tmpfs", 0, NULL));
	fd = CHECK_SYS(open("/mnt/file", O_RDWR | O_CREAT, 0600));
	victim_ready();
	CHECK_EQ(write(fd, "x", 1), 1);
	CHECK_SYS(access("/mnt/file", F_OK));
	victim_pass();
}
