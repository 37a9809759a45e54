/* SPDX-License-Identifier: Apache-2.0 */
/* Something mounted over files that are open, and what the pod was given unmounted. */
/* run: --cap-add */
/* run: SYS_ADMIN */
/* run: --seccomp */
/* run: unconfined */
/* run: -v */
/* run: /usr/share:/mnt/volume:ro */
/* refused: pid 2 (refused-covered) fd 3: something is mounted over '/opt/victim/file', which is not carried; close it first */
/* refused: pid 2 (refused-covered) fd 4: the FIFO cannot be found by its name '/opt/victim/fifo'; close it first */
/* refused: the mount of tmpfs on '/opt/victim' was made inside the pod and is not carried; unmount it first */
/* refused: the volume '/mnt/volume' was unmounted inside the pod, which is not carried */
#include "tests/victims/victim.h"

#include <sys/mount.h>

int main(void)
{
	char byte;

	CHECK_SYS(umount("/mnt/volume"));
	CHECK_SYS(mkdir("/opt/victim", 0700));
	CHECK_SYS(mkfifo("/opt/victim/fifo", 0600));
	CHECK_EQ(CHECK_SYS(open("/opt/victim/file", O_RDWR | O_CREAT, 0600)), 3);
	CHECK_EQ(CHECK_SYS(open("/opt/victim/fifo", O_RDWR | O_NONBLOCK)), 4);
	CHECK_SYS(mount("mine", "/opt/victim", "tmpfs", 0, NULL));
	victim_ready();
	CHECK_EQ(write(3, "x", 1), 1);
	CHECK_EQ(write(4, "x", 1), 1);
	CHECK_EQ(read(4, &byte, 1), 1);
	CHECK_ERRNO(access("/opt/victim/file", F_OK), ENOENT);
	victim_pass();
}
