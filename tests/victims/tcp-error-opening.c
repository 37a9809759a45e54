/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections that did not come about, each for a reason of its own, while nobody waited for them: that can still be
 * told, by SO_ERROR or by connect(2), with what is in the error queue; then the socket is ready for the next.
 */
/* run: --cap-add net_raw --cap-add net_admin */
#include "icmp.h"

enum { REFUSED, REPORTED, SILENT, TOLD, READ, N };

/* Where nobody answers. */
static int silent(int family, struct sockaddr_storage *ret, socklen_t *ret_len)
{
	int fd = tcp_listen(family, ret, ret_len);

	tcp_deafen(fd);
	return fd;
}

static int make(int family, int how, const struct sockaddr_storage *nobody, socklen_t len)
{
	int fd = CHECK_SYS(socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0)), raw = icmp_listen(family);
	struct sockaddr_storage a = *nobody;
	uint8_t head[8];

	if (how == SILENT)
		CHECK_SYS(setsockopt(fd, IPPROTO_TCP, TCP_SYNCNT, &(int){ 1 }, sizeof(int)));
	if (how == REFUSED || how == TOLD)
		len = tcp_loopback(&a, family, 1);
	CHECK_ERRNO(connect(fd, (struct sockaddr *)&a, len), EINPROGRESS);
	if (how == REPORTED || how == READ) {
		icmp_next(raw, fd, false, head);
		icmp_report(family, head, family == AF_INET ? ICMP_NET_UNREACH : ICMP6_DST_UNREACH_NOROUTE);
	}
	CHECK_SYS(close(raw));
	return fd;
}

static int reported(int fd, int *ret_error)
{
	char control[512], data[64];
	struct iovec iov = { data, sizeof(data) };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(fd, &m, MSG_ERRQUEUE | MSG_DONTWAIT);
	struct cmsghdr *c = n < 0 ? NULL : CMSG_FIRSTHDR(&m);

	if (!c)
		return 0;
	/* struct sock_extended_err, and who says so */
	memcpy(ret_error, CMSG_DATA(c), sizeof(*ret_error));
	CHECK_EQ(CMSG_DATA(c)[5], ICMP_DEST_UNREACH);
	CHECK_EQ(CMSG_DATA(c)[6], ICMP_NET_UNREACH);
	CHECK_EQ(((struct sockaddr_in *)(CMSG_DATA(c) + 16))->sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	return 1;
}

/* The socket goes on as one that is new. */
static void use(int fd, int family)
{
	struct sockaddr_storage a;
	socklen_t len;
	int l = tcp_listen(family, &a, &len);
	struct pair p = { .client = fd };

	CHECK_SYS(fcntl(fd, F_SETFL, 0));
	CHECK_SYS(connect(fd, (struct sockaddr *)&a, len));
	p.server = CHECK_SYS(accept(l, NULL, NULL));
	tcp_exchange(p);
	CHECK_SYS(close(l));
}

static void check(int fd, int family, int how, short events)
{
	struct sockaddr_storage a;
	socklen_t len = tcp_loopback(&a, family, 1);
	int error = 0;

	CHECK_EQ(tcp_state_of(fd), TCP_CLOSE);
	CHECK_EQ(icmp_polled(fd), events);
	switch (how) {
	case REFUSED:
		CHECK_ERRNO(connect(fd, (struct sockaddr *)&a, len), ECONNREFUSED);
		break;
	case SILENT:
		CHECK_EQ(icmp_error_of(fd), ETIMEDOUT);
		CHECK_ERRNO(connect(fd, (struct sockaddr *)&a, len), ECONNABORTED);
		break;
	case REPORTED:
		CHECK_EQ(icmp_error_of(fd), ENETUNREACH);
		/* fall through */
	case READ:
		CHECK_EQ(reported(fd, &error), family == AF_INET);
		CHECK_EQ(error, family == AF_INET ? ENETUNREACH : 0);
		/* fall through */
	default:
		CHECK_ERRNO(connect(fd, (struct sockaddr *)&a, len), ECONNABORTED);
	}
	use(fd, family);
}

int main(void)
{
	int fd[2 * N], quiet[2];
	short events[2 * N];
	struct sockaddr_storage nobody[2];
	socklen_t len[2];

	for (int i = 0; i < 2; i++)
		quiet[i] = silent(i ? AF_INET6 : AF_INET, &nobody[i], &len[i]);
	for (int i = 0; i < 2 * N; i++)
		fd[i] = make(i < N ? AF_INET : AF_INET6, i % N, &nobody[i / N], len[i / N]);
	for (int i = 0; i < 2 * N; i++) {
		VICTIM_UNTIL(tcp_state_of(fd[i]) == TCP_CLOSE);
		if (i % N == TOLD || i % N == READ)
			CHECK(icmp_error_of(fd[i]) != 0);
		events[i] = icmp_polled(fd[i]);
	}
	CHECK_SYS(close(quiet[0]));
	CHECK_SYS(close(quiet[1]));
	victim_ready();
	for (int i = 0; i < 2 * N; i++)
		check(fd[i], i < N ? AF_INET : AF_INET6, i % N, events[i]);
	victim_pass();
}
