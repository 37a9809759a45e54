/* SPDX-License-Identifier: Apache-2.0 */
/* What was reported of connections that live on: an error for the next call (IP_RECVERR), or one that only SO_ERROR tells. */
/* run: --cap-add net_raw --cap-add net_admin */
#include "icmp.h"

static struct pair make(int family, bool hard)
{
	int raw = icmp_listen(family);
	struct pair p = tcp_pair(family);
	uint8_t head[8];

	if (hard && family == AF_INET)
		CHECK_SYS(setsockopt(p.client, SOL_IP, IP_RECVERR, &(int){ 1 }, sizeof(int)));
	else if (hard)
		CHECK_SYS(setsockopt(p.client, SOL_IPV6, IPV6_RECVERR, &(int){ 1 }, sizeof(int)));
	CHECK_EQ(tcp_put(p.server, 0, 1000), 1000);
	tcp_deafen(p.server);
	CHECK_EQ(tcp_put(p.client, 0, 1000), 1000);
	icmp_next(raw, p.client, true, head);
	icmp_report(family, head, family == AF_INET ? ICMP_HOST_UNREACH : ICMP6_DST_UNREACH_ADDR);
	CHECK_SYS(close(raw));
	if (hard)
		VICTIM_UNTIL(icmp_polled(p.client) & POLLERR);
	return p;
}

static void check(struct pair p, bool hard)
{
	char byte;

	CHECK_EQ(tcp_state_of(p.client), TCP_ESTABLISHED);
	CHECK_EQ(!(icmp_polled(p.client) & POLLERR), !hard);
	tcp_expect(p.client, 0, 1000);
	if (hard)
		CHECK_ERRNO(recv(p.client, &byte, 1, MSG_DONTWAIT), EHOSTUNREACH);
	else
		CHECK_EQ(icmp_error_of(p.client), EHOSTUNREACH);
	CHECK_EQ(icmp_error_of(p.client), 0);
	CHECK_ERRNO(recv(p.client, &byte, 1, MSG_DONTWAIT), EAGAIN);
	tcp_hear(p.server);
	tcp_expect(p.server, 0, 1000);
	tcp_exchange(p);
}

int main(void)
{
	struct pair p[4];

	for (int i = 0; i < 4; i++)
		p[i] = make(i < 2 ? AF_INET : AF_INET6, i % 2);
	victim_ready();
	for (int i = 0; i < 4; i++)
		check(p[i], i % 2);
	victim_pass();
}
