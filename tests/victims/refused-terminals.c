/* SPDX-License-Identifier: Apache-2.0 */
/* Terminals in states that cannot be looked into, or not be made again. */
/* run: --cap-add sys_tty_config */
/* build: -lutil */
/* refused: pid 2 (refused-termina) fd 10: terminal 0 has a state change (packet mode) that its master has not read yet; try again */
/* refused: pid 2 (refused-termina) fd 12: terminal 1 has more output than is carried (2048 bytes) that its master has not read; try again when it has */
/* refused: pid 2 (refused-termina) fd 14: terminal 2 has more input than is carried (2048 bytes) that nobody has read; try again when somebody has */
/* refused: pid 2 (refused-termina) fd 16: input of terminal 3 was stopped (tcflow(3) of its master), which is not carried; start it again first */
/* refused: pid 2 (refused-termina) fd 18: terminal 4 has line discipline 27, which is not carried; switch it back to N_TTY first */
/* refused: pid 2 (refused-termina) fd 20: terminal 5 was hung up by vhangup(2); close it first */
/* refused: pid 2 (refused-termina) fd 22: terminal 6 has line discipline 5, which is not carried; switch it back to N_TTY first */
#include "victim.h"

#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <termios.h>

#define N_NULL 27

/* The master gets this number, the slave the next. */
static void make(int number)
{
	int master, slave;
	struct termios t;

	CHECK_SYS(openpty(&master, &slave, NULL, NULL, NULL));
	CHECK_SYS(tcgetattr(slave, &t));
	cfmakeraw(&t);
	CHECK_SYS(tcsetattr(slave, TCSANOW, &t));
	CHECK_EQ(dup2(master, number), number);
	CHECK_EQ(dup2(slave, number + 1), number + 1);
	CHECK_SYS(close(master));
	CHECK_SYS(close(slave));
}

static void fill(int from, int to)
{
	static const char text[2049];
	int n;

	CHECK_EQ(write(from, text, sizeof(text)), (ssize_t)sizeof(text));
	VICTIM_UNTIL(ioctl(to, FIONREAD, &n) == 0 && n == (int)sizeof(text));
}

static void hang_up(void *arg)
{
	CHECK_SYS(setsid());
	CHECK_SYS(ioctl(*(int *)arg, TIOCSCTTY, 0));
	CHECK(signal(SIGHUP, SIG_IGN) != SIG_ERR);
	CHECK_SYS(vhangup());
}

static short events(int fd, short wanted)
{
	struct pollfd p = { .fd = fd, .events = wanted };

	CHECK_SYS(poll(&p, 1, 0));
	return p.revents;
}

int main(void)
{
	struct termios t;
	int on = 1, discipline = N_NULL;
	char buf[4096];

	for (int i = 10; i < 24; i += 2)
		make(i);
	CHECK_SYS(ioctl(10, TIOCPKT, &on));
	CHECK_SYS(tcflush(11, TCIFLUSH));
	CHECK_EQ(events(10, POLLPRI), POLLPRI);
	fill(13, 12);
	fill(14, 15);
	CHECK_SYS(tcflow(16, TCOOFF));
	CHECK_SYS(ioctl(19, TIOCSETD, &discipline));
	victim_join(victim_fork(hang_up, &(int){ 21 }));
	CHECK(events(21, POLLIN) & POLLHUP);
	CHECK_SYS(tcgetattr(23, &t));
	t.c_line = 5;
	CHECK_SYS(tcsetattr(23, TCSANOW, &t));
	victim_ready();
	CHECK_SYS(tcgetattr(23, &t));
	CHECK_EQ(t.c_line, 5);
	CHECK_EQ(read(10, buf, sizeof(buf)), 1);
	CHECK_EQ(buf[0], TIOCPKT_FLUSHREAD);
	CHECK_EQ(read(12, buf, sizeof(buf)), 2049);
	CHECK_EQ(read(15, buf, sizeof(buf)), 2049);
	CHECK_EQ(events(16, POLLOUT), 0);
	CHECK_SYS(tcflow(16, TCOON));
	CHECK_EQ(events(16, POLLOUT), POLLOUT);
	CHECK_SYS(ioctl(19, TIOCGETD, &discipline));
	CHECK_EQ(discipline, N_NULL);
	CHECK(events(21, POLLIN) & POLLHUP);
	victim_pass();
}
