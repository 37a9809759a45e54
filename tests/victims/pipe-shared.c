// SPDX-License-Identifier: Apache-2.0
/* Two processes talk through pipes, one end each, one waiting in read(2); a dup shares its flags. */
#include "tests/victims/victim.h"

struct pipes {
	int there[2], back[2];
};

static void echo(void *arg)
{
	struct pipes *p = arg;
	char buf[64];
	ssize_t n;

	CHECK_SYS(close(p->there[1]));
	CHECK_SYS(close(p->back[0]));
	while ((n = CHECK_SYS(read(p->there[0], buf, sizeof(buf)))) > 0)
		CHECK_EQ(write(p->back[1], buf, n), n);
}

static void ask(struct pipes *p, const char *text)
{
	size_t len = strlen(text), got = 0;
	char buf[64];

	CHECK_EQ(write(p->there[1], text, len), (ssize_t)len);
	while (got < len)
		got += CHECK_SYS(read(p->back[0], buf + got, sizeof(buf) - got));
	CHECK_MEM(buf, text, len);
}

int main(void)
{
	struct pipes p;
	pid_t child;
	int dup;

	CHECK_SYS(pipe(p.there));
	CHECK_SYS(pipe(p.back));
	child = victim_fork(echo, &p);
	CHECK_SYS(close(p.there[0]));
	CHECK_SYS(close(p.back[1]));
	dup = CHECK_SYS(fcntl(p.back[0], F_DUPFD_CLOEXEC, 100));
	ask(&p, "before");
	victim_ready();
	ask(&p, "after");
	CHECK_SYS(fcntl(dup, F_SETFL, O_NONBLOCK));
	CHECK_EQ(fcntl(p.back[0], F_GETFL), O_NONBLOCK);
	CHECK_EQ(fcntl(dup, F_GETFD), FD_CLOEXEC);
	CHECK_SYS(fcntl(dup, F_SETFL, 0));
	ask(&p, "again");
	CHECK_SYS(close(p.there[1]));
	victim_join(child);
	victim_pass();
}
