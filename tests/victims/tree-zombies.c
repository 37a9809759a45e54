/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Zombies: waitid(2) tells of each what it would have told before; no SIGCHLD comes a second
 * time; one that was still pending does come.
 */
#include "victim.h"

#include <sys/prctl.h>

static volatile int chld, usr1;

static void on_chld(int sig, siginfo_t *info, void *context)
{
	chld++;
}

static void on_usr1(int sig)
{
	usr1++;
}

static pid_t end_with(int code, int sig, uid_t uid, int exit_signal)
{
	pid_t pid = CHECK_SYS(syscall(SYS_clone, exit_signal, 0, 0, 0, 0));

	if (pid)
		return pid;
	signal(SIGUSR1, SIG_DFL);
	if (uid)
		CHECK_SYS(setresuid(uid, uid, uid));
	if (sig)
		kill((int)syscall(SYS_getpid), sig);
	_exit(code);
}

static void wait_zombie(pid_t pid)
{
	siginfo_t info;

	CHECK_SYS(waitid(P_PID, pid, &info, WEXITED | WNOWAIT | __WALL));
}

static void expect(pid_t pid, int code, int status, uid_t uid)
{
	siginfo_t info = { 0 };

	CHECK_SYS(waitid(P_PID, pid, &info, WEXITED | WNOHANG | __WALL));
	CHECK_EQ(info.si_pid, pid);
	CHECK_EQ(info.si_code, code);
	CHECK_EQ(info.si_status, status);
	CHECK_EQ(info.si_uid, uid);
	CHECK_EQ(info.si_signo, SIGCHLD);
}

int main(void)
{
	const struct sigaction action = { .sa_sigaction = on_chld, .sa_flags = SA_SIGINFO };
	pid_t exit0, exit77, term, kill9, segv, real, user, silent, own, last;
	sigset_t set;

	CHECK_SYS(sigaction(SIGCHLD, &action, NULL));
	signal(SIGUSR1, on_usr1);
	exit0 = end_with(0, 0, 0, SIGCHLD);
	wait_zombie(exit0);
	exit77 = end_with(77, 0, 0, SIGCHLD);
	wait_zombie(exit77);
	term = end_with(0, SIGTERM, 0, SIGCHLD);
	wait_zombie(term);
	kill9 = end_with(0, SIGKILL, 0, SIGCHLD);
	wait_zombie(kill9);
	real = end_with(0, SIGRTMIN + 3, 0, SIGCHLD);
	wait_zombie(real);
	user = end_with(5, 0, 12345, SIGCHLD);
	wait_zombie(user);
	silent = end_with(6, 0, 0, 0);
	wait_zombie(silent);
	own = end_with(7, 0, 0, SIGUSR1);
	wait_zombie(own);
	/* It is killed by a signal that makes cores, but makes none. */
	segv = CHECK_SYS(fork());
	if (!segv) {
		CHECK_SYS(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0));
		raise(SIGSEGV);
	}
	wait_zombie(segv);
	VICTIM_UNTIL(chld == 7 && usr1 == 1);
	/* The last one's signal is not delivered yet. */
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	CHECK_SYS(sigprocmask(SIG_BLOCK, &set, NULL));
	last = end_with(9, 0, 0, SIGCHLD);
	wait_zombie(last);

	victim_ready();
	CHECK_EQ(chld, 7);
	CHECK_EQ(usr1, 1);
	CHECK_SYS(sigpending(&set));
	CHECK_EQ(sigismember(&set, SIGCHLD), 1);
	sigemptyset(&set);
	CHECK_SYS(sigprocmask(SIG_SETMASK, &set, NULL));
	CHECK_EQ(chld, 8);
	expect(exit0, CLD_EXITED, 0, 0);
	expect(exit77, CLD_EXITED, 77, 0);
	expect(term, CLD_KILLED, SIGTERM, 0);
	expect(kill9, CLD_KILLED, SIGKILL, 0);
	expect(real, CLD_KILLED, SIGRTMIN + 3, 0);
	expect(user, CLD_EXITED, 5, 12345);
	expect(silent, CLD_EXITED, 6, 0);
	expect(own, CLD_EXITED, 7, 0);
	expect(segv, CLD_KILLED, SIGSEGV, 0);
	expect(last, CLD_EXITED, 9, 0);
	CHECK_ERRNO(waitpid(-1, NULL, __WALL), ECHILD);
	victim_pass();
}
