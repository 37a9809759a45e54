/* SPDX-License-Identifier: Apache-2.0 */
/* netns/sockdiag.c: what the kernel tells about sockets. */
#include <netinet/tcp.h>
#include <poll.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "libct/libct.h"
#include "netns/net.h"
#include "netns/sockdiag.h"
#include "tests/unit/netns.h"
#include "tests/unit/unit.h"

static struct ct_error err;

static uint32_t ino(int fd)
{
	struct stat st;

	return fstat(fd, &st) ? 0 : (uint32_t)st.st_ino;
}

static int unix_socket(int type)
{
	return socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
}

static socklen_t unix_address(struct sockaddr_un *a, const char *name, size_t len)
{
	*a = (struct sockaddr_un){ .sun_family = AF_UNIX };
	memcpy(a->sun_path, name, len);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
}

/* The one that is asked for by its inode. */
static struct sockdiag_unix *one(int fd)
{
	struct sockdiag_unix *u = NULL;

	if (sockdiag_unix_one(-1, ino(fd), &u, &err) < 0) {
		printf("# %s\n", err.text);
		exit(1);
	}
	return u;
}

static void test_unix_pair(void)
{
	cleanup_free struct sockdiag_unix *a = NULL, *b = NULL;
	int s[2];

	REQUIRE("a pair", !socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s));
	REQUIRE("data on its way", write(s[0], "hello", 5) == 5 && !shutdown(s[1], SHUT_WR));
	a = one(s[0]);
	b = one(s[1]);
	CHECK("the inode is that of the descriptor", a->ino == ino(s[0]));
	CHECK("the type", a->type == SOCK_SEQPACKET);
	CHECK("the state", a->state == TCP_ESTABLISHED);
	CHECK("the ends name each other", a->peer == ino(s[1]) && b->peer == ino(s[0]));
	CHECK("the data shows at the reader", b->rqlen == 5 && a->rqlen == 0);
	CHECK("... and at the writer", a->wqlen > 0 && b->wqlen == 0);
	CHECK("shut down for writing here", b->shutdown == 2);
	CHECK("... is for reading there", a->shutdown == 1);
	CHECK("no name", a->name_len == 0 && !a->has_file);
	CHECK("the owner", a->uid == 0);
	close(s[0]);
	close(s[1]);
}

static void test_unix_orphan(void)
{
	cleanup_free struct sockdiag_unix *a = NULL;
	cleanup_fd int mine = -1;
	int s[2];

	REQUIRE("a pair", !socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s));
	mine = s[0];
	close(s[1]);
	a = one(mine);
	CHECK("the other end is gone", a->peer == 0);
	CHECK("... and that is seen", a->shutdown == 3);
}

static void test_unix_names(void)
{
	static const char abstract[] = "\0with\0nul\0";
	const size_t len = sizeof(abstract) - 1;
	cleanup_free struct sockdiag_unix *a = NULL, *b = NULL;
	cleanup_fd int first = unix_socket(SOCK_DGRAM), second = unix_socket(SOCK_DGRAM);
	struct sockaddr_un address;
	struct stat st;
	socklen_t n = unix_address(&address, abstract, len);

	REQUIRE("an abstract name", !bind(first, (struct sockaddr *)&address, n));
	n = unix_address(&address, "/run/name", 9);
	REQUIRE("a path", !bind(second, (struct sockaddr *)&address, n));
	a = one(first);
	b = one(second);
	CHECK("the state of a datagram socket", a->state == TCP_CLOSE && a->type == SOCK_DGRAM);
	CHECK("an abstract name is whole", a->name_len == len && !memcmp(a->name, abstract, len));
	CHECK("it has no file", !a->has_file);
	CHECK("a path is without its NUL", b->name_len == 9 && !memcmp(b->name, "/run/name", 9));
	REQUIRE("stat", !stat("/run/name", &st));
	CHECK("its file",
	      b->has_file && b->file_dev == st.st_dev && b->file_ino == (uint32_t)st.st_ino);
}

static void test_unix_listener(void)
{
	cleanup_free struct sockdiag_unix *a = NULL, *c = NULL;
	cleanup_fd int server = unix_socket(SOCK_STREAM);
	struct sockaddr_un address;
	socklen_t n = unix_address(&address, "/run/listener", 13);
	int clients[3];

	REQUIRE("a listener", !bind(server, (struct sockaddr *)&address, n) && !listen(server, 7));
	for (int i = 0; i < 3; i++) {
		clients[i] = unix_socket(SOCK_STREAM);
		REQUIRE("a client", !connect(clients[i], (struct sockaddr *)&address, n));
	}
	a = one(server);
	CHECK("the state", a->state == TCP_LISTEN);
	CHECK("the number that waits, the backlog", a->rqlen == 3 && a->wqlen == 7);
	CHECK("those who wait are named in their order",
	      a->n_icons == 3 && a->icons[0] == ino(clients[0]) && a->icons[1] == ino(clients[1]) &&
		      a->icons[2] == ino(clients[2]));
	c = one(clients[0]);
	CHECK("one who waits is connected, but to nobody's descriptor",
	      c->state == TCP_ESTABLISHED && c->connected && c->peer == 0);
	for (int i = 0; i < 3; i++)
		close(clients[i]);
}

static void test_unix_all(void)
{
	cleanup_free struct sockdiag_unix *list = NULL;
	cleanup_fd int ns = new_ns();
	int s[40], found = 0;
	size_t n;

	for (int i = 0; i < 40; i += 2)
		REQUIRE("a pair", !socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s + i));
	REQUIRE("all are listed", !sockdiag_unix_all(-1, &list, &n, &err));
	for (int i = 0; i < 40; i++)
		for (size_t k = 0; k < n; k++)
			found += list[k].ino == ino(s[i]) && list[k].peer == ino(s[i ^ 1]);
	CHECK("each with its other end", found == 40);
	free(take_ptr(list));
	CHECK("another namespace has none", !sockdiag_unix_all(ns, &list, &n, &err) && n == 0);
	CHECK("one of here is not there",
	      sockdiag_unix_one(ns, ino(s[0]), &(struct sockdiag_unix *){ NULL }, &err) == -ENOENT);
	for (int i = 0; i < 40; i++)
		close(s[i]);
	CHECK("one that is closed is not found",
	      sockdiag_unix_one(-1, 1, &(struct sockdiag_unix *){ NULL }, &err) == -ENOENT);
	CHECK_STR("... in words", err.text, "unix socket 1 is gone");
}

static const struct sockdiag_inet *find(const struct sockdiag_inet *list, size_t n, int fd)
{
	for (size_t i = 0; i < n; i++)
		if (list[i].ino == ino(fd))
			return &list[i];
	return NULL;
}

static int inet_socket(int ns, int type, const char *address, uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons(port),
				 .sin_addr = ip(address) };
	int fd = netns_socket(ns, AF_INET, type, 0);

	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
	    (type == SOCK_STREAM && listen(fd, 9) < 0))
		exit(1);
	return fd;
}

static void test_tcp(int ns)
{
	cleanup_free struct sockdiag_inet *list = NULL;
	cleanup_fd int server = inet_socket(ns, SOCK_STREAM, "127.0.0.1", 9000);
	cleanup_fd int client = netns_socket(ns, AF_INET, SOCK_STREAM, 0), peer = -1;
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons(9000),
				  .sin_addr = ip("127.0.0.1") };
	struct pollfd arrived = { .events = POLLIN };
	const struct sockdiag_inet *s, *c, *p;
	size_t n;

	REQUIRE("a connection", !connect(client, (struct sockaddr *)&to, sizeof(to)));
	peer = accept(server, NULL, NULL);
	REQUIRE("data that nobody reads", write(client, "hello", 5) == 5);
	arrived.fd = peer;
	REQUIRE("... is there", poll(&arrived, 1, -1) == 1);
	REQUIRE("all are listed", !sockdiag_inet_all(ns, IPPROTO_TCP, &list, &n, &err));
	s = find(list, n, server);
	c = find(list, n, client);
	p = find(list, n, peer);
	REQUIRE("the three are there", n == 3 && s && c && p);
	CHECK("the listener",
	      s->state == TCP_LISTEN && s->local_port == 9000 && s->remote_port == 0);
	CHECK("its queue and backlog", s->rqlen == 0 && s->wqlen == 9);
	CHECK("its address",
	      s->family == AF_INET && !memcmp(s->local, (uint8_t[16]){ 127, 0, 0, 1 }, 16));
	CHECK("the client",
	      c->state == TCP_ESTABLISHED && c->remote_port == 9000 && c->protocol == IPPROTO_TCP);
	CHECK("the accepted end", p->state == TCP_ESTABLISHED && p->remote_port == c->local_port);
	CHECK("what is to be read", p->rqlen == 5);
	CHECK("each is told from the others", c->cookie != p->cookie && p->cookie != s->cookie);
}

static void test_udp(int ns)
{
	cleanup_free struct sockdiag_inet *list = NULL;
	cleanup_fd int bound = inet_socket(ns, SOCK_DGRAM, "0.0.0.0", 9001);
	cleanup_fd int six = netns_socket(ns, AF_INET6, SOCK_DGRAM, 0);
	struct sockaddr_in6 a = { .sin6_family = AF_INET6,
				  .sin6_port = htons(9002),
				  .sin6_addr = in6addr_loopback };
	const struct sockdiag_inet *u, *v;
	const int yes = 1;
	size_t n;

	REQUIRE("bound to a link", !setsockopt(bound, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3));
	REQUIRE("IPv6 alone", !setsockopt(six, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof(yes)) &&
				      !bind(six, (struct sockaddr *)&a, sizeof(a)));
	REQUIRE("all are listed", !sockdiag_inet_all(ns, 0, &list, &n, &err));
	u = find(list, n, bound);
	v = find(list, n, six);
	REQUIRE("the two are there", u && v);
	CHECK("UDP", u->protocol == IPPROTO_UDP && u->state == TCP_CLOSE && u->local_port == 9001);
	CHECK("its link", u->ifindex == 1);
	CHECK("any address is zero", !memcmp(u->local, (uint8_t[16]){ 0 }, 16));
	CHECK("IPv6",
	      v->family == AF_INET6 && !memcmp(v->local, &in6addr_loopback, 16) && v->v6only);
}

int main(void)
{
	cleanup_fd int ns = -1;

	own_namespaces();
	alarm(600);
	test_unix_pair();
	test_unix_orphan();
	test_unix_names();
	test_unix_listener();
	test_unix_all();
	ns = new_ns();
	REQUIRE("a namespace with lo", !net_loopback_up(ns, &err));
	test_tcp(ns);
	test_udp(ns);
	return UNIT_DONE();
}
