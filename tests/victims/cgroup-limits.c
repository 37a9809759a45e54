// SPDX-License-Identifier: Apache-2.0
/* run: --pids 20 --memory 300m --cpus 0.5 */
/* Limits of the pod's cgroup: the number of processes is bounded before and after. */
#include "tests/victims/victim.h"

static void child(void *arg)
{
	(void)arg;
	for (;;)
		pause();
}

int main(void)
{
	pid_t pids[32];
	int n = 0;

	victim_ready();
	while (n < 32) {
		pid_t pid = fork();

		if (pid < 0)
			break;
		if (!pid)
			child(NULL);
		pids[n++] = pid;
	}
	CHECK_EQ(errno, EAGAIN);
	CHECK_EQ(n, 18); /* podckpt-init and this are there already */
	for (int i = 0; i < n; i++) {
		CHECK_SYS(kill(pids[i], SIGKILL));
		CHECK_EQ(waitpid(pids[i], NULL, 0), pids[i]);
	}
	victim_pass();
}
