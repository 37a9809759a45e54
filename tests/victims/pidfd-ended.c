// SPDX-License-Identifier: Apache-2.0
/* A pidfd of a process that is no more cannot be made again. */
/* refused: pid 2 (pidfd-ended) fd 3: a pidfd of a process that has ended is not carried; close it first */
#include "tests/victims/victim.h"

static void end(void *arg)
{
}

int main(void)
{
	pid_t child = victim_fork(end, NULL);
	int fd = CHECK_SYS((int)syscall(SYS_pidfd_open, child, 0));

	CHECK_EQ(fd, 3);
	victim_join(child);
	victim_ready();
	CHECK_ERRNO(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0), ESRCH);
	victim_pass();
}
