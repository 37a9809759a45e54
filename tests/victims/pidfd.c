// SPDX-License-Identifier: Apache-2.0
/* A pidfd still means the process it was opened for: alive, itself, its parent, a zombie. */
#include "tests/victims/victim.h"

#include <poll.h>

static void work(void *arg)
{
	pause();
}

static void end(void *arg)
{
	_exit(3);
}

static bool ended(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

static int pidfd_of(pid_t pid, unsigned int flags)
{
	return CHECK_SYS((int)syscall(SYS_pidfd_open, pid, flags));
}

int main(void)
{
	pid_t alive = victim_fork(work, NULL), dead = victim_fork(end, NULL);
	int child = pidfd_of(alive, O_NONBLOCK), zombie = pidfd_of(dead, 0), self = pidfd_of(getpid(), 0);
	int init = pidfd_of(1, 0);
	siginfo_t info = { 0 };

	VICTIM_UNTIL(ended(zombie));
	victim_ready();
	CHECK_EQ(fcntl(child, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	CHECK(ended(zombie));
	CHECK(!ended(child) && !ended(self) && !ended(init));
	CHECK_SYS(waitid(P_PIDFD, (id_t)zombie, &info, WEXITED));
	CHECK_EQ(info.si_pid, dead);
	CHECK_EQ(info.si_status, 3);
	CHECK_SYS((int)syscall(SYS_pidfd_send_signal, child, SIGTERM, NULL, 0));
	CHECK_SYS(fcntl(child, F_SETFL, 0));
	CHECK_SYS(waitid(P_PIDFD, (id_t)child, &info, WEXITED));
	CHECK_EQ(info.si_pid, alive);
	CHECK_EQ(info.si_code, CLD_KILLED);
	CHECK_SYS((int)syscall(SYS_pidfd_send_signal, self, 0, NULL, 0));
	victim_pass();
}
