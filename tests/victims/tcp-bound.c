/* SPDX-License-Identifier: Apache-2.0 */
/* TCP sockets that are new, or bound and not more; a port that the kernel chose. */
#include "victim.h"

#include <netinet/in.h>
#include <sys/socket.h>

int main(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET }, got = { 0 };
	struct sockaddr_in6 six = { .sin6_family = AF_INET6 }, got6;
	int fresh = CHECK_SYS(socket(AF_INET, SOCK_STREAM, 0));
	int bound = CHECK_SYS(socket(AF_INET, SOCK_STREAM, 0));
	int dual = CHECK_SYS(socket(AF_INET6, SOCK_STREAM, 0)), other, c;
	socklen_t len = sizeof(a);

	CHECK_SYS(bind(bound, (struct sockaddr *)&a, sizeof(a)));
	CHECK_SYS(getsockname(bound, (struct sockaddr *)&a, &len));
	CHECK_SYS(bind(dual, (struct sockaddr *)&six, sizeof(six)));
	len = sizeof(six);
	CHECK_SYS(getsockname(dual, (struct sockaddr *)&six, &len));
	victim_ready();
	len = sizeof(got);
	CHECK_SYS(getsockname(bound, (struct sockaddr *)&got, &len));
	CHECK_EQ(got.sin_port, a.sin_port);
	len = sizeof(got6);
	CHECK_SYS(getsockname(dual, (struct sockaddr *)&got6, &len));
	CHECK_MEM(&got6, &six, sizeof(six));
	other = CHECK_SYS(socket(AF_INET, SOCK_STREAM, 0));
	CHECK_ERRNO(bind(other, (struct sockaddr *)&a, sizeof(a)), EADDRINUSE);
	a.sin_port = six.sin6_port;
	CHECK_ERRNO(bind(other, (struct sockaddr *)&a, sizeof(a)), EADDRINUSE);
	CHECK_SYS(listen(dual, 1));
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	CHECK_SYS(connect(fresh, (struct sockaddr *)&a, sizeof(a)));
	c = CHECK_SYS(accept(dual, NULL, NULL));
	CHECK_EQ(write(c, "x", 1), 1);
	victim_pass();
}
