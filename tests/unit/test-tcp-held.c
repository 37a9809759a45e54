/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netns/tcp-held.c and libct/base/kernel.c: connections without a descriptor are read as TCP_REPAIR reads the same ones
 * when they have one. What is compared must not move meanwhile: all that was sent has been acknowledged, or never will be, and the
 * loopback link is down, which timers send nothing by.
 */
#include <linux/filter.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "libct/base/clock.h"
#include "libct/base/kernel.h"
#include "libct/libct.h"
#include "netns/tcp-held.h"
#include "tests/unit/netns.h"
#include "tests/unit/unit.h"

#define LARGE 40000 /* there is room for it though nobody reads */
#define WAIT_MS 60000

static struct ct_error err;
static struct kernel *kernel;
static char pattern[1 << 20];

static void must(const char *what, int r)
{
	if (!CHECK(what, r >= 0)) {
		printf("# %s\n", err.text);
		exit(1);
	}
}

static void set_loopback(bool up)
{
	struct ifreq request = { .ifr_name = "lo" };
	cleanup_fd int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	REQUIRE("a loopback link", !ioctl(fd, SIOCGIFFLAGS, &request));
	request.ifr_flags = (short)(up ? request.ifr_flags | IFF_UP : request.ifr_flags & ~IFF_UP);
	REQUIRE("... is as it is to be", !ioctl(fd, SIOCSIFFLAGS, &request));
}

/* Polls, as nothing tells; under load a packet of our own may come late. */
static void await(const char *what, bool (*reached)(int fd, int n), int fd, int n)
{
	int64_t until = monotonic_ms() + WAIT_MS;
	bool is;

	while (!(is = reached(fd, n)) && monotonic_ms() < until)
		poll(NULL, 0, 1);
	REQUIRE(what, is);
}

static bool waits(int listener, int n)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	return !getsockopt(listener, IPPROTO_TCP, TCP_INFO, &info, &len) && (int)info.tcpi_unacked == n;
}

/* `n`: bytes; an end counts as one. */
static bool lacks_acknowledgement(int fd, int n)
{
	int is = -1;

	return !ioctl(fd, SIOCOUTQ, &is) && is == n;
}

/* Some of what there is was sent, some was not. */
static bool is_amid(int fd, int n)
{
	int unsent = 0, all = 0;

	return !ioctl(fd, SIOCOUTQNSD, &unsent) && !ioctl(fd, SIOCOUTQ, &all) && unsent > n && all > unsent;
}

/* Listens on the loopback address. */
static int listener(int family, struct sockaddr_storage *name)
{
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(*name);

	*name = (struct sockaddr_storage){ .ss_family = (sa_family_t)family };
	if (family == AF_INET)
		((struct sockaddr_in *)name)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else
		((struct sockaddr_in6 *)name)->sin6_addr = in6addr_loopback;
	REQUIRE("a listening socket", fd >= 0 && !bind(fd, (struct sockaddr *)name, len) && !listen(fd, 10) &&
					      !getsockname(fd, (struct sockaddr *)name, &len));
	return fd;
}

static int client(const struct sockaddr_storage *to)
{
	int fd = socket(to->ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	REQUIRE("a client", fd >= 0 && !connect(fd, (const struct sockaddr *)to, sizeof(*to)));
	return fd;
}

static uint64_t cookie(int fd)
{
	uint64_t is = 0;
	socklen_t len = sizeof(is);

	REQUIRE("a cookie", !getsockopt(fd, SOL_SOCKET, SO_COOKIE, &is, &len) && is);
	return is;
}

static bool same_name(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
	return a->ss_family == b->ss_family &&
	       !memcmp(a, b, a->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
}

/* The addresses of a connection; a port alone may be that of another one too. */
struct ends {
	struct sockaddr_storage own, peer;
};

static struct ends ends_of(int fd)
{
	struct ends e = { 0 };
	socklen_t own = sizeof(e.own), peer = sizeof(e.peer);

	REQUIRE("names", !getsockname(fd, (struct sockaddr *)&e.own, &own) &&
				 !getpeername(fd, (struct sockaddr *)&e.peer, &peer));
	return e;
}

static struct tcp_held *held;
static size_t n_held;

/* A timer may go off at any time, of what an earlier test has left too. */
static void look(void)
{
	int64_t until = monotonic_ms() + WAIT_MS;
	int r;

	do {
		tcp_held_free(held, n_held);
		held = NULL;
		n_held = 0;
		r = tcp_held_all(kernel, &held, &n_held, &err);
	} while (r == -EAGAIN && monotonic_ms() < until);
	must("those that the kernel holds are read", r);
}

static struct tcp_held *find(const struct sockaddr_storage *local, const struct sockaddr_storage *remote)
{
	for (size_t i = 0; i < n_held; i++)
		if (same_name(&held[i].c.local, local) && same_name(&held[i].c.remote, remote))
			return &held[i];
	return NULL;
}

static void read_by_repair(int fd, struct tcp_connection *c)
{
	*c = (struct tcp_connection){ 0 };
	must("repair mode", tcp_repair_on(fd, &err));
	must("the sending side", tcp_dump_send(fd, c, &err));
	must("the receiving side", tcp_dump_receive(fd, c, &err));
	must("no repair mode", tcp_repair_off(fd, 0, false, &err));
}

static void compare(const struct tcp_connection *a, const struct tcp_connection *b)
{
	CHECK("the local address", same_name(&a->local, &b->local));
	CHECK("the remote address", same_name(&a->remote, &b->remote));
	CHECK("the state", a->state == b->state);
	CHECK("snd_una", a->snd_una == b->snd_una);
	CHECK("rcv_nxt", a->rcv_nxt == b->rcv_nxt);
	CHECK("what was sent", a->sent_len == b->sent_len && a->unsent == b->unsent &&
				       !memcmp(a->sent ? a->sent : "", b->sent ? b->sent : "", a->sent_len));
	CHECK("the windows", !memcmp(&a->window, &b->window, sizeof(a->window)));
	CHECK("the clock", abs((int32_t)(b->timestamp - a->timestamp)) < 60000);
	CHECK("the options", a->max_segment == b->max_segment && a->timestamps == b->timestamps &&
				     a->sack == b->sack && a->scaling == b->scaling && a->snd_scale == b->snd_scale &&
				     a->rcv_scale == b->rcv_scale);
}

static void compare_received(const struct tcp_connection *a, const struct tcp_connection *b)
{
	CHECK("what was received", a->received_len == b->received_len &&
					   !memcmp(a->received ? a->received : "", b->received ? b->received : "",
						   a->received_len));
}

static void test_accept_queue(int family)
{
	static const size_t lengths[] = { 0, 5, LARGE };
	struct sockaddr_storage name;
	int door = listener(family, &name), clients[3];
	uint64_t id = cookie(door);

	for (int i = 0; i < 3; i++) {
		clients[i] = client(&name);
		await("it waits", waits, door, i + 1);
		for (size_t done = 0; done < lengths[i];) {
			/* In pieces that do not fall on pages. */
			size_t piece = lengths[i] - done < 7001 ? lengths[i] - done : 7001;

			REQUIRE("bytes", send(clients[i], pattern + done, piece, 0) == (ssize_t)piece);
			done += piece;
		}
	}
	REQUIRE("one client has said all", !shutdown(clients[1], SHUT_WR));
	for (int i = 0; i < 3; i++)
		await("all has arrived", lacks_acknowledgement, clients[i], 0);
	set_loopback(false);
	look();
	for (int i = 0; i < 3; i++) {
		const struct ends ends = ends_of(clients[i]);
		struct tcp_held *h = find(&ends.peer, &ends.own);
		struct tcp_connection c;
		int fd;

		REQUIRE("it is there", h);
		CHECK("it is of this listening socket", h->listener == id);
		CHECK("in its place", h->place == (uint32_t)i + 1);
		CHECK("its bytes", h->c.received_len == lengths[i] &&
					   (!lengths[i] || !memcmp(h->c.received, pattern, lengths[i])));
		CHECK("the end", h->c.state == (i == 1 ? TCP_STATE_CLOSE_WAIT : TCP_STATE_ESTABLISHED));
		fd = accept(door, NULL, NULL);
		REQUIRE("it can still be accepted", fd >= 0);
		read_by_repair(fd, &c);
		compare(&h->c, &c);
		compare_received(&h->c, &c);
		tcp_connection_release(&c);
		close(clients[i]);
		close(fd);
	}
	close(door);
	set_loopback(true);
}

static void test_request(void)
{
	struct sockaddr_storage name;
	int door = listener(AF_INET, &name), fd;
	uint64_t id = cookie(door);
	struct tcp_connection c;
	struct tcp_held *h;
	struct ends ends;

	REQUIRE("bytes have to come first",
		!setsockopt(door, IPPROTO_TCP, TCP_DEFER_ACCEPT, &(int){ 60 }, sizeof(int)));
	fd = client(&name);
	look();
	ends = ends_of(fd);
	h = find(&ends.peer, &ends.own);
	REQUIRE("a request is there", h && h->c.state == TCP_STATE_SYN_RECEIVED);
	CHECK("it is of this listening socket", h->listener == id && !h->place);
	read_by_repair(fd, &c);
	CHECK("its numbers", h->c.snd_una == c.rcv_nxt && h->c.rcv_nxt == c.snd_una);
	CHECK("its options", h->c.timestamps && h->c.sack && h->c.scaling && h->c.snd_scale == c.rcv_scale &&
				     h->c.rcv_scale == c.snd_scale);
	CHECK("the peer's clock", c.timestamp - h->c.peer_timestamp < 60000);
	tcp_connection_release(&c);
	close(fd);
	close(door);
}

/* A connection whose peer hears nothing any more, with more in its queue than was sent. */
static void make_full(int door, const struct sockaddr_storage *name, int *ret_writer, int *ret_reader)
{
	static const struct sock_filter nothing[] = { BPF_STMT(BPF_RET | BPF_K, 0) };
	const struct sock_fprog program = { 1, (struct sock_filter *)nothing };
	ssize_t n = 1;

	*ret_writer = client(name);
	*ret_reader = accept(door, NULL, NULL);
	REQUIRE("a peer", *ret_reader >= 0 && !setsockopt(*ret_reader, SOL_SOCKET, SO_ATTACH_FILTER, &program,
							  sizeof(program)));
	REQUIRE("more room than there", !setsockopt(*ret_writer, SOL_SOCKET, SO_SNDBUF, &(int){ 200000 }, sizeof(int)));
	for (size_t done = 0; n > 0 && done < sizeof(pattern); done += (size_t)n)
		n = send(*ret_writer, pattern + done, sizeof(pattern) - done, MSG_DONTWAIT);
	await("more than was sent", is_amid, *ret_writer, 1);
}

static void test_orphan(void)
{
	struct sockaddr_storage name;
	int door = listener(AF_INET6, &name), writer, reader;
	struct tcp_connection c;
	struct tcp_held *h;
	struct ends ends;

	REQUIRE("little room", !setsockopt(door, SOL_SOCKET, SO_RCVBUF, &(int){ 20000 }, sizeof(int)));
	make_full(door, &name, &writer, &reader);
	ends = ends_of(writer);
	REQUIRE("it has said all", !shutdown(writer, SHUT_WR));
	set_loopback(false);
	read_by_repair(writer, &c);
	CHECK("more than was sent", c.unsent > 1 && c.sent_len > c.unsent);
	close(writer);
	look();
	h = find(&ends.own, &ends.peer);
	REQUIRE("an orphan is there", h);
	CHECK("nobody's", !h->listener && !h->place);
	compare(&h->c, &c);
	tcp_connection_release(&c);
	close(reader);
	close(door);
	set_loopback(true);
}

/* What is set and what is told need not be the same. */
static struct option {
	const char *what;
	int level, number, value, is;
} options[] = {
	{ "the class of IPv6", SOL_IPV6, IPV6_TCLASS, 0x28, 0 },
	{ "the hops of IPv6", SOL_IPV6, IPV6_UNICAST_HOPS, 77, 0 },
	{ "what IPv6 does about the MTU", SOL_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DO, 0 },
	{ "the kind of service", SOL_IP, IP_TOS, 0x10, 0 },
	{ "how far it gets", SOL_IP, IP_TTL, 200, 0 },
	{ "what IPv4 does about the MTU", SOL_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO, 0 },
	{ "the priority", SOL_SOCKET, SO_PRIORITY, 3, 0 },
	{ "the mark", SOL_SOCKET, SO_MARK, -7, 0 },
	{ "probes", SOL_SOCKET, SO_KEEPALIVE, 1, 0 },
	{ "when they begin", IPPROTO_TCP, TCP_KEEPIDLE, 1234, 0 },
	{ "how often they come", IPPROTO_TCP, TCP_KEEPINTVL, 56, 0 },
	{ "how many", IPPROTO_TCP, TCP_KEEPCNT, 7, 0 },
	{ "how long it tries", IPPROTO_TCP, TCP_USER_TIMEOUT, 123456, 0 },
	{ "how long it stays", IPPROTO_TCP, TCP_LINGER2, 33, 0 },
	{ "no delay", IPPROTO_TCP, TCP_NODELAY, 1, 0 },
	{ "timeouts that do not grow", IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS, 1, 0 },
};

#define N_OPTIONS (sizeof(options) / sizeof(options[0]))

static int told(const struct tcp_kept *kept, int level, int number)
{
	for (size_t i = 0; i < kept->n; i++)
		if (kept->list[i].level == level && kept->list[i].number == number)
			return kept->list[i].value;
	return -1000;
}

static void test_options(int family)
{
	const size_t first = family == AF_INET6 ? 0 : 3;
	struct sockaddr_storage name;
	int door = listener(family, &name), writer, reader;
	uint64_t rate = 123456789;
	struct tcp_held *h;
	struct ends ends;

	make_full(door, &name, &writer, &reader);
	ends = ends_of(writer);
	for (size_t i = first; i < N_OPTIONS; i++) {
		struct option *o = &options[i];

		REQUIRE(o->what, !setsockopt(writer, o->level, o->number, &o->value, sizeof(int)));
	}
	REQUIRE("a speed", !setsockopt(writer, SOL_SOCKET, SO_MAX_PACING_RATE, &rate, sizeof(rate)));
	REQUIRE("an old way", !setsockopt(writer, IPPROTO_TCP, TCP_CONGESTION, "reno", 4));
	for (size_t i = first; i < N_OPTIONS; i++)
		getsockopt(writer, options[i].level, options[i].number, &options[i].is, &(socklen_t){ sizeof(int) });
	close(writer);
	look();
	h = find(&ends.own, &ends.peer);
	REQUIRE("an orphan is there", h);
	for (size_t i = first; i < N_OPTIONS; i++)
		CHECK(options[i].what, told(&h->kept, options[i].level, options[i].number) == options[i].is);
	CHECK("the speed", h->kept.max_pacing_rate == rate);
	CHECK("the old way", !strcmp(h->kept.congestion, "reno"));
	CHECK("any link", !h->kept.link);
	close(reader);
	close(door);
}

/* `urgent`: the last byte is. */
static void say(int fd, size_t len, bool urgent)
{
	REQUIRE("bytes", !len || send(fd, pattern, len, urgent ? MSG_OOB : 0) == (ssize_t)len);
	await("they have arrived", lacks_acknowledgement, fd, 0);
}

static void test_urgent(size_t before, size_t behind, bool ended)
{
	struct sockaddr_storage name;
	int door = listener(AF_INET, &name), fd = client(&name), peer = accept(door, NULL, NULL);
	const uint64_t id = cookie(peer);
	struct tcp_urgent *list;
	bool between = false;
	size_t n;

	say(fd, before + 1, true);
	say(fd, behind, false);
	if (ended) {
		REQUIRE("an end", !shutdown(fd, SHUT_WR));
		await("it has arrived", lacks_acknowledgement, fd, 0);
	}
	must("urgent bytes", tcp_urgent_all(kernel, &list, &n, &err));
	for (size_t i = 0; i < n; i++)
		between |= list[i].cookie == id && list[i].between;
	CHECK("a received one is between others", between == (before && behind));
	free(list);
	close(fd);
	close(peer);
	close(door);
}

static void test_time_wait(void)
{
	struct sockaddr_storage name;
	int door = listener(AF_INET, &name), fd = client(&name), peer = accept(door, NULL, NULL);
	struct tcp_connection c;
	struct tcp_held *h;
	const struct ends ends = ends_of(fd);
	char byte;

	REQUIRE("both", peer >= 0 && send(fd, "x", 1, 0) == 1 && recv(peer, &byte, 1, 0) == 1);
	await("they know it", lacks_acknowledgement, fd, 0);
	read_by_repair(fd, &c);
	REQUIRE("we end first", !shutdown(fd, SHUT_WR) && recv(peer, &byte, 1, 0) == 0);
	close(peer);
	REQUIRE("then they", recv(fd, &byte, 1, 0) == 0);
	close(fd);
	look();
	h = find(&ends.own, &ends.peer);
	REQUIRE("it is there", h && h->c.state == TCP_STATE_TIME_WAIT);
	CHECK("both ends are behind their last byte", h->c.snd_una == c.snd_una + 1 && h->c.rcv_nxt == c.rcv_nxt + 1);
	CHECK("the clock", h->c.timestamps && h->c.timestamp - c.timestamp < 60000);
	tcp_connection_release(&c);
	close(door);
}

int main(void)
{
	own_namespaces();
	set_loopback(true);
	for (size_t i = 0; i < sizeof(pattern); i++)
		pattern[i] = (char)(i * 2654435761u >> 13);
	must("the kernel's memory can be read", kernel_open(&kernel, &err));
	test_accept_queue(AF_INET);
	test_accept_queue(AF_INET6);
	test_request();
	test_orphan();
	test_options(AF_INET);
	test_options(AF_INET6);
	for (int i = 0; i < 8; i++)
		test_urgent(i & 1 ? 100 : 0, i & 2 ? 50 : 0, i & 4);
	test_time_wait();
	tcp_held_free(held, n_held);
	kernel_close(kernel);
	return UNIT_DONE();
}
