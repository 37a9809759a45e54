/* SPDX-License-Identifier: Apache-2.0 */
/* Options of man 7 socket on unix sockets, and who owns them. */
#include "victim.h"

#include <linux/filter.h>
#include <sys/socket.h>
#include <sys/time.h>

static void set(int fd, int option, int value)
{
	CHECK_SYS(setsockopt(fd, SOL_SOCKET, option, &value, sizeof(value)));
}

static int get(int fd, int option)
{
	int value;
	socklen_t len = sizeof(value);

	CHECK_SYS(getsockopt(fd, SOL_SOCKET, option, &value, &len));
	return value;
}

int main(void)
{
	/* Only datagrams whose first byte is 'y'. */
	struct sock_filter code[] = { BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
				      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 'y', 0, 1),
				      BPF_STMT(BPF_RET | BPF_K, 0xffff), BPF_STMT(BPF_RET | BPF_K, 0) };
	struct sock_fprog program = { 4, code };
	struct timeval timeout = { 1, 500000 };
	struct linger linger = { 1, 3 };
	int s[2], d[2];
	struct stat st;
	char text[8];
	socklen_t len;

	CHECK_SYS(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	CHECK_SYS(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, d));
	set(s[0], SO_RCVBUF, 30000);
	set(s[0], SO_SNDBUF, 40000);
	set(s[0], SO_PASSCRED, 1);
	set(s[0], SO_KEEPALIVE, 1);
	set(s[0], SO_PRIORITY, 3);
	set(s[0], SO_RCVLOWAT, 5);
	CHECK_EQ(write(s[1], "abcdef", 6), 6);
	set(s[0], SO_PEEK_OFF, 2);
	CHECK_SYS(setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)));
	CHECK_SYS(setsockopt(s[0], SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)));
	CHECK_SYS(setsockopt(d[1], SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)));
	CHECK_SYS(fchown(s[0], 5, 6));
	victim_ready();
	CHECK_EQ(get(s[0], SO_RCVBUF), 60000);
	CHECK_EQ(get(s[0], SO_SNDBUF), 80000);
	CHECK_EQ(get(s[1], SO_SNDBUF), get(d[1], SO_SNDBUF));
	CHECK_EQ(get(s[0], SO_PASSCRED), 1);
	CHECK_EQ(get(s[1], SO_PASSCRED), 0);
	CHECK_EQ(get(s[0], SO_KEEPALIVE), 1);
	CHECK_EQ(get(s[0], SO_PRIORITY), 3);
	CHECK_EQ(get(s[0], SO_RCVLOWAT), 5);
	CHECK_EQ(get(s[0], SO_PEEK_OFF), 2);
	CHECK_EQ(recv(s[0], text, 2, MSG_PEEK), 2);
	CHECK_MEM(text, "cd", 2);
	CHECK_EQ(get(s[0], SO_PEEK_OFF), 4);
	timeout = (struct timeval){ 0 };
	len = sizeof(timeout);
	CHECK_SYS(getsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &timeout, &len));
	CHECK_EQ(timeout.tv_usec, 500000);
	linger.l_linger = 0;
	len = sizeof(linger);
	CHECK_SYS(getsockopt(s[0], SOL_SOCKET, SO_LINGER, &linger, &len));
	CHECK_EQ(linger.l_linger, 3);
	CHECK_SYS(fstat(s[0], &st));
	CHECK_EQ(st.st_uid, 5);
	CHECK_EQ(st.st_gid, 6);
	CHECK_EQ(write(d[0], "no", 2), 2);
	CHECK_EQ(write(d[0], "yes", 3), 3);
	CHECK_EQ(read(d[1], text, sizeof(text)), 3);
	CHECK_ERRNO(read(d[1], text, sizeof(text)), EAGAIN); /* also O_NONBLOCK */
	victim_pass();
}
