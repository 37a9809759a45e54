/* SPDX-License-Identifier: Apache-2.0 */
/* A connection that is not to be accepted before its first bytes are there (TCP_DEFER_ACCEPT): SYN_RECEIVED until then. */
/* needs: uname -r | awk -F. '$1 > 6 || $1 == 6 && $2 >= 10 { ok = 1 } END { exit !ok }' */
#include "tcp.h"

static bool waits(int listener)
{
	struct pollfd p = { listener, POLLIN, 0 };

	return CHECK_SYS(poll(&p, 1, 0)) == 1;
}

int main(void)
{
	struct sockaddr_storage a;
	socklen_t len;
	struct pair p;
	int l = tcp_listen(AF_INET, &a, &len);

	CHECK_SYS(setsockopt(l, IPPROTO_TCP, TCP_DEFER_ACCEPT, &(int){ 3600 }, sizeof(int)));
	p.client = CHECK_SYS(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
	CHECK_SYS(connect(p.client, (struct sockaddr *)&a, len));
	CHECK(!waits(l));
	victim_ready();
	CHECK(!waits(l));
	CHECK_EQ(tcp_put(p.client, 0, 10000), 10000);
	p.server = CHECK_SYS(accept(l, NULL, NULL));
	tcp_expect(p.server, 0, 10000);
	tcp_exchange(p);
	victim_pass();
}
