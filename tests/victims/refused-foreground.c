/* SPDX-License-Identifier: Apache-2.0 */
/* A terminal whose process group in the foreground has ended, and nobody took it back. */
/* build: -lutil */
/* refused at the stop: pid 3 (refused-foregro): the process group in the foreground of its terminal has ended; let it take the foreground itself (tcsetpgrp(3)) or end it */
#include "victim.h"

#include <pty.h>
#include <sys/ioctl.h>
#include <termios.h>

static int terminal[2], report[2];

static void foreground(void *arg)
{
	CHECK_SYS(setpgid(0, 0));
	CHECK(signal(SIGTTOU, SIG_IGN) != SIG_ERR);
	CHECK_SYS(tcsetpgrp(terminal[1], getpid()));
}

static void lead(void *arg)
{
	pid_t child;

	CHECK_SYS(setsid());
	CHECK_SYS(ioctl(terminal[1], TIOCSCTTY, 0));
	CHECK(signal(SIGTTOU, SIG_IGN) != SIG_ERR);
	child = victim_fork(foreground, NULL);
	victim_join(child);
	CHECK_EQ(write(report[1], "x", 1), 1);
	victim_wait();
	CHECK_EQ(tcgetpgrp(terminal[1]), child);
	CHECK_SYS(tcsetpgrp(terminal[1], getpid()));
	CHECK_EQ(tcgetpgrp(terminal[1]), getpid());
}

int main(void)
{
	pid_t child;
	char c;

	CHECK_SYS(pipe(report));
	CHECK_SYS(openpty(&terminal[0], &terminal[1], NULL, NULL, NULL));
	child = victim_fork(lead, NULL);
	CHECK_EQ(read(report[0], &c, 1), 1);
	victim_ready();
	victim_join(child);
	victim_pass();
}
