/* SPDX-License-Identifier: Apache-2.0 */
/* Netlink messages that nobody has read are refused; so is netlink of netfilter. */
/* refused: pid 2 (netlink-unread) fd 3: netlink messages that nobody has read yet are not carried; read them first */
/* refused: pid 2 (netlink-unread) fd 4: a netlink socket of protocol 12 is not carried; close it first */
#include "victim.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

int main(void)
{
	struct {
		struct nlmsghdr h;
		struct rtgenmsg g;
	} q = { { sizeof(q), RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, 7, 0 }, { AF_UNSPEC } };
	int fd = CHECK_SYS(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE));
	char answer[16384];

	CHECK_SYS(socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER));
	CHECK_EQ(send(fd, &q, sizeof(q), 0), (ssize_t)sizeof(q));
	victim_ready();
	CHECK(recv(fd, answer, sizeof(answer), 0) > 0);
	victim_pass();
}
