/* SPDX-License-Identifier: Apache-2.0 */
/* What prctl(2) sets for a whole address space: no huge pages, or but where asked for. */
#include "tests/victims/mem.h"

#include <sys/prctl.h>

#define EXCEPT_ADVISED 2UL

static void child(void *arg)
{
	CHECK_SYS(prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0));
	victim_wait();
	CHECK_EQ(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0), 0);
}

static void choosy(void *arg)
{
	bool can;

	CHECK_SYS(prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0));
	can = prctl(PR_SET_THP_DISABLE, 1, EXCEPT_ADVISED, 0, 0) == 0; /* since Linux 6.18 */
	victim_wait();
	CHECK_EQ(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0), can ? 1 | EXCEPT_ADVISED : 0);
}

int main(void)
{
	pid_t pids[2];

	CHECK_SYS(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0));
	for (int i = 0; i < 2; i++)
		pids[i] = victim_fork(i ? choosy : child, NULL);
	victim_ready();
	CHECK_EQ(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0), 1);
	for (int i = 0; i < 2; i++)
		victim_join(pids[i]);
	victim_pass();
}
