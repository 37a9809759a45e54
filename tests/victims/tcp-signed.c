/* SPDX-License-Identifier: Apache-2.0 */
/* Keys by which segments are signed (TCP_MD5SIG) on one end of a connection; both ends have the same afterwards. */
/* refused: pid 2 (tcp-signed) fd 5: the keys by which a TCP socket signs its segments (TCP_MD5SIG) are not carried; remove them before the checkpoint */
#include "tcp.h"

static void sign(int fd)
{
	struct tcp_md5sig key = { .tcpm_keylen = 6, .tcpm_key = "secret" };

	tcp_loopback((struct sockaddr_storage *)&key.tcpm_addr, AF_INET, 0);
	CHECK_SYS(setsockopt(fd, IPPROTO_TCP, TCP_MD5SIG, &key, sizeof(key)));
}

int main(void)
{
	struct pair p = tcp_pair(AF_INET);

	CHECK_EQ(p.server, 5);
	sign(p.server);
	victim_ready();
	sign(p.client);
	tcp_exchange(p);
	victim_pass();
}
