/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes in a connection that nobody has accepted cannot be read from outside; nor a closed one. */
/* refused: pid 2 (unix-pending-da) fd 3: a connection that waits to be accepted has bytes in it already, which cannot be read from outside; accept it first */
/* refused: pid 2 (unix-pending-da) fd 5: a connection waits to be accepted whose other end is closed already, which cannot be looked into; accept it first */
#include "victim.h"

#include <sys/socket.h>
#include <sys/un.h>

static int listening(const char *name)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = CHECK_SYS(socket(AF_UNIX, SOCK_STREAM, 0));

	strcpy(a.sun_path, name);
	CHECK_SYS(bind(fd, (struct sockaddr *)&a, sizeof(a)));
	CHECK_SYS(listen(fd, 1));
	return fd;
}

static int client(const char *name)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = CHECK_SYS(socket(AF_UNIX, SOCK_STREAM, 0));

	strcpy(a.sun_path, name);
	CHECK_SYS(connect(fd, (struct sockaddr *)&a, sizeof(a)));
	return fd;
}

int main(void)
{
	int l = listening("/run/victim.data"), c = client("/run/victim.data"), gone;
	char text[8];

	gone = listening("/run/victim.gone");
	CHECK_SYS(close(client("/run/victim.gone")));
	CHECK_EQ(write(c, "hello", 5), 5);
	victim_ready();
	CHECK_EQ(read(CHECK_SYS(accept(l, NULL, NULL)), text, sizeof(text)), 5);
	CHECK_EQ(read(CHECK_SYS(accept(gone, NULL, NULL)), text, sizeof(text)), 0);
	victim_pass();
}
