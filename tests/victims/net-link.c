/* SPDX-License-Identifier: Apache-2.0 */
/* What a process set up in the pod's network is refused. */
/* run: --net bridge --cap-add net_admin */
/* refused: address 10.99.0.1/32 on lo was set up inside the pod's network, which is not carried yet; remove it before the checkpoint */
#include "victim.h"

#include <arpa/inet.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

int main(void)
{
	struct {
		struct nlmsghdr h;
		struct ifaddrmsg a;
		struct rtattr t;
		struct in_addr ip;
	} q = { .h = { sizeof(q), RTM_NEWADDR, NLM_F_REQUEST | NLM_F_CREATE | NLM_F_ACK, 1, 0 },
		.a = { .ifa_family = AF_INET, .ifa_prefixlen = 32, .ifa_index = if_nametoindex("lo") },
		.t = { 8, IFA_LOCAL } };
	int fd = CHECK_SYS(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE));
	char answer[4096];

	q.ip.s_addr = inet_addr("10.99.0.1");
	CHECK_EQ(send(fd, &q, sizeof(q), 0), (ssize_t)sizeof(q));
	CHECK(recv(fd, answer, sizeof(answer), 0) > 0);
	CHECK_EQ(((struct nlmsgerr *)NLMSG_DATA((struct nlmsghdr *)answer))->error, 0);
	CHECK_SYS(close(fd));
	victim_ready();
	victim_pass();
}
