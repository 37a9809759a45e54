/* SPDX-License-Identifier: Apache-2.0 */
/* An out-of-band byte in a unix socket's queue is refused. */
/* refused: pid 2 (unix-oob) fd 3: an out-of-band byte in its queue is not carried; read it first */
#include "victim.h"

#include <sys/socket.h>

int main(void)
{
	int s[2];
	char c;

	CHECK_SYS(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	CHECK_EQ(send(s[1], "x", 1, MSG_OOB), 1);
	victim_ready();
	CHECK_EQ(recv(s[0], &c, 1, MSG_OOB), 1);
	CHECK_EQ(c, 'x');
	victim_pass();
}
