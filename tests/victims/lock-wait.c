/* SPDX-License-Identifier: Apache-2.0 */
/* Processes that wait for locks get them when they are given up, not before. */
#include "tests/victims/victim.h"

#include <sys/file.h>

static void note(const char *name)
{
	CHECK_SYS(close(CHECK_SYS(open(name, O_WRONLY | O_CREAT, 0600))));
}

static void wait_flock(void *arg)
{
	int fd = CHECK_SYS(open("file", O_RDWR));

	CHECK_SYS(flock(fd, LOCK_EX));
	note("flock-taken");
}

static void wait_posix(void *arg)
{
	int fd = CHECK_SYS(open("file", O_RDWR));
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	CHECK_SYS(fcntl(fd, F_SETLKW, &l));
	note("posix-taken");
}

/* The number of the system call that a process waits in; -1: it does not. */
static long waits_in(pid_t pid)
{
	char path[64], text[128] = "";
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/syscall", pid);
	fd = CHECK_SYS(open(path, O_RDONLY));
	CHECK(read(fd, text, sizeof(text) - 1) > 0);
	CHECK_SYS(close(fd));
	return *text == 'r' ? -1 : strtol(text, NULL, 10);
}

int main(void)
{
	int fd = CHECK_SYS(open("file", O_RDWR | O_CREAT, 0600));
	struct flock l = { .l_type = F_RDLCK, .l_whence = SEEK_SET };
	pid_t a, b;

	CHECK_SYS(flock(fd, LOCK_SH));
	CHECK_SYS(fcntl(fd, F_SETLK, &l));
	a = victim_fork(wait_flock, NULL);
	b = victim_fork(wait_posix, NULL);
	VICTIM_UNTIL(waits_in(a) == SYS_flock && waits_in(b) == SYS_fcntl);
	victim_ready();

	VICTIM_UNTIL(waits_in(a) == SYS_flock && waits_in(b) == SYS_fcntl);
	CHECK_ERRNO(access("flock-taken", F_OK), ENOENT);
	CHECK_ERRNO(access("posix-taken", F_OK), ENOENT);
	l.l_type = F_UNLCK;
	CHECK_SYS(fcntl(fd, F_SETLK, &l));
	victim_join(b);
	CHECK_SYS(access("posix-taken", F_OK));
	CHECK_ERRNO(access("flock-taken", F_OK), ENOENT);
	CHECK_SYS(flock(fd, LOCK_UN));
	/* The children have descriptors of the same description: unlocking is enough all the same. */
	victim_join(a);
	CHECK_SYS(access("flock-taken", F_OK));
	victim_pass();
}
