/* SPDX-License-Identifier: Apache-2.0 */
/* A connection that nobody has accepted yet, where the kernel cannot be led to make it again. */
/* needs: uname -r | awk -F. '$1 < 6 || $1 == 6 && $2 < 10 { ok = 1 } END { exit !ok }' */
/* refused: pid 2 (tcp-waiting-ref) fd 3: a TCP connection that waits to be accepted (at port 7301) cannot be made again: this kernel chooses other sequence numbers for it (Linux 6.10 does not); accept it before the checkpoint */
#include "tcp.h"

int main(void)
{
	struct sockaddr_storage a;
	socklen_t len = tcp_loopback(&a, AF_INET, 7301);
	struct pair p = { .client = -1 };
	int listener = CHECK_SYS(socket(AF_INET, SOCK_STREAM, 0));

	CHECK_SYS(bind(listener, (struct sockaddr *)&a, len));
	CHECK_SYS(listen(listener, 1));
	p.client = CHECK_SYS(socket(AF_INET, SOCK_STREAM, 0));
	CHECK_SYS(connect(p.client, (struct sockaddr *)&a, len));
	CHECK_EQ(tcp_put(p.client, 0, 100), 100);
	victim_ready();
	p.server = CHECK_SYS(accept(listener, NULL, NULL));
	tcp_expect(p.server, 0, 100);
	CHECK_EQ(tcp_put(p.server, 7, 50), 50);
	tcp_expect(p.client, 7, 50);
	victim_pass();
}
