// SPDX-License-Identifier: Apache-2.0
/* Settings of the pod's own namespaces, changed by one who may. */
/* run: --cap-add sys_admin */
/* run: --cap-add net_admin */
/* run: --seccomp unconfined */
#include "tests/victims/victim.h"

#include <sys/mount.h>

static const char *const settings[][2] = {
	{ "kernel/msgmax", "10000" },
	{ "kernel/sem", "400\t40000\t50\t300" },
	{ "fs/mqueue/msg_max", "7" },
	{ "net/ipv4/ip_local_port_range", "20000\t30000" },
	{ "net/core/somaxconn", "77" },
};
#define N (sizeof(settings) / sizeof(settings[0]))

int main(void)
{
	char path[128], got[128];
	ssize_t n;
	int fd;

	/* A proc of our own, to write to, and gone again: the pod's is read-only. */
	CHECK_SYS(mkdir("/run/proc", 0700));
	CHECK_SYS(mount("proc", "/run/proc", "proc", 0, NULL));
	for (size_t i = 0; i < N; i++) {
		snprintf(path, sizeof(path), "/run/proc/sys/%s", settings[i][0]);
		fd = CHECK_SYS(open(path, O_WRONLY));
		CHECK_EQ(write(fd, settings[i][1], strlen(settings[i][1])), (ssize_t)strlen(settings[i][1]));
		CHECK_SYS(close(fd));
	}
	CHECK_SYS(umount("/run/proc"));
	victim_ready();
	for (size_t i = 0; i < N; i++) {
		snprintf(path, sizeof(path), "/proc/sys/%s", settings[i][0]);
		fd = CHECK_SYS(open(path, O_RDONLY));
		n = CHECK_SYS(read(fd, got, sizeof(got) - 1));
		got[n - 1] = '\0';
		CHECK_STR(got, settings[i][1]);
		CHECK_SYS(close(fd));
	}
	victim_pass();
}
