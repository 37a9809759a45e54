// SPDX-License-Identifier: Apache-2.0
/* build: -pthread */
/* User and group IDs, all four of each, and groups; threads of one process with different ones. */
#include "tests/victims/victim.h"

#include <grp.h>
#include <pthread.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>

static const gid_t groups[] = { 7, 100, 65000, 4000000000U };
static volatile int up;

static void *work(void *arg)
{
	uid_t r, e, s;

	/* The bare call: the C library's changes all threads. */
	CHECK_SYS(syscall(SYS_setresuid, 11, 12, 13));
	up = 1;
	victim_wait();
	CHECK_SYS(getresuid(&r, &e, &s));
	CHECK_EQ(r, 11);
	CHECK_EQ(e, 12);
	CHECK_EQ(s, 13);
	return arg;
}

static void child(void *arg)
{
	uid_t r, e, s;
	gid_t got[8];

	(void)arg;
	CHECK_SYS(setgroups(4, groups));
	CHECK_SYS(setresgid(2001, 2002, 2003));
	CHECK_SYS(setresuid(1001, 1002, 1003));
	CHECK_SYS(setfsuid(1001));
	CHECK_SYS(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	victim_wait();
	CHECK_SYS(getresuid(&r, &e, &s));
	CHECK_EQ(r, 1001);
	CHECK_EQ(e, 1002);
	CHECK_EQ(s, 1003);
	CHECK_EQ(setfsuid(-1), 1001);
	CHECK_SYS(getresgid(&r, &e, &s));
	CHECK_EQ(r, 2001);
	CHECK_EQ(e, 2002);
	CHECK_EQ(s, 2003);
	CHECK_EQ(setfsgid(-1), 2002);
	CHECK_EQ(getgroups(8, got), 4);
	CHECK_MEM(got, groups, sizeof(groups));
	CHECK_EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
	CHECK_ERRNO(setresuid(0, 0, 0), EPERM);
}

int main(void)
{
	pid_t pid = victim_fork(child, NULL);
	pthread_t thread;

	CHECK_EQ(pthread_create(&thread, NULL, work, NULL), 0);
	VICTIM_UNTIL(up);
	victim_ready();
	CHECK_EQ(getuid(), 0);
	CHECK_EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	victim_join(pid);
	victim_pass();
}
