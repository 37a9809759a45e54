/* SPDX-License-Identifier: Apache-2.0 */
/* A socket of audit, such as message buses and login programs keep: what the kernel answers is the same. */
#include "victim.h"

#include <linux/audit.h>
#include <linux/netlink.h>
#include <sys/socket.h>

/* The error that the kernel answers with; -1 for another answer. */
static int ask(int fd, unsigned int number)
{
	struct nlmsghdr message = { .nlmsg_len = sizeof(message), .nlmsg_type = AUDIT_GET,
				    .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK, .nlmsg_seq = number };
	struct { struct nlmsghdr head; struct nlmsgerr error; char more[1024]; } answer;

	if (send(fd, &message, sizeof(message), 0) < 0)
		return errno;
	CHECK(CHECK_SYS(recv(fd, &answer, sizeof(answer), 0)) > 0);
	CHECK_EQ(answer.head.nlmsg_seq, number);
	return answer.head.nlmsg_type == NLMSG_ERROR ? -answer.error.error : -1;
}

int main(void)
{
	int fd = CHECK_SYS(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_AUDIT));
	struct sockaddr_nl own = { .nl_family = AF_NETLINK, .nl_pid = 4321 }, now;
	socklen_t len = sizeof(now);
	int before;

	CHECK_SYS(bind(fd, (struct sockaddr *)&own, sizeof(own)));
	before = ask(fd, 1);
	victim_ready();
	CHECK_SYS(getsockname(fd, (struct sockaddr *)&now, &len));
	CHECK_EQ(now.nl_pid, 4321);
	CHECK_EQ(ask(fd, 2), before);
	victim_pass();
}
