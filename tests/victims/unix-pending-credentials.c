/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who made a connection that nobody has accepted yet, and who sent what is in it: the victim, a process that has ended, and
 * others by the same socket. The listening socket asks for credentials, which the accepted ends inherit.
 */
#include "unix-pending.h"

#include <grp.h>

#define N 3

static pid_t child; /* it has ended */

static void act_as_child(const struct sockaddr_un *a, socklen_t len, int open)
{
	const gid_t groups[] = { 7001, 7002 };
	int fd;

	child = CHECK_SYS(fork());
	if (child) {
		victim_join(child);
		return;
	}
	CHECK_SYS(setgroups(2, groups));
	CHECK_SYS(setresgid(7003, 7003, 7003));
	CHECK_SYS(setresuid(7004, 7004, 7004));
	CHECK_EQ(send(open, "child", 5, 0), 5);
	fd = pending_connect(SOCK_STREAM, NULL, a, len);
	CHECK_EQ(send(fd, "alone", 5, 0), 5);
	_exit(0);
}

static void expect(int s, const char *text, pid_t pid, uid_t uid, gid_t gid)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(struct ucred))];
	char data[16];
	struct iovec iov = { data, sizeof(data) };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	struct cmsghdr *c;
	struct ucred u;

	CHECK_EQ(recvmsg(s, &h, MSG_DONTWAIT), (ssize_t)strlen(text));
	CHECK_EQ(memcmp(data, text, strlen(text)), 0);
	c = CMSG_FIRSTHDR(&h);
	CHECK_EQ(c && c->cmsg_type == SCM_CREDENTIALS, true);
	memcpy(&u, CMSG_DATA(c), sizeof(u));
	CHECK_EQ(u.pid, pid);
	CHECK_EQ(u.uid, uid);
	CHECK_EQ(u.gid, gid);
}

static void expect_peer(int s, pid_t pid, uid_t uid, gid_t gid, size_t n_groups)
{
	struct ucred u;
	socklen_t len = sizeof(u);
	gid_t groups[64];

	CHECK_SYS(getsockopt(s, SOL_SOCKET, SO_PEERCRED, &u, &len));
	CHECK_EQ(u.pid, pid);
	CHECK_EQ(u.uid, uid);
	CHECK_EQ(u.gid, gid);
	len = sizeof(groups);
	CHECK_SYS(getsockopt(s, SOL_SOCKET, SO_PEERGROUPS, groups, &len));
	CHECK_EQ(len / sizeof(gid_t), n_groups);
}

static int passes(int fd)
{
	int on = 0;
	socklen_t len = sizeof(on);

	CHECK_SYS(getsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, &len));
	return on;
}

int main(void)
{
	const gid_t own = 7005;
	struct sockaddr_un a, b;
	socklen_t len, b_len;
	int listening, idle, s, on = 1, c[2];

	CHECK_SYS(setgroups(1, &own));
	listening = pending_listen(SOCK_STREAM, "\0credentials", sizeof("\0credentials") - 1, N, &a, &len);
	idle = pending_listen(SOCK_STREAM, "\0idle", sizeof("\0idle") - 1, N, &b, &b_len);
	CHECK_SYS(setsockopt(listening, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)));
	CHECK_SYS(setsockopt(idle, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)));
	pending_connect(SOCK_STREAM, NULL, &b, b_len);
	c[0] = pending_connect(SOCK_STREAM, NULL, &a, len);
	CHECK_EQ(send(c[0], "first", 5, 0), 5);
	act_as_child(&a, len, c[0]);
	CHECK_EQ(send(c[0], "third", 5, 0), 5);
	victim_ready();
	s = CHECK_SYS(accept(listening, NULL, NULL));
	expect_peer(s, getpid(), 0, 0, 1);
	expect(s, "first", getpid(), 0, 0);
	expect(s, "child", child, 7004, 7003);
	expect(s, "third", getpid(), 0, 0);
	s = CHECK_SYS(accept(listening, NULL, NULL));
	expect_peer(s, child, 7004, 7003, 2);
	expect(s, "alone", child, 7004, 7003);
	CHECK_EQ(recv(s, &on, 1, 0), 0);
	/* And where nothing was sent. */
	CHECK_EQ(passes(CHECK_SYS(accept(idle, NULL, NULL))), 1);
	victim_pass();
}
