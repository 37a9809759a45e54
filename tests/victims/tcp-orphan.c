/* SPDX-License-Identifier: Apache-2.0 */
/* Closed by its program while most of its bytes are under way: the peer gets them all, the urgent one as such, and the end. */
#include "tcp.h"

#define MUCH 60000

struct stream {
	int reader;
	size_t len;
	bool urgent;
};

/* The reader has room for little, so that the rest waits at the one who has gone. */
static struct stream begin(int family, bool ended, bool urgent)
{
	struct sockaddr_storage a;
	socklen_t len;
	int l = tcp_listen(family, &a, &len), writer;
	struct stream s = { .urgent = urgent };

	s.reader = CHECK_SYS(socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
	CHECK_SYS(setsockopt(s.reader, SOL_SOCKET, SO_RCVBUF, &(int){ 10000 }, sizeof(int)));
	/* Segments that fit: nobody waits for room then. */
	CHECK_SYS(setsockopt(s.reader, IPPROTO_TCP, TCP_MAXSEG, &(int){ 1000 }, sizeof(int)));
	CHECK_SYS(connect(s.reader, (struct sockaddr *)&a, len));
	writer = CHECK_SYS(accept(l, NULL, NULL));
	if (ended) {
		CHECK_SYS(shutdown(s.reader, SHUT_WR));
		tcp_expect_end(writer);
	}
	CHECK_SYS(setsockopt(writer, SOL_SOCKET, SO_SNDBUF, &(int){ 2 * MUCH }, sizeof(int)));
	s.len = tcp_put(writer, 0, MUCH);
	CHECK_EQ(s.len, MUCH);
	if (urgent)
		CHECK_EQ(send(writer, "!", 1, MSG_OOB), 1);
	CHECK_SYS(close(writer));
	CHECK_SYS(close(l));
	return s;
}

static void end(struct stream s)
{
	char byte;

	tcp_expect(s.reader, 0, s.len);
	if (s.urgent) {
		VICTIM_UNTIL(recv(s.reader, &byte, 1, MSG_OOB) == 1);
		CHECK_EQ(byte, '!');
	}
	tcp_expect_end(s.reader);
	CHECK_SYS(close(s.reader));
}

int main(void)
{
	struct stream first = begin(AF_INET, false, false), second = begin(AF_INET6, true, false);
	struct stream third = begin(AF_INET, false, true);

	victim_ready();
	end(first); /* was FIN_WAIT_1 */
	end(second); /* was LAST_ACK */
	end(third);
	victim_pass();
}
