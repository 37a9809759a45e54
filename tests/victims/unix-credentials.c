/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SO_PEERCRED and SO_PEERGROUPS of ends made by other users, by a process that is gone and by a zombie; credentials of
 * messages, also those that were given explicitly (which wants privilege).
 */
/* run: --cap-add sys_admin */
#include "victim.h"

#include <grp.h>
#include <sys/socket.h>
#include <sys/un.h>

static int server;

static void make_connection(void *arg)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX, .sun_path = "\0who" };
	int fd = CHECK_SYS(socket(AF_UNIX, SOCK_STREAM, 0));

	CHECK_SYS(setgroups(2, (gid_t[]){ 40, 50 }));
	CHECK_SYS(setgid(30));
	CHECK_SYS(setuid(20));
	CHECK_SYS(connect(fd, (struct sockaddr *)&a, sizeof(sa_family_t) + 4));
	CHECK_EQ(write(fd, "who", 3), 3);
	if (arg)
		victim_wait();
}

static void make_pair(void *arg)
{
	int s[2];
	char control[CMSG_SPACE(2 * sizeof(int))] = { 0 };
	struct iovec iov = { "x", 1 };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
			    .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&h);

	CHECK_SYS(setgroups(0, NULL));
	CHECK_SYS(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(s));
	memcpy(CMSG_DATA(c), s, sizeof(s));
	CHECK_EQ(sendmsg(*(int *)arg, &h, 0), 1);
}

static void check_peer(int fd, pid_t pid, uid_t uid, gid_t gid, int n_groups)
{
	gid_t groups[8];
	struct ucred c;
	socklen_t len = sizeof(c);

	CHECK_SYS(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c, &len));
	CHECK_EQ(c.pid, pid);
	CHECK_EQ(c.uid, uid);
	CHECK_EQ(c.gid, gid);
	len = sizeof(groups);
	CHECK_SYS(getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len));
	CHECK_EQ(len, n_groups * sizeof(gid_t));
	if (n_groups)
		CHECK_EQ(groups[1], 50);
}

static void check_message(int fd, pid_t pid, uid_t uid)
{
	char control[CMSG_SPACE(sizeof(struct ucred))], text[8];
	struct iovec iov = { text, sizeof(text) };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
			    .msg_controllen = sizeof(control) };
	struct ucred c;

	CHECK_SYS(recvmsg(fd, &h, 0));
	CHECK_EQ(CMSG_FIRSTHDR(&h)->cmsg_type, SCM_CREDENTIALS);
	memcpy(&c, CMSG_DATA(CMSG_FIRSTHDR(&h)), sizeof(c));
	CHECK_EQ(c.pid, pid);
	CHECK_EQ(c.uid, uid);
}

static void receive_pair(int fd, int s[2])
{
	char control[CMSG_SPACE(2 * sizeof(int))], text[8];
	struct iovec iov = { text, sizeof(text) };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
			    .msg_controllen = sizeof(control) };

	CHECK_SYS(recvmsg(fd, &h, 0));
	memcpy(s, CMSG_DATA(CMSG_FIRSTHDR(&h)), 2 * sizeof(int));
}

static void give_credentials(int fd, pid_t pid, uid_t uid, gid_t gid)
{
	char control[CMSG_SPACE(sizeof(struct ucred))] = { 0 };
	struct iovec iov = { "given", 5 };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
			    .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&h);
	struct ucred u = { pid, uid, gid };

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_CREDENTIALS;
	c->cmsg_len = CMSG_LEN(sizeof(u));
	memcpy(CMSG_DATA(c), &u, sizeof(u));
	CHECK_EQ(sendmsg(fd, &h, 0), 5);
}

int main(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX, .sun_path = "\0who" };
	int l = CHECK_SYS(socket(AF_UNIX, SOCK_STREAM, 0)), one = 1, alive, dead, s[2], d[2], late[2], m[2];
	pid_t child, gone, maker, zombie;
	siginfo_t info;
	char text[8];

	CHECK_SYS(bind(l, (struct sockaddr *)&a, sizeof(sa_family_t) + 4));
	CHECK_SYS(listen(l, 5));
	child = victim_fork(make_connection, &server);
	alive = CHECK_SYS(accept(l, NULL, NULL));
	gone = victim_fork(make_connection, NULL);
	dead = CHECK_SYS(accept(l, NULL, NULL));
	victim_join(gone);
	CHECK_SYS(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
	maker = victim_fork(make_pair, &s[0]);
	victim_join(maker);
	receive_pair(s[1], d);
	zombie = victim_fork(make_pair, &s[0]);
	CHECK_SYS(waitid(P_PID, (id_t)zombie, &info, WEXITED | WNOWAIT));
	receive_pair(s[1], late);
	CHECK_SYS(socketpair(AF_UNIX, SOCK_STREAM, 0, m));
	CHECK_EQ(write(m[0], "before", 6), 6); /* without credentials */
	CHECK_SYS(setsockopt(m[1], SOL_SOCKET, SO_PASSCRED, &one, sizeof(one)));
	CHECK_EQ(write(m[0], "self", 4), 4);
	give_credentials(m[0], child, 77, 88);
	victim_ready();
	check_peer(alive, child, 20, 30, 2);
	check_peer(dead, gone, 20, 30, 2);
	CHECK_EQ(read(dead, text, sizeof(text)), 3);
	check_peer(d[0], maker, 0, 0, 0);
	check_peer(d[1], maker, 0, 0, 0);
	check_peer(late[0], zombie, 0, 0, 0);
	CHECK_EQ(write(d[0], "d", 1), 1);
	CHECK_EQ(read(d[1], text, sizeof(text)), 1);
	check_message(m[1], 0, 65534);
	check_message(m[1], getpid(), 0);
	check_message(m[1], child, 77);
	victim_join(child);
	victim_join(zombie);
	victim_pass();
}
