/* SPDX-License-Identifier: Apache-2.0 */
/* /dev/tty of a terminal whose master is gone. */
/* build: -lutil */
/* refused: pid 3 (refused-termina) fd 20: /dev/tty of a terminal that was hung up is not carried; close it first */
#include "victim.h"

#include <pty.h>
#include <sys/ioctl.h>

static int report[2];

static void lead(void *arg)
{
	int *terminal = arg;

	CHECK_SYS(setsid());
	CHECK_SYS(ioctl(terminal[1], TIOCSCTTY, 0));
	CHECK(signal(SIGHUP, SIG_IGN) != SIG_ERR);
	CHECK_EQ(dup2(CHECK_SYS(open("/dev/tty", O_RDWR | O_CLOEXEC)), 20), 20);
	CHECK_SYS(syscall(SYS_close_range, 3, 19, 0));
	victim_wait();
	CHECK_ERRNO(write(20, "x", 1), EIO);
}

int main(void)
{
	int terminal[2];
	pid_t child;
	char c;

	CHECK_SYS(pipe(report));
	CHECK_SYS(openpty(&terminal[0], &terminal[1], NULL, NULL, NULL));
	child = victim_fork(lead, terminal);
	/* The end: it has closed all but /dev/tty. */
	CHECK_SYS(close(report[1]));
	CHECK_EQ(read(report[0], &c, 1), 0);
	CHECK_SYS(close(terminal[0]));
	CHECK_SYS(close(terminal[1]));
	victim_ready();
	victim_join(child);
	victim_pass();
}
