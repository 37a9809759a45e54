/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Urgent bytes (MSG_OOB) that were received: not taken, taken with the mark still ahead, in line (SO_OOBINLINE); at the
 * head of what is to be read, in the middle, and last, alone and before the end of file. No signal comes again.
 * Before Linux 6.9 some of it is refused (tcp-urgent-hidden).
 */
/* undisturbed: by checkpoint -R */
#include "tcp.h"

#include <fcntl.h>

enum where { ALONE, FIRST, MIDDLE, LAST, N_WHERE };

static const size_t before[N_WHERE] = { 0, 0, 3000, 100 }, behind[N_WHERE] = { 0, 500, 5000, 0 };
static int signals;

struct item {
	struct pair p;
	enum where where;
	bool in_line, taken, ended;
};

static void note(int signal)
{
	(void)signal;
	signals++;
}

static bool at_mark(int fd)
{
	int is = 0;

	CHECK_SYS(ioctl(fd, SIOCATMARK, &is));
	return is;
}

static short polled(int fd, short events)
{
	struct pollfd p = { fd, events, 0 };

	/* The signal comes before the byte can be seen. */
	while (poll(&p, 1, 0) < 0)
		CHECK_EQ(errno, EINTR);
	return p.revents;
}

static struct item make(int family, enum where where, bool in_line, bool taken, bool ended)
{
	struct item i = { tcp_pair(family), where, in_line, taken, ended };
	int one = 1;
	char byte;

	CHECK_SYS(fcntl(i.p.server, F_SETOWN, getpid()));
	CHECK_EQ(tcp_put(i.p.client, 0, before[where]), before[where]);
	CHECK_EQ(send(i.p.client, "!", 1, MSG_OOB), 1);
	CHECK_EQ(tcp_put(i.p.client, before[where], behind[where]), behind[where]);
	VICTIM_UNTIL(polled(i.p.server, POLLPRI));
	/* Acknowledged, so that no sender has anything of it. */
	VICTIM_UNTIL(!tcp_queued(i.p.client));
	if (taken)
		CHECK_EQ(recv(i.p.server, &byte, 1, MSG_OOB), 1);
	if (in_line)
		CHECK_SYS(setsockopt(i.p.server, SOL_SOCKET, SO_OOBINLINE, &one, sizeof(one)));
	if (ended) {
		CHECK_SYS(shutdown(i.p.client, SHUT_WR));
		VICTIM_UNTIL(tcp_state_of(i.p.server) == TCP_CLOSE_WAIT);
	}
	return i;
}

static void check(const struct item *i)
{
	int fd = i->p.server;
	char byte = 0;

	CHECK_EQ(!!polled(fd, POLLPRI), !i->taken);
	CHECK_EQ(at_mark(fd), !before[i->where]);
	if (i->in_line || i->taken) {
		CHECK_ERRNO(recv(fd, &byte, 1, MSG_OOB), EINVAL);
	} else {
		CHECK_EQ(recv(fd, &byte, 1, MSG_OOB), 1);
		CHECK_EQ(byte, '!');
		CHECK_ERRNO(recv(fd, &byte, 1, MSG_OOB), EINVAL);
	}
	if (before[i->where]) {
		tcp_expect(fd, 0, before[i->where] - 1);
		CHECK(!at_mark(fd));
		/* A read ends at the mark. */
		CHECK_EQ(recv(fd, (char[10]){ 0 }, 10, 0), 1);
		CHECK(at_mark(fd));
	}
	if (i->in_line) {
		CHECK_EQ(recv(fd, &byte, 1, 0), 1);
		CHECK_EQ(byte, '!');
	}
	if (!i->ended)
		CHECK_EQ(tcp_put(i->p.client, before[i->where] + behind[i->where], 100), 100);
	tcp_expect(fd, before[i->where], behind[i->where] + (i->ended ? 0 : 100));
	if (i->ended)
		tcp_expect_end(fd);
	CHECK(!at_mark(fd));
	CHECK_EQ(tcp_put(fd, 3, 100), 100);
	tcp_expect(i->p.client, 3, 100);
}

/* A read in line after it was taken finds the byte once more, and only that tells which one it was. */
static bool is_hidden(enum where where, bool in_line, bool taken)
{
	static int hides = -1;

	if (hides < 0) {
		int fd = CHECK_SYS(socket(AF_INET, SOCK_STREAM, 0)), offset = -1;

		hides = setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &offset, sizeof(offset)) < 0;
		CHECK_SYS(close(fd));
	}
	return hides && before[where] && (behind[where] || (in_line && taken));
}

int main(void)
{
	struct item list[2 * N_WHERE * 8];
	size_t n = 0;

	CHECK(signal(SIGURG, note) != SIG_ERR);
	for (int six = 0; six < 2; six++)
		for (int where = 0; where < N_WHERE; where++)
			for (int k = 0; k < 8; k++)
				if (!is_hidden((enum where)where, k & 1, k & 2))
					list[n++] = make(six ? AF_INET6 : AF_INET, (enum where)where, k & 1, k & 2, k & 4);
	CHECK_EQ(signals, n);
	victim_ready();
	CHECK_EQ(signals, n);
	for (size_t i = 0; i < n; i++)
		check(&list[i]);
	CHECK_EQ(signals, n);
	victim_pass();
}
