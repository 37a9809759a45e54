/* SPDX-License-Identifier: Apache-2.0 */
/* Netlink sockets: port, groups, options; asking goes on. */
#include "victim.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

static int asked(int fd, uint32_t port)
{
	struct {
		struct nlmsghdr h;
		struct rtgenmsg g;
	} q = { { sizeof(q), RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, 7, 0 }, { AF_UNSPEC } };
	char answer[16384];
	int links = 0;

	CHECK_EQ(send(fd, &q, sizeof(q), 0), (ssize_t)sizeof(q));
	for (;;) {
		ssize_t n = CHECK_SYS(recv(fd, answer, sizeof(answer), 0));

		for (struct nlmsghdr *h = (void *)answer; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
			if (!h->nlmsg_seq) /* news of a link, from the group */
				continue;
			CHECK_EQ(h->nlmsg_pid, port);
			if (h->nlmsg_type == NLMSG_DONE)
				return links;
			links += h->nlmsg_type == RTM_NEWLINK;
		}
	}
}

int main(void)
{
	struct sockaddr_nl a = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK }, got;
	int route = CHECK_SYS(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE)), one = 1;
	int uevent = CHECK_SYS(socket(AF_NETLINK, SOCK_DGRAM, NETLINK_KOBJECT_UEVENT));
	int generic = CHECK_SYS(socket(AF_NETLINK, SOCK_DGRAM, NETLINK_GENERIC));
	int plain = CHECK_SYS(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE)), group = RTNLGRP_IPV6_ROUTE;
	socklen_t len = sizeof(got);
	uint32_t bits[8] = { 0 };
	int links;

	CHECK_SYS(bind(route, (struct sockaddr *)&a, sizeof(a)));
	CHECK_SYS(setsockopt(route, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)));
	CHECK_SYS(setsockopt(route, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof(one)));
	CHECK_SYS(getsockname(route, (struct sockaddr *)&a, &len));
	links = asked(route, a.nl_pid);
	CHECK(links > 0);
	(void)generic;
	victim_ready();
	CHECK_SYS(getsockname(route, (struct sockaddr *)&got, &len));
	CHECK_EQ(got.nl_pid, a.nl_pid);
	CHECK_EQ(got.nl_groups, a.nl_groups);
	CHECK_EQ(got.nl_groups, RTMGRP_LINK | RTMGRP_IPV6_ROUTE);
	len = sizeof(bits);
	CHECK_SYS(getsockopt(route, SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, bits, &len));
	CHECK_EQ(bits[0], RTMGRP_LINK | RTMGRP_IPV6_ROUTE);
	one = 0;
	len = sizeof(one);
	CHECK_SYS(getsockopt(route, SOL_NETLINK, NETLINK_EXT_ACK, &one, &len));
	CHECK_EQ(one, 1);
	CHECK_EQ(asked(route, a.nl_pid), links);
	len = sizeof(got);
	CHECK_SYS(getsockname(plain, (struct sockaddr *)&got, &len));
	CHECK_EQ(got.nl_pid, 0);
	CHECK_SYS(getsockname(uevent, (struct sockaddr *)&got, &len));
	CHECK_EQ(got.nl_groups, 0);
	victim_pass();
}
