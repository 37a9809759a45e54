// SPDX-License-Identifier: Apache-2.0
/* Descriptors that only a queue holds: epoll with what it watches, eventfd, pidfd, timerfd; two sockets inside each other. */
#include "tests/victims/rights.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/pidfd.h>
#include <sys/socket.h>

int main(void)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = 77 };
	int s[2], a[2], b[2], got[3], event_fd, epoll, pidfd;
	uint64_t count = 5;
	char byte;
	pid_t child;

	CHECK_SYS(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	CHECK_SYS(socketpair(AF_UNIX, SOCK_STREAM, 0, a));
	CHECK_SYS(socketpair(AF_UNIX, SOCK_DGRAM, 0, b));
	child = victim_fork((void (*)(void *))victim_wait, NULL);
	event_fd = CHECK_SYS(eventfd(0, 0));
	epoll = CHECK_SYS(epoll_create1(0));
	CHECK_SYS(epoll_ctl(epoll, EPOLL_CTL_ADD, event_fd, &event));
	pidfd = CHECK_SYS(pidfd_open(child, 0));
	rights_give(s[0], "x", 1, (int[]){ event_fd, epoll, pidfd }, 3);
	CHECK_SYS(close(epoll));
	CHECK_SYS(close(pidfd));
	CHECK_SYS(close(event_fd));
	/* a[1] waits in b[1]'s queue, b[1] in a[1]'s. */
	rights_give(a[0], "x", 1, &b[1], 1);
	rights_give(b[0], "x", 1, &a[1], 1);
	CHECK_SYS(close(a[1]));
	victim_ready();
	CHECK_EQ(rights_take(s[1], &byte, 1, got), 3);
	CHECK_EQ(write(got[0], &count, 8), 8);
	CHECK_EQ(epoll_wait(got[1], &event, 1, 1000), 1);
	CHECK_EQ(event.data.u64, 77u);
	victim_join(child);
	CHECK_ERRNO(syscall(SYS_pidfd_send_signal, got[2], 0, NULL, 0), ESRCH);
	CHECK_EQ(rights_take(b[1], &byte, 1, got), 1);
	CHECK_EQ(write(a[0], "y", 1), 1);
	CHECK_EQ(rights_take(got[0], &byte, 1, got + 1), 1);
	CHECK_EQ(write(b[0], "z", 1), 1);
	CHECK_EQ(read(got[1], &count, 8), 1);
	victim_pass();
}
