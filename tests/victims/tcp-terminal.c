/* SPDX-License-Identifier: Apache-2.0 */
/* A TCP connection, and behind it a terminal's end of which only the process can say whether it is closed on exec. */
#include "tcp.h"

#include <fcntl.h>

int main(void)
{
	struct pair p = tcp_pair(AF_INET);
	int master = CHECK_SYS(open("/dev/ptmx", O_RDWR | O_NOCTTY)), zero = 0, plain, closed;

	CHECK_SYS(ioctl(master, TIOCSPTLCK, &zero));
	plain = CHECK_SYS(ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
	CHECK_SYS(fcntl(plain, F_SETFD, 0));
	closed = CHECK_SYS(ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
	CHECK_EQ(tcp_put(p.client, 0, 1000), 1000);
	victim_ready();
	CHECK_EQ(fcntl(plain, F_GETFD), 0);
	CHECK_EQ(fcntl(closed, F_GETFD), FD_CLOEXEC);
	tcp_expect(p.server, 0, 1000);
	CHECK_EQ(write(plain, "x", 1), 1);
	CHECK_EQ(read(master, &zero, 1), 1);
	victim_pass();
}
