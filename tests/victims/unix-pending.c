/* SPDX-License-Identifier: Apache-2.0 */
/* Connections that wait to be accepted, in order, up to the backlog and no more. */
#include "victim.h"

#include <sys/socket.h>
#include <sys/un.h>

int main(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX, .sun_path = "/run/victim.sock" };
	int listening = CHECK_SYS(socket(AF_UNIX, SOCK_STREAM, 0)), c[3], s, more;
	char text[16];

	CHECK_SYS(bind(listening, (struct sockaddr *)&a, sizeof(a)));
	CHECK_SYS(listen(listening, 2));
	for (int i = 0; i < 3; i++) {
		struct sockaddr_un own = { .sun_family = AF_UNIX };

		c[i] = CHECK_SYS(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));
		snprintf(own.sun_path + 1, sizeof(own.sun_path) - 1, "client%d", i);
		CHECK_SYS(bind(c[i], (struct sockaddr *)&own, sizeof(sa_family_t) + 8));
		CHECK_SYS(connect(c[i], (struct sockaddr *)&a, sizeof(a)));
	}
	victim_ready();
	more = CHECK_SYS(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));
	CHECK_ERRNO(connect(more, (struct sockaddr *)&a, sizeof(a)), EAGAIN);
	for (int i = 0; i < 3; i++) {
		struct sockaddr_un peer;
		socklen_t len = sizeof(peer);
		struct ucred u;

		s = CHECK_SYS(accept(listening, (struct sockaddr *)&peer, &len));
		CHECK_EQ(len, sizeof(sa_family_t) + 8);
		CHECK_EQ(peer.sun_path[7], '0' + i);
		len = sizeof(u);
		CHECK_SYS(getsockopt(s, SOL_SOCKET, SO_PEERCRED, &u, &len));
		CHECK_EQ(u.pid, getpid());
		CHECK_EQ(write(c[i], "x", 1), 1);
		CHECK_EQ(read(s, text, sizeof(text)), 1);
		CHECK_SYS(close(s));
	}
	victim_pass();
}
