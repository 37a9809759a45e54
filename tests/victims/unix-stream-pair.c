/* SPDX-License-Identifier: Apache-2.0 */
/* Both ends of socketpair(2) in two processes, with bytes under way in both directions. */
#include "victim.h"

#include <sys/ioctl.h>
#include <sys/socket.h>

static void other(void *arg)
{
	int *s = arg, fd = s[1];
	char text[64] = "";

	CHECK_SYS(close(s[0]));
	CHECK_EQ(read(fd, text, 5), 5);
	victim_wait();
	CHECK_EQ(read(fd, text, sizeof(text)), 6);
	CHECK_MEM(text, " there", 6);
	CHECK_EQ(write(fd, "fine", 4), 4);
	CHECK_EQ(read(fd, text, sizeof(text)), 0); /* the end */
}

int main(void)
{
	static char big[100000], got[100000];
	int s[2], queued;
	struct ucred c;
	socklen_t len = sizeof(c);
	struct stat before, after;
	pid_t child;

	CHECK_SYS(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (char)(i * 7);
	CHECK_EQ(write(s[1], big, sizeof(big)), (ssize_t)sizeof(big));
	CHECK_EQ(write(s[0], "hello there", 11), 11);
	child = victim_fork(other, s);
	CHECK_SYS(close(s[1]));
	VICTIM_UNTIL(ioctl(s[0], TIOCOUTQ, &queued) == 0 && queued > 0);
	CHECK_SYS(fstat(s[0], &before));
	victim_ready();
	CHECK_SYS(fstat(s[0], &after));
	CHECK_EQ(after.st_mode, before.st_mode);
	CHECK_SYS(ioctl(s[0], FIONREAD, &queued));
	CHECK(queued == sizeof(big) || queued == sizeof(big) + 4); /* the child may be first */
	CHECK_SYS(getsockopt(s[0], SOL_SOCKET, SO_PEERCRED, &c, &len));
	CHECK_EQ(c.pid, getpid());
	CHECK_EQ(c.uid, 0);
	for (size_t done = 0; done < sizeof(got);)
		done += (size_t)CHECK_SYS(read(s[0], got + done, sizeof(got) - done));
	CHECK_MEM(got, big, sizeof(big));
	CHECK_EQ(read(s[0], got, 4), 4);
	CHECK_MEM(got, "fine", 4);
	CHECK_SYS(close(s[0]));
	victim_join(child);
	victim_pass();
}
