// SPDX-License-Identifier: Apache-2.0
/* A signalfd has its set of signals, also of real-time ones, and reads one that was pending before. */
#include "tests/victims/victim.h"

#include <sys/signalfd.h>

int main(void)
{
	struct signalfd_siginfo info;
	union sigval value = { .sival_int = 4711 };
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGRTMIN + 3);
	sigaddset(&set, SIGRTMAX);
	CHECK_SYS(sigprocmask(SIG_BLOCK, &set, NULL));
	fd = CHECK_SYS(signalfd(-1, &set, SFD_NONBLOCK));
	CHECK_SYS(sigqueue(getpid(), SIGRTMIN + 3, value));
	victim_ready();
	CHECK_EQ(read(fd, &info, sizeof(info)), (ssize_t)sizeof(info));
	CHECK_EQ(info.ssi_signo, (uint32_t)SIGRTMIN + 3);
	CHECK_EQ(info.ssi_int, 4711);
	CHECK_EQ(info.ssi_pid, (uint32_t)getpid());
	CHECK_ERRNO(read(fd, &info, sizeof(info)), EAGAIN);
	CHECK_SYS(raise(SIGUSR1));
	CHECK_EQ(read(fd, &info, sizeof(info)), (ssize_t)sizeof(info));
	CHECK_EQ(info.ssi_signo, SIGUSR1);
	CHECK_SYS(raise(SIGRTMAX));
	CHECK_EQ(read(fd, &info, sizeof(info)), (ssize_t)sizeof(info));
	CHECK_EQ(info.ssi_signo, (uint32_t)SIGRTMAX);
	victim_pass();
}
