/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection that its program has closed goes on as it was told to: its packets look the same, and when all has arrived
 * nothing of it stays.
 */
/* run: --cap-add net_raw */
#include "icmp.h"

#define MUCH 60000

static int family_of(int fd)
{
	int family;
	socklen_t len = sizeof(family);

	CHECK_SYS(getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &len));
	return family;
}

static void set(int fd, int level, int option, int value)
{
	CHECK_SYS(setsockopt(fd, level, option, &value, sizeof(value)));
}

/* The reader has room for little, so that the rest waits at the one who has gone. */
static int begin(int family, uint16_t *ret_port)
{
	struct sockaddr_storage a;
	socklen_t len;
	int l = tcp_listen(family, &a, &len), writer, reader = CHECK_SYS(socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));

	*ret_port = ((struct sockaddr_in *)&a)->sin_port;
	set(reader, SOL_SOCKET, SO_RCVBUF, 10000);
	set(reader, IPPROTO_TCP, TCP_MAXSEG, 1000);
	CHECK_SYS(connect(reader, (struct sockaddr *)&a, len));
	writer = CHECK_SYS(accept(l, NULL, NULL));
	set(writer, SOL_SOCKET, SO_SNDBUF, 2 * MUCH);
	if (family == AF_INET) {
		set(writer, SOL_IP, IP_TOS, 0x48);
		set(writer, SOL_IP, IP_TTL, 77);
	} else {
		set(writer, SOL_IPV6, IPV6_TCLASS, 0x48);
		set(writer, SOL_IPV6, IPV6_UNICAST_HOPS, 77);
	}
	set(writer, SOL_SOCKET, SO_REUSEADDR, 1);
	set(writer, SOL_SOCKET, SO_PRIORITY, 5);
	set(writer, SOL_SOCKET, SO_KEEPALIVE, 1);
	set(writer, IPPROTO_TCP, TCP_KEEPIDLE, 1000);
	set(writer, IPPROTO_TCP, TCP_USER_TIMEOUT, 600000);
	set(writer, IPPROTO_TCP, TCP_LINGER2, -1);
	CHECK_SYS(setsockopt(writer, IPPROTO_TCP, TCP_CONGESTION, "reno", 4));
	CHECK_EQ(tcp_put(writer, 0, MUCH), MUCH);
	CHECK_SYS(close(writer));
	CHECK_SYS(close(l));
	return reader;
}

/* Of the next packet with data from that port: a raw socket of IPv6 has no head, but can be told of it. */
static void look(int raw, uint16_t port, bool six, int *ret_class, int *ret_hops)
{
	unsigned char packet[4096], control[256];
	unsigned char *tcp;

	do {
		struct iovec iov = { packet, sizeof(packet) };
		struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
				    .msg_controllen = sizeof(control) };

		CHECK_SYS(recvmsg(raw, &m, 0));
		tcp = packet + (six ? 0 : (packet[0] & 15) * 4);
		*ret_class = packet[1];
		*ret_hops = packet[8];
		for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c && six; c = CMSG_NXTHDR(&m, c)) {
			if (c->cmsg_type == IPV6_TCLASS)
				memcpy(ret_class, CMSG_DATA(c), sizeof(int));
			if (c->cmsg_type == IPV6_HOPLIMIT)
				memcpy(ret_hops, CMSG_DATA(c), sizeof(int));
		}
	} while (memcmp(tcp, &port, 2));
}

/* "local_address rem_address st" of /proc/net/tcp. */
static bool is_there(int family, uint16_t port, unsigned int state)
{
	FILE *f = fopen(family == AF_INET ? "/proc/net/tcp" : "/proc/net/tcp6", "re");
	char line[512];
	unsigned int at, is;
	bool found = false;

	CHECK(f);
	while (fgets(line, sizeof(line), f))
		found |= sscanf(line, " %*d: %*[0-9A-F]:%x %*[0-9A-F]:%*x %x", &at, &is) == 2 && at == ntohs(port) &&
			 (!state || is == state);
	fclose(f);
	return found;
}

/* A server that begins again does not find its port taken. */
static void listen_again(int family, uint16_t port)
{
	struct sockaddr_in6 a = { .sin6_family = (sa_family_t)family, .sin6_port = port }; /* the same place in both */
	int fd = CHECK_SYS(socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));

	set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	CHECK_SYS(bind(fd, (struct sockaddr *)&a, sizeof(a)));
	CHECK_SYS(listen(fd, 1));
	CHECK_SYS(close(fd));
}

static void end(int reader, uint16_t port, int raw)
{
	int family = family_of(reader), class, hops;

	CHECK(is_there(family, port, TCP_FIN_WAIT1));
	listen_again(family, port);
	tcp_expect(reader, 0, MUCH);
	tcp_expect_end(reader);
	/* The last packets, at the latest, have come since. */
	look(raw, port, family == AF_INET6, &class, &hops);
	CHECK_EQ(class, 0x48);
	CHECK_EQ(hops, 77);
	VICTIM_UNTIL(!is_there(family, port, TCP_FIN_WAIT1));
	CHECK(!is_there(family, port, 0));
	CHECK_SYS(close(reader));
	CHECK_SYS(close(raw));
}

static int listen_raw(int family)
{
	int raw = icmp_listen(family);

	if (family == AF_INET6) {
		set(raw, SOL_IPV6, IPV6_RECVTCLASS, 1);
		set(raw, SOL_IPV6, IPV6_RECVHOPLIMIT, 1);
	}
	return raw;
}

int main(void)
{
	uint16_t ports[2];
	int four = begin(AF_INET, &ports[0]), six = begin(AF_INET6, &ports[1]);

	victim_ready();
	end(four, ports[0], listen_raw(AF_INET));
	end(six, ports[1], listen_raw(AF_INET6));
	victim_pass();
}
