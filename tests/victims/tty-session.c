// SPDX-License-Identifier: Apache-2.0
/* A session with its controlling terminal: foreground and background groups, /dev/tty, ^C, one without. */
/* build: -lutil */
#include "tests/victims/victim.h"

#include <pty.h>
#include <sys/ioctl.h>
#include <termios.h>

static int master, report[2], ours[2];
static volatile sig_atomic_t interrupted;

static void on_interrupt(int sig)
{
	interrupted = sig;
}

static void say(int *pipe, char c)
{
	CHECK_EQ(write(pipe[1], &c, 1), 1);
}

static void expect(int *pipe, char c)
{
	char got;

	CHECK_EQ(read(pipe[0], &got, 1), 1);
	CHECK_EQ(got, c);
}

/* In the background: to read the terminal would stop it. */
static void background(void *arg)
{
	CHECK_SYS(setpgid(0, 0));
	say(ours, 'b');
	victim_wait();
	CHECK_EQ(tcgetpgrp(0), getppid());
	signal(SIGTTIN, SIG_IGN);
	CHECK_ERRNO(read(0, &(char){ 0 }, 1), EIO);
}

static void without(void *arg)
{
	int fd = CHECK_SYS(open("/dev/tty", O_RDWR));

	CHECK_SYS(ioctl(fd, TIOCNOTTY));
	CHECK_SYS(close(fd));
	say(ours, 'w');
	victim_wait();
	CHECK_ERRNO(open("/dev/tty", O_RDWR), ENXIO);
}

static void leader(void *arg)
{
	struct sigaction action = { .sa_handler = on_interrupt };
	pid_t child[2];
	struct stat st;
	char buf[16];
	int current;

	CHECK_SYS(close(master));
	CHECK_SYS(setsid());
	CHECK_SYS(ioctl(*(int *)arg, TIOCSCTTY, 0));
	CHECK_SYS(dup2(*(int *)arg, 0));
	CHECK_SYS(close(*(int *)arg));
	CHECK_SYS(sigaction(SIGINT, &action, NULL));
	current = CHECK_SYS(open("/dev/tty", O_RDWR));
	child[0] = victim_fork(background, NULL);
	expect(ours, 'b');
	child[1] = victim_fork(without, NULL);
	expect(ours, 'w');
	say(report, 'l');
	victim_wait();
	CHECK_SYS(fstat(current, &st));
	CHECK_EQ(st.st_rdev, 0x500);
	CHECK_EQ(tcgetsid(current), getpid());
	CHECK_EQ(tcgetpgrp(0), getpgrp());
	CHECK_EQ(tcgetsid(0), getpid());
	CHECK_STR(ctermid(NULL), "/dev/tty");
	CHECK_SYS(close(CHECK_SYS(open("/dev/tty", O_RDWR))));
	for (int i = 0; i < 2; i++)
		victim_join(child[i]);
	CHECK_EQ(write(current, "go\n", 3), 3);
	VICTIM_UNTIL(interrupted == SIGINT);
	CHECK_EQ(read(current, buf, sizeof(buf)), 5);
	CHECK_MEM(buf, "line\n", 5);
}

int main(void)
{
	char buf[64];
	pid_t child;
	int slave, got = 0;

	CHECK_SYS(pipe(report));
	CHECK_SYS(pipe(ours));
	CHECK_SYS(openpty(&master, &slave, NULL, NULL, NULL));
	child = victim_fork(leader, &slave);
	CHECK_SYS(close(slave));
	expect(report, 'l');
	victim_ready();
	while (got < 4)
		got += CHECK_SYS(read(master, buf + got, 4 - got));
	CHECK_MEM(buf, "go\r\n", 4);
	CHECK_EQ(write(master, "\003", 1), 1);
	CHECK_EQ(write(master, "line\n", 5), 5);
	victim_join(child);
	victim_pass();
}
