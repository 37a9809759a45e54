/* SPDX-License-Identifier: Apache-2.0 */
/* Sequenced packets keep their boundaries; a connection whose listening socket is closed already. */
#include "victim.h"

#include <sys/socket.h>
#include <sys/un.h>

int main(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX, .sun_path = "/run/victim.seq" }, got;
	int l = CHECK_SYS(socket(AF_UNIX, SOCK_SEQPACKET, 0)), c, s;
	socklen_t len = sizeof(got);
	static char big[50000], text[50000];

	CHECK_SYS(bind(l, (struct sockaddr *)&a, sizeof(a)));
	CHECK_SYS(listen(l, 1));
	c = CHECK_SYS(socket(AF_UNIX, SOCK_SEQPACKET, 0));
	CHECK_SYS(connect(c, (struct sockaddr *)&a, sizeof(a)));
	s = CHECK_SYS(accept(l, NULL, NULL));
	CHECK_SYS(close(l));
	CHECK_SYS(unlink(a.sun_path));
	memset(big, 'b', sizeof(big));
	CHECK_EQ(send(c, "1", 1, 0), 1);
	CHECK_EQ(send(c, big, sizeof(big), 0), (ssize_t)sizeof(big));
	CHECK_EQ(send(c, "333", 3, 0), 3);
	CHECK_EQ(send(s, "back", 4, 0), 4);
	victim_ready();
	CHECK_EQ(recv(s, text, sizeof(text), 0), 1);
	CHECK_EQ(recv(s, text, sizeof(text), 0), (ssize_t)sizeof(big));
	CHECK_MEM(text, big, sizeof(big));
	CHECK_EQ(recv(s, text, 2, 0), 2); /* the third byte is lost */
	CHECK_ERRNO(recv(s, text, sizeof(text), MSG_DONTWAIT), EAGAIN);
	CHECK_EQ(recv(c, text, sizeof(text), 0), 4);
	CHECK_SYS(getsockname(s, (struct sockaddr *)&got, &len));
	CHECK_STR(got.sun_path, "/run/victim.seq");
	CHECK_EQ(access(a.sun_path, F_OK), -1);
	CHECK_SYS(close(c));
	CHECK_EQ(recv(s, text, sizeof(text), 0), 0);
	victim_pass();
}
