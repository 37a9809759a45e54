/* SPDX-License-Identifier: Apache-2.0 */
/* Children whose end sends another signal than SIGCHLD, or none: clone(2) was told so. */
#include "victim.h"

static volatile int got[65];

static void note(int sig)
{
	got[sig]++;
}

static pid_t child(int sig)
{
	pid_t pid = CHECK_SYS(syscall(SYS_clone, sig, 0, 0, 0, 0));

	if (pid)
		return pid;
	victim_wait();
	_exit(0);
}

int main(void)
{
	pid_t usr2, rt, silent, usual;

	signal(SIGCHLD, note);
	signal(SIGUSR2, note);
	signal(SIGRTMIN + 1, note);
	usr2 = child(SIGUSR2);
	rt = child(SIGRTMIN + 1);
	silent = child(0);
	usual = child(SIGCHLD);
	victim_ready();
	CHECK_EQ(waitpid(usr2, NULL, __WCLONE), usr2);
	CHECK_EQ(waitpid(rt, NULL, __WCLONE), rt);
	CHECK_EQ(waitpid(silent, NULL, __WCLONE), silent);
	CHECK_EQ(waitpid(usual, NULL, 0), usual);
	CHECK_EQ(got[SIGUSR2], 1);
	CHECK_EQ(got[SIGRTMIN + 1], 1);
	CHECK_EQ(got[SIGCHLD], 1);
	victim_pass();
}
