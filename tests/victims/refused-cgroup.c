/* SPDX-License-Identifier: Apache-2.0 */
/* A process in a cgroup that the pod has made below its own. */
/* run: --cap-add */
/* run: SYS_ADMIN */
/* run: --seccomp */
/* run: unconfined */
/* refused: pid 3 (refused-cgroup): it is in the cgroup '/below' below the pod's, which is not carried; move it to '/' first */
#include "tests/victims/victim.h"

#include <sys/mount.h>

static void move(pid_t pid, const char *to)
{
	int fd = CHECK_SYS(open(to, O_WRONLY | O_CLOEXEC));
	char text[16];
	int n = snprintf(text, sizeof(text), "%d", pid);

	CHECK_EQ(write(fd, text, n), n);
	CHECK_SYS(close(fd));
}

static void child(void *arg)
{
	victim_wait();
}

int main(void)
{
	pid_t pid;

	CHECK_SYS(mount("cgroup", "/mnt", "cgroup2", 0, NULL));
	CHECK_SYS(mkdir("/mnt/below", 0755));
	pid = victim_fork(child, NULL);
	move(pid, "/mnt/below/cgroup.procs");
	CHECK_SYS(umount("/mnt"));
	victim_ready();
	victim_join(pid);
	CHECK_SYS(mount("cgroup", "/mnt", "cgroup2", 0, NULL));
	VICTIM_UNTIL(rmdir("/mnt/below") == 0); /* it leaves a moment after it was waited for */
	CHECK_SYS(umount("/mnt"));
	victim_pass();
}
