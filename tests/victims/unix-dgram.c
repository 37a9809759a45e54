/* SPDX-License-Identifier: Apache-2.0 */
/* Datagram pairs and connected datagram sockets: boundaries, also of an empty one, and who may send. */
#include "victim.h"

#include <sys/socket.h>
#include <sys/un.h>

int main(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX, .sun_path = "\0receiver" };
	const socklen_t len = sizeof(sa_family_t) + 9;
	int s[2], receiver, sender, other;
	char text[64];

	CHECK_SYS(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
	CHECK_EQ(send(s[0], "one", 3, 0), 3);
	CHECK_EQ(send(s[0], "", 0, 0), 0);
	CHECK_EQ(send(s[0], "three", 5, 0), 5);
	receiver = CHECK_SYS(socket(AF_UNIX, SOCK_DGRAM, 0));
	CHECK_SYS(bind(receiver, (struct sockaddr *)&a, len));
	sender = CHECK_SYS(socket(AF_UNIX, SOCK_DGRAM, 0));
	CHECK_SYS(connect(sender, (struct sockaddr *)&a, len));
	CHECK_EQ(send(sender, "first", 5, 0), 5);
	a.sun_path[1] = 'S';
	CHECK_SYS(bind(sender, (struct sockaddr *)&a, len));
	CHECK_SYS(connect(receiver, (struct sockaddr *)&a, len)); /* from now on nobody else */
	CHECK_EQ(send(sender, "second", 6, 0), 6);
	victim_ready();
	CHECK_EQ(recv(s[1], text, sizeof(text), 0), 3);
	CHECK_MEM(text, "one", 3);
	CHECK_EQ(recv(s[1], text, sizeof(text), 0), 0);
	CHECK_EQ(recv(s[1], text, sizeof(text), 0), 5);
	CHECK_MEM(text, "three", 5);
	CHECK_EQ(send(s[1], "back", 4, 0), 4);
	CHECK_EQ(recv(s[0], text, sizeof(text), 0), 4);
	other = CHECK_SYS(socket(AF_UNIX, SOCK_DGRAM, 0));
	a.sun_path[1] = 'r';
	CHECK_ERRNO(sendto(other, "x", 1, 0, (struct sockaddr *)&a, len), EPERM);
	CHECK_EQ(recv(receiver, text, sizeof(text), 0), 5);
	CHECK_EQ(recv(receiver, text, sizeof(text), 0), 6);
	CHECK_ERRNO(recv(receiver, text, sizeof(text), MSG_DONTWAIT), EAGAIN);
	CHECK_EQ(send(receiver, "reply", 5, 0), 5);
	CHECK_EQ(recv(sender, text, sizeof(text), 0), 5);
	victim_pass();
}
