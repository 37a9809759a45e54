/* SPDX-License-Identifier: Apache-2.0 */
/* New processes get the numbers that they would have got. */
#include "victim.h"

static pid_t next(void)
{
	pid_t pid = CHECK_SYS(fork());

	if (!pid)
		_exit(0);
	victim_join(pid);
	return pid;
}

int main(void)
{
	pid_t last = 0;

	for (int i = 0; i < 50; i++)
		last = next();
	CHECK(last >= 52);
	victim_ready();
	CHECK_EQ(next(), last + 1);
	victim_pass();
}
