// SPDX-License-Identifier: Apache-2.0
/* The pod's own terminal: standard streams, controlling terminal, modes, size, foreground group, typed ahead. */
/* run: -t */
/* run: -i */
/* needs: [ "$(cat /proc/sys/dev/tty/legacy_tiocsti 2>/dev/null || echo 1)" = 1 ] */
#include "tests/victims/victim.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>

static void foreground(void *arg)
{
	CHECK_SYS(setpgid(0, 0));
	pause();
}

int main(void)
{
	struct winsize size = { 44, 132, 0, 0 };
	struct termios t, got;
	pid_t child, group;
	int current;
	char buf[64];

	signal(SIGTTOU, SIG_IGN);
	CHECK_EQ(isatty(0), 1);
	CHECK_SYS(tcgetattr(0, &t));
	t.c_cc[VERASE] = 'x';
	t.c_lflag &= ~(tcflag_t)ECHO;
	CHECK_SYS(tcsetattr(0, TCSANOW, &t));
	CHECK_SYS(ioctl(0, TIOCSWINSZ, &size));
	current = CHECK_SYS(open("/dev/tty", O_RDONLY));
	child = victim_fork(foreground, NULL);
	VICTIM_UNTIL(getpgid(child) == child);
	CHECK_SYS(tcsetpgrp(0, child));
	for (const char *c = "ahead\nopen"; *c; c++)
		CHECK_SYS(ioctl(0, TIOCSTI, c));
	victim_ready();
	CHECK_EQ(tcgetpgrp(0), child);
	CHECK_EQ(tcgetsid(0), getsid(0));
	CHECK_SYS(tcgetattr(0, &got));
	CHECK_MEM(&got, &t, sizeof(t));
	CHECK_SYS(ioctl(0, TIOCGWINSZ, &size));
	CHECK_EQ(size.ws_row, 44);
	CHECK_EQ(size.ws_col, 132);
	for (int i = 0; i < 3; i++)
		CHECK_STR(ttyname(i), "/dev/pts/0");
	group = getpgrp();
	CHECK_SYS(tcsetpgrp(current, group));
	CHECK_EQ(read(current, buf, sizeof(buf)), 6);
	CHECK_MEM(buf, "ahead\n", 6);
	CHECK_SYS(ioctl(0, TIOCSTI, "x"));
	CHECK_SYS(ioctl(0, TIOCSTI, "\n"));
	CHECK_EQ(read(0, buf, sizeof(buf)), 4);
	CHECK_MEM(buf, "ope\n", 4);
	CHECK_SYS(kill(child, SIGKILL));
	victim_pass();
}
