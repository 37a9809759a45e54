/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections that nobody has accepted yet, and what their clients have sent already: nothing, some bytes, more than a page,
 * more than a buffer's head holds, pages of a file; by one that has shut down its writing side, and by one that is closed. By path and by abstract name.
 */
#include "unix-pending.h"

#define N 7

static const size_t lengths[N] = { 0, 5, 5000, 100000, 150000, 17, 9000 };
enum { FROM_FILE = 3, SHUT = 5, CLOSED = 6, CLOSED_EMPTY = N, ALL };

struct place {
	struct sockaddr_un a;
	socklen_t len;
	int listening, clients[N];
};

static void fill(struct place *p, const char *name, size_t len)
{
	int fd;

	p->listening = pending_listen(SOCK_STREAM, name, len, ALL - 1, &p->a, &p->len);
	for (int i = 0; i < N; i++) {
		p->clients[i] = pending_connect(SOCK_STREAM, NULL, &p->a, p->len);
		/* In pieces, of which none begins where a page does. */
		for (size_t done = 0, n; done < lengths[i]; done += n) {
			n = lengths[i] - done < 33333 ? lengths[i] - done : 33333;
			if (i == FROM_FILE)
				pending_send_file(p->clients[i], i, done, n);
			else
				pending_send(p->clients[i], i, done, n);
		}
	}
	CHECK_SYS(shutdown(p->clients[SHUT], SHUT_WR));
	CHECK_SYS(close(p->clients[CLOSED]));
	fd = pending_connect(SOCK_STREAM, "gone", &p->a, p->len);
	CHECK_SYS(close(fd));
}

static void serve(struct place *p)
{
	struct sockaddr_un peer;
	socklen_t len;
	int s, more;
	char c;

	more = CHECK_SYS(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));
	CHECK_ERRNO(connect(more, (struct sockaddr *)&p->a, p->len), EAGAIN);
	for (int i = 0; i < N; i++) {
		struct ucred u;

		s = CHECK_SYS(accept(p->listening, NULL, NULL));
		len = sizeof(u);
		CHECK_SYS(getsockopt(s, SOL_SOCKET, SO_PEERCRED, &u, &len));
		CHECK_EQ(u.pid, getpid());
		if (i != SHUT && i != CLOSED)
			pending_send(p->clients[i], i, lengths[i], 3000);
		pending_expect(s, i, 0, lengths[i] + (i == SHUT || i == CLOSED ? 0 : 3000));
		if (i == SHUT || i == CLOSED) {
			CHECK_EQ(read(s, &c, 1), 0);
		}
		if (i != CLOSED) {
			CHECK_EQ(write(s, "x", 1), 1);
			CHECK_EQ(read(p->clients[i], &c, 1), 1);
		} else {
			CHECK_ERRNO(send(s, "x", 1, MSG_NOSIGNAL), EPIPE);
		}
		CHECK_SYS(close(s));
	}
	len = sizeof(peer);
	s = CHECK_SYS(accept(p->listening, (struct sockaddr *)&peer, &len));
	CHECK_EQ(len, sizeof(sa_family_t) + 5);
	CHECK_EQ(memcmp(peer.sun_path, "\0gone", 5), 0);
	CHECK_EQ(read(s, &c, 1), 0);
	CHECK_SYS(fcntl(p->listening, F_SETFL, O_NONBLOCK));
	CHECK_ERRNO(accept(p->listening, NULL, NULL), EAGAIN);
}

int main(void)
{
	struct place path, abstract;

	fill(&path, "/run/victim.sock", strlen("/run/victim.sock"));
	fill(&abstract, "\0victim", sizeof("\0victim") - 1);
	victim_ready();
	serve(&path);
	serve(&abstract);
	victim_pass();
}
