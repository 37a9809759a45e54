/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sequenced packets in connections that nobody has accepted yet, empty ones and long ones among them, of clients of which every
 * second one is closed; more of them than the listening socket would take by now.
 */
#include "unix-pending.h"

#define N 6

static const size_t lengths[] = { 1, 0, 20000, 7, 7, 70000, 0 };
#define MESSAGES (sizeof(lengths) / sizeof(lengths[0]))

/* The first has sent nothing, the others one more each. */
static size_t count(int i)
{
	return i == N - 1 ? MESSAGES : (size_t)i;
}

int main(void)
{
	struct sockaddr_un a;
	socklen_t len;
	int listening = pending_listen(SOCK_SEQPACKET, "\0packets", sizeof("\0packets") - 1, N, &a, &len);
	int clients[N];
	static char text[100000];

	for (int i = 0; i < N; i++) {
		/* One after the other has the same name: a closed one has none. */
		clients[i] = pending_connect(SOCK_SEQPACKET, i % 2 ? "again" : NULL, &a, len);
		for (size_t k = 0; k < count(i); k++)
			pending_send(clients[i], i, k, lengths[k]);
		if (i % 2)
			CHECK_SYS(close(clients[i]));
	}
	CHECK_SYS(listen(listening, 1));
	victim_ready();
	for (int i = 0; i < N; i++) {
		struct sockaddr_un peer;
		socklen_t peer_len = sizeof(peer);
		int s, more = CHECK_SYS(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0));

		if (i < N - 1)
			CHECK_ERRNO(connect(more, (struct sockaddr *)&a, len), EAGAIN);
		else
			CHECK_SYS(connect(more, (struct sockaddr *)&a, len));
		CHECK_SYS(close(more));
		s = CHECK_SYS(accept(listening, (struct sockaddr *)&peer, &peer_len));
		CHECK_EQ(peer_len, sizeof(sa_family_t) + (i % 2 ? sizeof("again") : 0));
		for (size_t k = 0; k < count(i); k++) {
			CHECK_EQ(recv(s, text, sizeof(text), MSG_DONTWAIT), (ssize_t)lengths[k]);
			for (size_t m = 0; m < lengths[k]; m++)
				CHECK_EQ((unsigned char)text[m], pending_byte(i, k + m));
		}
		if (i % 2) {
			CHECK_EQ(recv(s, text, sizeof(text), MSG_DONTWAIT), 0);
		} else {
			CHECK_ERRNO(recv(s, text, sizeof(text), MSG_DONTWAIT), EAGAIN);
			CHECK_EQ(send(s, "", 1, 0), 1);
			CHECK_EQ(recv(clients[i], text, sizeof(text), 0), 1);
		}
		CHECK_SYS(close(s));
	}
	victim_pass();
}
