/* SPDX-License-Identifier: Apache-2.0 */
/* What is not carried of a connection that nobody has accepted yet. */
/* refused: pid 2 (unix-pending-re) fd 3: a connection that waits to be accepted has descriptors in it already, which are not carried; accept it first */
/* refused: pid 2 (unix-pending-re) fd 5: a connection that waits to be accepted has an out-of-band byte in it already, which is not carried; accept it first */
/* refused: pid 2 (unix-pending-re) fd 7: a connection waits to be accepted whose other end is closed already, and its abstract name is another socket's now, which is not carried; accept it first */
#include "unix-pending.h"

static void send_descriptor(int to, int fd)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(fd))] = { 0 };
	struct iovec iov = { (char[]){ "x" }, 1 };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&h);

	*c = (struct cmsghdr){ CMSG_LEN(sizeof(fd)), SOL_SOCKET, SCM_RIGHTS };
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	CHECK_EQ(sendmsg(to, &h, 0), 1);
}

int main(void)
{
	struct sockaddr_un a, b, c;
	socklen_t a_len, b_len, c_len;
	int rights, urgent, taken, fd;
	char text[8];

	rights = pending_listen(SOCK_STREAM, "\0rights", 7, 1, &a, &a_len);
	send_descriptor(pending_connect(SOCK_STREAM, NULL, &a, a_len), rights);
	urgent = pending_listen(SOCK_STREAM, "\0urgent", 7, 1, &b, &b_len);
	fd = pending_connect(SOCK_STREAM, NULL, &b, b_len);
	CHECK_EQ(send(fd, "abc", 3, 0), 3);
	CHECK_EQ(send(fd, "!", 1, MSG_OOB), 1);
	taken = pending_listen(SOCK_STREAM, "\0taken", 6, 1, &c, &c_len);
	CHECK_SYS(close(pending_connect(SOCK_STREAM, "name", &c, c_len)));
	c = (struct sockaddr_un){ .sun_family = AF_UNIX, .sun_path = "\0name" };
	fd = CHECK_SYS(socket(AF_UNIX, SOCK_STREAM, 0));
	CHECK_SYS(bind(fd, (struct sockaddr *)&c, sizeof(sa_family_t) + 5));
	victim_ready();
	CHECK_EQ(read(CHECK_SYS(accept(rights, NULL, NULL)), text, sizeof(text)), 1);
	fd = CHECK_SYS(accept(urgent, NULL, NULL));
	CHECK_EQ(recv(fd, text, 1, MSG_OOB), 1);
	CHECK_EQ(*text, '!');
	CHECK_EQ(read(fd, text, sizeof(text)), 3);
	CHECK_EQ(read(CHECK_SYS(accept(taken, NULL, NULL)), text, sizeof(text)), 0);
	victim_pass();
}
