// SPDX-License-Identifier: Apache-2.0
/* Signal actions: handlers with flags and masks, ignored signals, SIGTRAP that the tools use themselves. */
#include "tests/victims/victim.h"

static volatile sig_atomic_t calls, value, blocked_inside;

static void on_usr1(int sig, siginfo_t *info, void *context)
{
	sigset_t now;

	(void)context;
	calls++;
	value = info->si_value.sival_int;
	sigprocmask(SIG_SETMASK, NULL, &now);
	blocked_inside = sigismember(&now, SIGUSR2) && sigismember(&now, SIGRTMAX) &&
			 sigismember(&now, sig);
}

static void on_once(int sig)
{
	calls += 100 + sig;
}

static void set(int sig, void (*handler)(int), int flags)
{
	struct sigaction a = { .sa_handler = handler, .sa_flags = flags };

	CHECK_SYS(sigaction(sig, &a, NULL));
}

static void check(int sig, void (*handler)(int), int flags)
{
	struct sigaction a;

	CHECK_SYS(sigaction(sig, NULL, &a));
	CHECK(a.sa_handler == handler);
	CHECK_EQ(a.sa_flags & ~0x04000000, flags);
}

int main(void)
{
	struct sigaction a = { .sa_sigaction = on_usr1, .sa_flags = SA_SIGINFO | SA_RESTART }, b;
	int status;
	pid_t pid;

	sigaddset(&a.sa_mask, SIGUSR2);
	sigaddset(&a.sa_mask, SIGRTMAX);
	CHECK_SYS(sigaction(SIGUSR1, &a, NULL));
	set(SIGUSR2, on_once, SA_RESETHAND | SA_NODEFER);
	set(SIGPIPE, SIG_IGN, 0);
	set(SIGTRAP, SIG_IGN, 0);
	set(SIGURG, on_once, SA_RESTART);
	set(SIGCHLD, SIG_DFL, SA_NOCLDWAIT);
	set(SIGRTMAX, on_once, SA_ONSTACK);

	victim_ready();

	CHECK_EQ(calls, 0);
	CHECK_SYS(sigaction(SIGUSR1, NULL, &b));
	CHECK(b.sa_sigaction == on_usr1);
	CHECK_EQ(b.sa_flags & ~0x04000000, SA_SIGINFO | SA_RESTART);
	CHECK(sigismember(&b.sa_mask, SIGUSR2) && !sigismember(&b.sa_mask, SIGHUP));
	check(SIGUSR2, on_once, SA_RESETHAND | SA_NODEFER);
	check(SIGPIPE, SIG_IGN, 0);
	check(SIGTRAP, SIG_IGN, 0);
	check(SIGURG, on_once, SA_RESTART);
	check(SIGCHLD, SIG_DFL, SA_NOCLDWAIT);
	check(SIGRTMAX, on_once, SA_ONSTACK);
	check(SIGHUP, SIG_DFL, 0);

	CHECK_SYS(sigqueue(getpid(), SIGUSR1, (union sigval){ .sival_int = 4711 }));
	CHECK_EQ(calls, 1);
	CHECK_EQ(value, 4711);
	CHECK(blocked_inside);
	raise(SIGUSR2);
	CHECK_EQ(calls, 101 + SIGUSR2);
	check(SIGUSR2, SIG_DFL, SA_RESETHAND | SA_NODEFER);
	raise(SIGTRAP);
	raise(SIGPIPE);
	/* SA_NOCLDWAIT: no zombie is left. */
	pid = CHECK_SYS(fork());
	if (!pid)
		_exit(3);
	CHECK_ERRNO(waitpid(pid, &status, 0), ECHILD);
	victim_pass();
}
