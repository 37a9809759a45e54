/* SPDX-License-Identifier: Apache-2.0 */
/* flock(2): exclusive, shared, through a duplicate; on the overlay and on a tmpfs. */
#include "tests/victims/victim.h"

#include <sys/file.h>

static void child(void *arg)
{
	victim_wait();
	VICTIM_UNTIL(access("/run/checked", F_OK) == 0);
}

int main(void)
{
	int exclusive = CHECK_SYS(open("exclusive", O_RDONLY | O_CREAT, 0600));
	int shared = CHECK_SYS(open("/run/shared", O_RDWR | O_CREAT, 0600)), other, third;
	pid_t pid;

	CHECK_SYS(flock(exclusive, LOCK_EX | LOCK_NB));
	CHECK_SYS(flock(shared, LOCK_SH | LOCK_NB));
	/* A child holds the same description: the lock outlives our descriptor. */
	pid = victim_fork(child, NULL);
	CHECK_SYS(close(shared));
	victim_ready();

	other = CHECK_SYS(open("exclusive", O_RDONLY));
	CHECK_ERRNO(flock(other, LOCK_SH | LOCK_NB), EWOULDBLOCK);
	third = CHECK_SYS(open("/run/shared", O_RDWR));
	CHECK_ERRNO(flock(third, LOCK_EX | LOCK_NB), EWOULDBLOCK);
	CHECK_SYS(flock(third, LOCK_SH | LOCK_NB));
	CHECK_SYS(close(CHECK_SYS(open("/run/checked", O_WRONLY | O_CREAT, 0600))));
	victim_join(pid);
	CHECK_SYS(flock(third, LOCK_EX | LOCK_NB));
	CHECK_SYS(close(exclusive));
	/* The child has ended, so nobody holds that description any more. */
	CHECK_SYS(flock(other, LOCK_EX | LOCK_NB));
	victim_pass();
}
