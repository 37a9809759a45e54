// SPDX-License-Identifier: Apache-2.0
/* A subreaper: what its descendants leave behind becomes its child. */
#include "tests/victims/victim.h"

#include <sys/prctl.h>

static pid_t *grandchild;

static void sleeper(void *arg)
{
	(void)arg;
	victim_wait();
	victim_sleep_ms(50);
	_exit(42);
}

static void child(void *arg)
{
	*grandchild = victim_fork(sleeper, arg);
	victim_wait();
	_exit(0); /* leaves it */
}

int main(void)
{
	int status, is = 0;
	pid_t pid;

	grandchild = CHECK_SYS(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	CHECK_SYS(prctl(PR_SET_CHILD_SUBREAPER, 1));
	pid = victim_fork(child, NULL);
	VICTIM_UNTIL(*grandchild);
	victim_ready();
	CHECK_SYS(prctl(PR_GET_CHILD_SUBREAPER, &is));
	CHECK_EQ(is, 1);
	victim_join(pid);
	CHECK_EQ(waitpid(*grandchild, &status, 0), *grandchild);
	CHECK_EQ(WEXITSTATUS(status), 42);
	victim_pass();
}
