// SPDX-License-Identifier: Apache-2.0
/* A process behind chroot(2), with a working directory inside, and one whose working directory is outside. */
#include "tests/victims/victim.h"

static void child(void *arg)
{
	char at[256];

	if (arg)
		CHECK_SYS(chdir("/run"));
	CHECK_SYS(chroot("/var/tmp/jail"));
	if (!arg)
		CHECK_SYS(chdir("/cell"));
	setenv("VICTIM_DIR", "/run", 1);
	victim_wait();
	CHECK_SYS(access("/cell", F_OK));
	CHECK_ERRNO(access("/var", F_OK), ENOENT);
	if (arg)
		CHECK_SYS(access("victim.ready", F_OK));
	else
		CHECK_STR(getcwd(at, sizeof(at)), "/cell");
}

int main(void)
{
	pid_t inside, outside;

	CHECK_SYS(mkdir("jail", 0755));
	CHECK_SYS(mkdir("jail/cell", 0755));
	CHECK_SYS(mkdir("jail/run", 0755));
	inside = victim_fork(child, NULL);
	outside = victim_fork(child, "");
	victim_ready();
	CHECK_SYS(close(CHECK_SYS(open("jail/run/victim.go", O_CREAT | O_WRONLY, 0600))));
	victim_join(inside);
	victim_join(outside);
	victim_pass();
}
