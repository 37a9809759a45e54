/* SPDX-License-Identifier: Apache-2.0 */
/* Established connections with both ends in the pod, idle, IPv4 and IPv6: bytes flow afterwards, names are the same. */
/* verified: from the first */
#include "tcp.h"

int main(void)
{
	struct pair p[] = { tcp_pair(AF_INET), tcp_pair(AF_INET6) };
	struct sockaddr_storage before[4], after;
	socklen_t len;

	for (int i = 0; i < 2; i++) {
		tcp_exchange(p[i]);
		len = sizeof(after);
		memset(&before[2 * i], 0, sizeof(after));
		CHECK_SYS(getsockname(p[i].client, (struct sockaddr *)&before[2 * i], &len));
		len = sizeof(after);
		memset(&before[2 * i + 1], 0, sizeof(after));
		CHECK_SYS(getpeername(p[i].client, (struct sockaddr *)&before[2 * i + 1], &len));
	}
	victim_ready();
	for (int i = 0; i < 2; i++) {
		CHECK_EQ(tcp_state_of(p[i].client), TCP_ESTABLISHED);
		len = sizeof(after);
		memset(&after, 0, sizeof(after));
		CHECK_SYS(getsockname(p[i].client, (struct sockaddr *)&after, &len));
		CHECK_MEM(&after, &before[2 * i], sizeof(after));
		len = sizeof(after);
		memset(&after, 0, sizeof(after));
		CHECK_SYS(getpeername(p[i].client, (struct sockaddr *)&after, &len));
		CHECK_MEM(&after, &before[2 * i + 1], sizeof(after));
		for (int k = 0; k < 10; k++)
			tcp_exchange(p[i]);
		CHECK_SYS(close(p[i].client));
		tcp_expect_end(p[i].server);
		CHECK_SYS(close(p[i].server));
	}
	victim_pass();
}
