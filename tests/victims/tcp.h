/* SPDX-License-Identifier: Apache-2.0 */
/* TCP connections for victims: both ends in the same process, of either family. */
#pragma once
#include "victim.h"

#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

struct pair {
	int client, server;
};

static inline socklen_t tcp_loopback(struct sockaddr_storage *a, int family, uint16_t port)
{
	*a = (struct sockaddr_storage){ .ss_family = family };
	if (family == AF_INET) {
		((struct sockaddr_in *)a)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		((struct sockaddr_in *)a)->sin_port = htons(port);
		return sizeof(struct sockaddr_in);
	}
	((struct sockaddr_in6 *)a)->sin6_addr = in6addr_loopback;
	((struct sockaddr_in6 *)a)->sin6_port = htons(port);
	return sizeof(struct sockaddr_in6);
}

/* A listening socket at a port of the kernel's choice; SO_REUSEADDR is not set. */
static inline int tcp_listen(int family, struct sockaddr_storage *ret, socklen_t *ret_len)
{
	socklen_t len = tcp_loopback(ret, family, 0);
	int fd = CHECK_SYS(socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));

	CHECK_SYS(bind(fd, (struct sockaddr *)ret, len));
	CHECK_SYS(listen(fd, 16));
	*ret_len = sizeof(*ret);
	CHECK_SYS(getsockname(fd, (struct sockaddr *)ret, ret_len));
	return fd;
}

static inline struct pair tcp_pair(int family)
{
	struct sockaddr_storage a;
	socklen_t len;
	int l = tcp_listen(family, &a, &len);
	struct pair p = { .client = CHECK_SYS(socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0)) };

	CHECK_SYS(connect(p.client, (struct sockaddr *)&a, len));
	p.server = CHECK_SYS(accept(l, NULL, NULL));
	CHECK_SYS(close(l));
	return p;
}

static inline void tcp_close(struct pair p)
{
	CHECK_SYS(close(p.client));
	CHECK_SYS(close(p.server));
}

static inline int tcp_state_of(int fd)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	CHECK_SYS(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len));
	return info.tcpi_state;
}

/* How many bytes the peer has not acknowledged. */
static inline int tcp_queued(int fd)
{
	int n = 0;

	CHECK_SYS(ioctl(fd, TIOCOUTQ, &n));
	return n;
}

/* The byte of a stream at `at`. */
static inline unsigned char tcp_byte(size_t at)
{
	return at * 2654435761u >> 13;
}

/* Writes bytes `at` to `at + len` of a stream, as far as they go without waiting; returns how many. */
static inline size_t tcp_put(int fd, size_t at, size_t len)
{
	unsigned char data[4096];
	size_t done = 0;

	while (done < len) {
		size_t n = len - done < sizeof(data) ? len - done : sizeof(data);
		ssize_t w;

		for (size_t i = 0; i < n; i++)
			data[i] = tcp_byte(at + done + i);
		w = send(fd, data, n, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (w < 0 && errno == EAGAIN)
			break;
		CHECK_SYS(w);
		done += w;
	}
	return done;
}

/* Reads them and checks each. */
static inline void tcp_expect(int fd, size_t at, size_t len)
{
	unsigned char data[4096];
	size_t done = 0;

	while (done < len) {
		ssize_t n = CHECK_SYS(recv(fd, data, len - done < sizeof(data) ? len - done : sizeof(data), 0));

		if (!n)
			VICTIM_FAIL("end of file at byte %zu of %zu", done, len);
		for (ssize_t i = 0; i < n; i++)
			if (data[i] != tcp_byte(at + done + i))
				VICTIM_FAIL("byte %zu differs", at + done + i);
		done += n;
	}
}

static inline void tcp_expect_end(int fd)
{
	char byte;

	CHECK_EQ(recv(fd, &byte, 1, 0), 0);
}

/* Some bytes each way. */
static inline void tcp_exchange(struct pair p)
{
	CHECK_EQ(tcp_put(p.client, 0, 3000), 3000);
	tcp_expect(p.server, 0, 3000);
	CHECK_EQ(tcp_put(p.server, 7, 3000), 3000);
	tcp_expect(p.client, 7, 3000);
}

/* How many wait to be accepted. */
static inline int tcp_waiting(int listener)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	CHECK_SYS(getsockopt(listener, IPPROTO_TCP, TCP_INFO, &info, &len));
	return (int)info.tcpi_unacked;
}

static inline uint16_t tcp_port(const struct sockaddr_storage *a)
{
	return ntohs(((const struct sockaddr_in *)a)->sin_port);
}

/* A client that waits to be accepted behind `before` others. */
static inline int tcp_come(int listener, const struct sockaddr_storage *a, socklen_t len, int before, uint16_t *ret_port)
{
	int fd = CHECK_SYS(socket(a->ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
	struct sockaddr_storage mine;
	socklen_t mine_len = sizeof(mine);

	CHECK_SYS(connect(fd, (const struct sockaddr *)a, len));
	/* The last packet of the handshake may be under way still, and the next client's overtake it. */
	VICTIM_UNTIL(tcp_waiting(listener) == before + 1);
	CHECK_SYS(getsockname(fd, (struct sockaddr *)&mine, &mine_len));
	*ret_port = tcp_port(&mine);
	return fd;
}

/* The next one, which is to be the client with this port. */
static inline int tcp_accept(int listener, uint16_t port)
{
	struct sockaddr_storage a;
	socklen_t len = sizeof(a);
	int fd = CHECK_SYS(accept(listener, (struct sockaddr *)&a, &len));

	CHECK_EQ(tcp_port(&a), port);
	return fd;
}

static inline void tcp_nobody_waits(int listener)
{
	CHECK_SYS(fcntl(listener, F_SETFL, O_NONBLOCK));
	CHECK_ERRNO(accept(listener, NULL, NULL), EAGAIN);
}

/* Nothing gets to this socket any more. */
static inline void tcp_deafen(int fd)
{
	struct sock_filter none = BPF_STMT(BPF_RET | BPF_K, 0);
	struct sock_fprog program = { 1, &none };

	CHECK_SYS(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)));
}

static inline void tcp_hear(int fd)
{
	CHECK_SYS(setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &(int){ 0 }, sizeof(int)));
}
