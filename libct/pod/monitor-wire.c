// SPDX-License-Identifier: Apache-2.0
/* Packets between a pod's monitor and the others; both sides use this file. */
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "libct/base/cleanup.h"
#include "libct/base/error.h"
#include "libct/pod/monitor.h"
#include "libct/pod/pod.h"

#define TRIES 3

/*
 * What was asked is done or will be, and only the answer says so: lack of memory for a moment is not the last word. Nor is that
 * the other end hung up before it had read all: the kernel says so once, before what was sent by it.
 */
static bool try_again(int *tries)
{
	return errno == EINTR || ((errno == ENOMEM || errno == ECONNRESET) && ++*tries < TRIES);
}

int monitor_send_fd(int sock, const struct monitor_msg *msg, const void *data, size_t len, int fd)
{
	struct monitor_msg head = *msg;
	struct iovec iov[] = { { &head, sizeof(head) }, { (void *)data, len } };
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = 2 };
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {};
	int tries = 0;
	ssize_t n;

	head.version = MONITOR_VERSION;
	if (fd >= 0) {
		m.msg_control = control.buf;
		m.msg_controllen = sizeof(control.buf);
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.align), &fd, sizeof(int));
	}
	do
		n = sendmsg(sock, &m, MSG_NOSIGNAL);
	while (n < 0 && try_again(&tries));
	if (n < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	return 0;
}

int monitor_send(int sock, enum monitor_type type, int value, uint64_t number)
{
	struct monitor_msg msg = { .type = type, .value = value, .number = number };

	return monitor_send_fd(sock, &msg, NULL, 0, -1);
}

/* The one descriptor that may come along; what else came is closed. */
static int control_fd(struct msghdr *m)
{
	int found = -1;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; CMSG_LEN((i + 1) * sizeof(int)) <= c->cmsg_len; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			fd_close(found);
			found = fd;
		}
	}
	return found;
}

ssize_t monitor_recv(int sock, struct monitor_msg *ret, void *data, size_t size, int *ret_fd)
{
	struct monitor_msg head;
	char none;
	struct iovec iov[] = { { &head, sizeof(head) },
			       { data ? data : &none, data ? size - 1 : 0 } };
	union {
		char buf[CMSG_SPACE(4 * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct msghdr m = { .msg_iov = iov,
			    .msg_iovlen = 2,
			    .msg_control = control.buf,
			    .msg_controllen = sizeof(control.buf) };
	cleanup_fd int fd = -1;
	int tries = 0;
	ssize_t n;

	do
		n = recvmsg(sock, &m, MSG_CMSG_CLOEXEC);
	while (n < 0 && try_again(&tries));
	if (n < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	fd = control_fd(&m);
	if (n == 0)
		return -EPIPE;
	if (n < (ssize_t)sizeof(head) || head.version != MONITOR_VERSION || m.msg_flags & MSG_TRUNC)
		return -EPROTO;
	n -= (ssize_t)sizeof(head);
	if (data)
		((char *)data)[n] = '\0';
	*ret = head;
	if (ret_fd)
		*ret_fd = take_fd(&fd);
	return n;
}

int monitor_answer(int sock, struct monitor_msg *ret, int *ret_fd, struct ct_error *err)
{
	char text[sizeof(((struct ct_error *)0)->text)];
	ssize_t n = monitor_recv(sock, ret, text, sizeof(text), ret_fd);

	if (n == -EPIPE)
		return error_set(err, -EPIPE, "the pod's monitor has hung up");
	if (n == -EPROTO)
		return error_set(err, -EPROTO, "the pod's monitor is of another version of podckpt");
	if (n < 0)
		return error_errno(err, (int)n, "the pod's monitor");
	if (ret->type != MSG_FAILED)
		return ret->type;
	if (ret->value >= 0)
		return error_set(err, -EPROTO, "the pod's monitor failed without a reason");
	return error_set(err, ret->value, "%s", text);
}

int monitor_connect(const struct pod *pod, struct ct_error *err)
{
	cleanup_fd int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (sock < 0)
		return error_errno(err, -errno, "socket");
	/* The directory's own path may be longer than an address can hold. */
	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/sock", pod->dirfd);
	if (connect(sock, (struct sockaddr *)&address, sizeof(address)) < 0) {
		if (errno == ENOENT || errno == ECONNREFUSED)
			return error_set(err, -ECONNREFUSED,
					 "the pod's monitor is gone: its output, input and exit code are "
					 "lost, the pod itself runs on; stop it or remove it");
		return error_errno(err, -errno, "connect to the pod's monitor");
	}
	return take_fd(&sock);
}
