/* SPDX-License-Identifier: Apache-2.0 */
/* Netlink sockets that have lost messages, or listen to groups whose numbers are this boot's. */
/* run: --cap-add net_admin */
/* refused: pid 2 (refused-netlink) fd 3: groups of a generic netlink socket are not carried; leave them first */
/* refused: pid 2 (refused-netlink) fd 4: it has lost messages and nobody has read the error yet, which is not carried; read it first */
/* refused: pid 2 (refused-netlink) fd 4: netlink messages that nobody has read yet are not carried; read them first */
#include "victim.h"

#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <poll.h>
#include <sys/socket.h>

#ifndef SOL_NETLINK
#define SOL_NETLINK 270
#endif

int main(void)
{
	int generic = CHECK_SYS(socket(AF_NETLINK, SOCK_RAW, NETLINK_GENERIC)), group = GENL_ID_CTRL;
	int full = CHECK_SYS(socket(AF_NETLINK, SOCK_RAW, NETLINK_USERSOCK)), one = 1, small = 1024;
	int sender = CHECK_SYS(socket(AF_NETLINK, SOCK_RAW, NETLINK_USERSOCK));
	struct sockaddr_nl own = { .nl_family = AF_NETLINK };
	struct sockaddr_nl a = { .nl_family = AF_NETLINK, .nl_groups = 1 };
	struct pollfd p = { .fd = full };
	char text[1024] = "";

	CHECK_SYS(setsockopt(generic, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)));
	CHECK_SYS(setsockopt(full, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)));
	CHECK_SYS(bind(full, (struct sockaddr *)&own, sizeof(own)));
	CHECK_SYS(setsockopt(full, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &one, sizeof(one)));
	for (int i = 0; i < 100 && poll(&p, 1, 0) == 0; i++)
		sendto(sender, text, sizeof(text), 0, (struct sockaddr *)&a, sizeof(a));
	CHECK_EQ(p.revents, POLLERR);
	CHECK_SYS(close(sender));
	victim_ready();
	CHECK_ERRNO(recv(full, text, sizeof(text), 0), ENOBUFS);
	CHECK_EQ(recv(full, text, sizeof(text), 0), (ssize_t)sizeof(text));
	victim_pass();
}
