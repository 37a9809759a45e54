// SPDX-License-Identifier: Apache-2.0
/* Signals that wait blocked: for the process and for a thread, queued several times, with their siginfo. */
#include "tests/victims/victim.h"

static siginfo_t take(int sig)
{
	struct timespec none = { 0 };
	siginfo_t info;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, sig);
	/* The bare call: the C library shows another code for tgkill. */
	if (syscall(SYS_rt_sigtimedwait, &set, &info, &none, 8) != sig)
		VICTIM_FAIL("signal %d is not pending: %s", sig, strerror(errno));
	return info;
}

int main(void)
{
	struct timespec none = { 0 };
	siginfo_t info;
	sigset_t set;
	pid_t child;

	sigfillset(&set);
	sigprocmask(SIG_SETMASK, &set, NULL);
	for (int i = 0; i < 3; i++)
		CHECK_SYS(sigqueue(getpid(), SIGRTMIN + 3, (union sigval){ .sival_int = 100 + i }));
	CHECK_SYS(kill(getpid(), SIGUSR1));
	CHECK_SYS(kill(getpid(), SIGURG));
	CHECK_SYS(kill(getpid(), SIGTSTP));
	CHECK_SYS(syscall(SYS_tgkill, getpid(), getpid(), SIGUSR2));
	info = (siginfo_t){ .si_signo = SIGSEGV, .si_code = SEGV_MAPERR };
	info.si_addr = (void *)0x1234000;
	CHECK_SYS(syscall(SYS_rt_tgsigqueueinfo, getpid(), getpid(), SIGSEGV, &info));
	child = CHECK_SYS(fork());
	if (!child)
		_exit(7);
	CHECK_SYS(waitid(P_PID, child, &info, WEXITED | WNOWAIT));

	victim_ready();

	for (int i = 0; i < 3; i++) {
		info = take(SIGRTMIN + 3);
		CHECK_EQ(info.si_code, SI_QUEUE);
		CHECK_EQ(info.si_value.sival_int, 100 + i);
		CHECK_EQ(info.si_pid, getpid());
	}
	info = take(SIGUSR1);
	CHECK_EQ(info.si_code, SI_USER);
	CHECK_EQ(info.si_pid, getpid());
	take(SIGURG);
	take(SIGTSTP);
	CHECK_EQ(take(SIGUSR2).si_code, SI_TKILL);
	info = take(SIGSEGV);
	CHECK_EQ(info.si_code, SEGV_MAPERR);
	CHECK(info.si_addr == (void *)0x1234000);
	info = take(SIGCHLD);
	CHECK_EQ(info.si_code, CLD_EXITED);
	CHECK_EQ(info.si_pid, child);
	CHECK_EQ(info.si_status, 7);
	CHECK_EQ(waitpid(child, NULL, 0), child);
	/* Nothing else, and nothing twice. */
	CHECK_ERRNO(sigtimedwait(&set, &info, &none), EAGAIN);
	victim_pass();
}
