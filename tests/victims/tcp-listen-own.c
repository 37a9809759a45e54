/* SPDX-License-Identifier: Apache-2.0 */
/* Bound to the pod's own address; a connection from the inside reaches it. */
/* run: --net bridge */
#include "victim.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <sys/socket.h>

static struct in_addr own(void)
{
	struct ifaddrs *list, *i;
	struct in_addr ip = { 0 };

	CHECK_SYS(getifaddrs(&list));
	for (i = list; i; i = i->ifa_next)
		if (i->ifa_addr && i->ifa_addr->sa_family == AF_INET && !strcmp(i->ifa_name, "eth0"))
			ip = ((struct sockaddr_in *)i->ifa_addr)->sin_addr;
	freeifaddrs(list);
	return ip;
}

int main(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(5000) }, got;
	int l = CHECK_SYS(socket(AF_INET, SOCK_STREAM, 0)), c;
	socklen_t len = sizeof(got);

	a.sin_addr = own();
	CHECK(a.sin_addr.s_addr);
	CHECK_SYS(bind(l, (struct sockaddr *)&a, sizeof(a)));
	CHECK_SYS(listen(l, 5));
	victim_ready();
	CHECK_EQ(own().s_addr, a.sin_addr.s_addr);
	CHECK_SYS(getsockname(l, (struct sockaddr *)&got, &len));
	CHECK_EQ(got.sin_addr.s_addr, a.sin_addr.s_addr);
	CHECK_EQ(ntohs(got.sin_port), 5000);
	c = CHECK_SYS(socket(AF_INET, SOCK_STREAM, 0));
	CHECK_SYS(connect(c, (struct sockaddr *)&a, sizeof(a)));
	CHECK_SYS(accept(l, NULL, NULL));
	victim_pass();
}
