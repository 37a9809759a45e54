/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes on both sides of an urgent one that was received: until Linux 6.9 no call shows the second part. */
/* needs: uname -r | awk -F. '$1 < 6 || $1 == 6 && $2 < 9 { ok = 1 } END { exit !ok }' */
/* refused: pid 2 (tcp-urgent-hidd) fd 5: a TCP connection cannot be read: it has received bytes before and behind an urgent one, which can be read since Linux 6.9; read as far as that one first */
#include "tcp.h"

int main(void)
{
	struct pair p = tcp_pair(AF_INET);
	struct pollfd urgent = { p.server, POLLPRI, 0 };
	char byte;

	CHECK_EQ(tcp_put(p.client, 0, 100), 100);
	CHECK_EQ(send(p.client, "!", 1, MSG_OOB), 1);
	CHECK_EQ(tcp_put(p.client, 100, 50), 50);
	CHECK_EQ(poll(&urgent, 1, -1), 1);
	VICTIM_UNTIL(!tcp_queued(p.client));
	victim_ready();
	tcp_expect(p.server, 0, 100);
	CHECK_EQ(recv(p.server, &byte, 1, MSG_OOB), 1);
	CHECK_EQ(byte, '!');
	tcp_expect(p.server, 100, 50);
	victim_pass();
}
