/* SPDX-License-Identifier: Apache-2.0 */
/* What is left of connections that are over: TIME_WAIT and, until the peer ends too, FIN_WAIT_2 without a descriptor. */
#include "tcp.h"

#define STATE_FIN_WAIT_2 5
#define STATE_TIME_WAIT 6

/* man 5 proc_net: the state in the line of this local port. */
static int state_of(uint16_t port)
{
	char line[512];
	FILE *f = fopen("/proc/net/tcp", "re");
	int found = 0;

	CHECK(f);
	while (fgets(line, sizeof(line), f)) {
		unsigned int local, state;

		if (sscanf(line, " %*d: %*x:%x %*x:%*x %x", &local, &state) == 2 && local == port)
			found = (int)state;
	}
	CHECK_EQ(fclose(f), 0);
	return found;
}

/* Acknowledgements take their time. */
static void await(uint16_t port, int state)
{
	for (int i = 0; state_of(port) != state; i++) {
		CHECK(i < 12000);
		usleep(10000);
	}
}

static uint16_t port_of(int fd)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);

	CHECK_SYS(getsockname(fd, (struct sockaddr *)&a, &len));
	return ntohs(a.sin_port);
}

/* Another may not have the port without asking for it. */
static void expect_taken(uint16_t port)
{
	struct sockaddr_storage a;
	socklen_t len = tcp_loopback(&a, AF_INET, port);
	int fd = CHECK_SYS(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));

	CHECK_ERRNO(bind(fd, (struct sockaddr *)&a, len), EADDRINUSE);
	CHECK_SYS(close(fd));
}

int main(void)
{
	struct pair over = tcp_pair(AF_INET), half = tcp_pair(AF_INET);
	uint16_t over_port = port_of(over.client), half_port = port_of(half.client);

	tcp_exchange(over);
	tcp_exchange(half);
	CHECK_SYS(shutdown(over.client, SHUT_WR));
	tcp_expect_end(over.server);
	CHECK_SYS(close(over.server));
	tcp_expect_end(over.client);
	CHECK_SYS(close(over.client));
	CHECK_SYS(close(half.client));
	tcp_expect_end(half.server);
	await(over_port, STATE_TIME_WAIT);
	await(half_port, STATE_FIN_WAIT_2);
	victim_ready();
	CHECK_EQ(state_of(over_port), STATE_TIME_WAIT);
	CHECK_EQ(state_of(half_port), STATE_FIN_WAIT_2);
	expect_taken(over_port);
	/* The end that it waits for. */
	CHECK_SYS(close(half.server));
	await(half_port, STATE_TIME_WAIT);
	victim_pass();
}
