// SPDX-License-Identifier: Apache-2.0
/* What was typed and not read yet: whole lines, an end of file, a literal character, a line still open; raw bytes. */
/* build: -lutil */
/* undisturbed: by checkpoint -R */
#include "tests/victims/victim.h"

#include <poll.h>
#include <pty.h>
#include <termios.h>

static int master, slave, raw_master, raw_slave;

static void type(const char *text)
{
	CHECK_EQ(write(master, text, strlen(text)), (ssize_t)strlen(text));
}

static void expect(const char *text)
{
	char buf[256];
	ssize_t n = CHECK_SYS(read(slave, buf, sizeof(buf) - 1));

	buf[n] = '\0';
	CHECK_STR(buf, text);
}

int main(void)
{
	static const char bytes[] = "raw\r\n\003\004\177\377\0end";
	struct termios t;
	char buf[512];
	ssize_t n;

	CHECK_SYS(openpty(&master, &slave, NULL, NULL, NULL));
	CHECK_SYS(openpty(&raw_master, &raw_slave, NULL, NULL, NULL));
	CHECK_SYS(tcgetattr(raw_slave, &t));
	cfmakeraw(&t);
	CHECK_SYS(tcsetattr(raw_slave, TCSANOW, &t));
	CHECK_EQ(write(raw_master, bytes, sizeof(bytes)), (ssize_t)sizeof(bytes));
	type("first\r");		/* made a newline */
	type("sec\026\003ond\026\nmore\n"); /* ^V makes ^C and a newline ordinary */
	type("before the end\004");
	type("\004");
	type("a;b\n");
	type("opem\177n"); /* edited, not finished */
	n = 0;
	while (n < 4 || memcmp(buf + n - 4, "\b \bn", 4)) /* the echo */
		n += CHECK_SYS(read(master, buf + n, sizeof(buf) - n));
	victim_ready();
	CHECK_SYS(fcntl(master, F_SETFL, O_NONBLOCK));
	CHECK_ERRNO(read(master, buf, sizeof(buf)), EAGAIN);
	CHECK_SYS(fcntl(master, F_SETFL, 0));
	expect("first\n");
	expect("sec\003ond\nmore\n");
	expect("before the end");
	expect("");
	expect("a;b\n");
	CHECK_SYS(fcntl(slave, F_SETFL, O_NONBLOCK));
	CHECK_ERRNO(read(slave, buf, sizeof(buf)), EAGAIN);
	type(" line\177\177\177\177ly\n");
	CHECK_SYS(fcntl(slave, F_SETFL, 0));
	expect("open ly\n");
	n = 0;
	while (n < (ssize_t)sizeof(bytes))
		n += CHECK_SYS(read(raw_slave, buf + n, sizeof(buf) - n));
	CHECK_EQ(n, (ssize_t)sizeof(bytes));
	CHECK_MEM(buf, bytes, sizeof(bytes));
	victim_pass();
}
