// SPDX-License-Identifier: Apache-2.0
/* A signalfd in an epoll set wakes the process that put it there, and not one that inherited both. */
#include "tests/victims/victim.h"

#include <sys/epoll.h>
#include <sys/signalfd.h>

static int make_set(int *ret_signals)
{
	int set = CHECK_SYS(epoll_create1(0));
	struct epoll_event e = { EPOLLIN, { .u64 = 7 } };
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGURG);
	CHECK_SYS(sigprocmask(SIG_BLOCK, &mask, NULL));
	*ret_signals = CHECK_SYS(signalfd(-1, &mask, SFD_NONBLOCK));
	CHECK_SYS(epoll_ctl(set, EPOLL_CTL_ADD, *ret_signals, &e));
	return set;
}

static void expect(int set, int signals, int timeout)
{
	struct signalfd_siginfo info;
	struct epoll_event e;

	CHECK_EQ(epoll_wait(set, &e, 1, timeout), 1);
	CHECK_EQ(e.data.u64, 7);
	CHECK_EQ(read(signals, &info, sizeof(info)), (ssize_t)sizeof(info));
	CHECK_EQ(info.ssi_signo, SIGURG);
	CHECK_EQ(epoll_wait(set, &e, 1, 0), 0);
}

int main(void)
{
	int signals, set = make_set(&signals);
	pid_t heir, own;

	heir = CHECK_SYS(fork());
	if (!heir) {
		victim_wait();
		_exit(0);
	}
	own = CHECK_SYS(fork());
	if (!own) {
		close(set);
		close(signals);
		set = make_set(&signals);
		expect(set, signals, -1);
		expect(set, signals, -1);
		_exit(0);
	}
	/* One is pending already. */
	CHECK_SYS(raise(SIGURG));
	victim_ready();
	expect(set, signals, 0);
	CHECK_SYS(kill(own, SIGURG));
	CHECK_SYS(raise(SIGURG));
	expect(set, signals, 0);
	/* Two that come at once are one: another until it has ended. */
	for (;;) {
		siginfo_t info = { 0 };

		CHECK_SYS(waitid(P_PID, (id_t)own, &info, WEXITED | WNOHANG | WNOWAIT));
		if (info.si_pid)
			break;
		CHECK_SYS(kill(own, SIGURG));
		victim_sleep_ms(10);
	}
	victim_join(own);
	victim_join(heir);
	victim_pass();
}
