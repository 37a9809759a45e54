// SPDX-License-Identifier: Apache-2.0
/* Working directory and umask, of two processes. */
#include "tests/victims/victim.h"

static void child(void *arg)
{
	char at[256];

	(void)arg;
	CHECK_SYS(chdir("/run"));
	umask(0123);
	victim_wait();
	CHECK_STR(getcwd(at, sizeof(at)), "/run");
	CHECK_EQ(umask(0), 0123);
}

int main(void)
{
	char at[256];
	pid_t pid = victim_fork(child, NULL);

	CHECK_SYS(mkdir("deep", 0700));
	CHECK_SYS(chdir("deep"));
	CHECK_SYS(mkdir("er", 0700));
	CHECK_SYS(chdir("er"));
	umask(0077);
	victim_ready();
	CHECK_STR(getcwd(at, sizeof(at)), "/var/tmp/deep/er");
	CHECK_SYS(close(CHECK_SYS(open("x", O_CREAT | O_WRONLY, 0666))));
	CHECK_SYS(access("/var/tmp/deep/er/x", F_OK));
	CHECK_EQ(umask(0), 0077);
	victim_join(pid);
	victim_pass();
}
