/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netns/tcp.h: connections that no descriptor leads to. This process is in the pod's network; the peers are on the
 * host's side of its link. An end is killed as it is after a checkpoint: packets are held back, and it is gone
 * without a word.
 */
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "libct/base/clock.h"
#include "libct/base/io.h"
#include "libct/libct.h"
#include "netns/net.h"
#include "netns/sockdiag.h"
#include "netns/tcp.h"
#include "tests/unit/netns.h"
#include "tests/unit/unit.h"

#define LINK "podt"
#define PORT 7000
#define WAIT_MS 60000

static struct ct_error err;
static int world = -1, proc = -1;
static struct net_config config = { .ip6 = IN6ADDR_ANY_INIT };

/* ---- the test's own world ---- */

static int lock_link(void *arg)
{
	return *(bool *)arg ? net_lock(LINK, &err) : net_unlock(LINK, &err);
}

static void hold_packets(bool hold)
{
	if (netns_call(world, lock_link, &hold) < 0) {
		printf("# %s\n", err.text);
		exit(1);
	}
}

/* The address of a port of the pod, of three kinds; 0 IPv4, 1 IPv6, 2 IPv4 on a socket of IPv6. */
enum kind { FOUR, SIX, MAPPED };

static int listener_at(enum kind kind, uint16_t port, int backlog, bool shared)
{
	const struct sockaddr_in four = { .sin_family = AF_INET, .sin_port = htons(port) };
	const struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	int fd = socket(kind == FOUR ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0), one = shared;

	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int)) ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) ||
	    bind(fd, kind == FOUR ? (const struct sockaddr *)&four : (const struct sockaddr *)&six,
		 kind == FOUR ? sizeof(four) : sizeof(six)) || listen(fd, backlog)) {
		perror("# listen");
		exit(1);
	}
	return fd;
}

static int client_at(int ns, enum kind kind, uint16_t port)
{
	struct sockaddr_in four = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = config.ip };
	struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = config.ip6 };
	int fd = netns_socket(ns, kind == SIX ? AF_INET6 : AF_INET, SOCK_STREAM, 0);

	if (connect(fd, kind == SIX ? (struct sockaddr *)&six : (struct sockaddr *)&four,
		    kind == SIX ? sizeof(six) : sizeof(four)) < 0) {
		perror("# connect");
		exit(1);
	}
	return fd;
}

static char *pattern(size_t len, unsigned int seed)
{
	char *data = malloc(len + 1);

	for (size_t i = 0; i < len; i++)
		data[i] = (char)(seed = seed * 1103515245 + 12345, seed >> 16);
	return data;
}

static bool read_pattern(int fd, size_t len, unsigned int seed)
{
	cleanup_free char *want = pattern(len, seed), *got = malloc(len + 1);
	struct pollfd p = { .fd = fd, .events = POLLIN };
	size_t n = 0;

	while (n < len && poll(&p, 1, WAIT_MS) == 1) {
		ssize_t k = recv(fd, got + n, len - n, MSG_DONTWAIT);

		if (k <= 0)
			break;
		n += (size_t)k;
	}
	if (n != len || memcmp(got, want, len))
		printf("# %zu of %zu bytes\n", n, len);
	return n == len && !memcmp(got, want, len);
}

static bool write_pattern(int fd, size_t len, unsigned int seed)
{
	cleanup_free char *data = pattern(len, seed);
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	size_t n = 0;

	while (n < len && poll(&p, 1, WAIT_MS) == 1) {
		ssize_t k = send(fd, data + n, len - n, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (k < 0)
			return false;
		n += (size_t)k;
	}
	return n == len;
}

/* Much, one way, by turns: neither has to hold more than a piece. */
static bool flows(int from, int to)
{
	bool ok = true;

	for (unsigned int i = 0; ok && i < 32; i++)
		ok = write_pattern(from, 16 << 10, i) && read_pattern(to, 16 << 10, i);
	return ok;
}

static bool at_end(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char c;

	return poll(&p, 1, WAIT_MS) == 1 && recv(fd, &c, 1, MSG_DONTWAIT) == 0;
}

static bool becomes(int fd, int state, int received)
{
	int64_t until = monotonic_ms() + WAIT_MS;
	int n = -1;

	while (tcp_state(fd) != state || ioctl(fd, SIOCINQ, &n) || n != received) {
		if (monotonic_ms() > until)
			return false;
		poll(NULL, 0, 1);
	}
	return true;
}

static int waiting(int listener)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	return getsockopt(listener, IPPROTO_TCP, TCP_INFO, &info, &len) < 0 ? -1 : (int)info.tcpi_unacked;
}

static uint32_t stamp(int fd)
{
	uint32_t t = 0;
	socklen_t len = sizeof(t);

	getsockopt(fd, IPPROTO_TCP, TCP_TIMESTAMP, &t, &len);
	return t;
}

/* Reads what it is; with `kill` nothing is left of it, and nobody is told. */
static void read_connection(int fd, struct tcp_connection *c, bool kill)
{
	memset(c, 0, sizeof(*c));
	if (tcp_repair_on(fd, &err) || tcp_dump_send(fd, c, &err) || tcp_dump_receive(fd, c, &err) ||
	    (!kill && tcp_repair_off(fd, 0, false, &err))) {
		printf("# %s\n", err.text);
		exit(1);
	}
	if (kill)
		close(fd);
}

/* ---- connections that wait to be accepted ---- */

struct waiting {
	int client, fd;
	size_t received;
	bool fin;
	struct tcp_connection c;
};

/* Like one that waits at a moment where packets are held back. The accepted one is as good. */
static void begin(struct waiting *w, enum kind kind, size_t received, bool fin)
{
	*w = (struct waiting){ .client = client_at(world, kind, PORT), .received = received, .fin = fin };
	REQUIRE("the peer has spoken", write_pattern(w->client, received, (unsigned int)received));
	if (fin)
		shutdown(w->client, SHUT_WR);
}

static void settle(struct waiting *w, int listener)
{
	w->fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	/* How much comes in small pieces depends on how they are joined on the way. */
	setsockopt(w->fd, SOL_SOCKET, SO_RCVBUF, &(int){ 1 << 20 }, sizeof(int));
	REQUIRE("all has arrived",
		becomes(w->fd, w->fin ? TCP_STATE_CLOSE_WAIT : TCP_STATE_ESTABLISHED, (int)w->received));
}

static void cut(struct waiting *w)
{
	read_connection(w->fd, &w->c, true);
	w->c.peer_timestamp = stamp(w->client);
}

static bool enqueue(int listener, const struct tcp_connection *c)
{
	err.text[0] = '\0';
	if (tcp_enqueue(proc, listener, c, &err) == 0)
		return true;
	printf("# %s\n", err.text);
	return false;
}

static bool alike(const struct tcp_connection *a, const struct tcp_connection *b)
{
	bool same = a->state == b->state && a->snd_una == b->snd_una && a->rcv_nxt == b->rcv_nxt &&
		    a->received_len == b->received_len && a->sack == b->sack &&
		    a->scaling == b->scaling && a->snd_scale == b->snd_scale &&
		    a->rcv_scale == b->rcv_scale && a->max_segment == b->max_segment;

	if (!same)
		printf("# %s %u %u %zu %d %d %d %d %u, %s %u %u %zu %d %d %d %d %u\n",
		       tcp_state_name(a->state), a->snd_una, a->rcv_nxt, a->received_len, a->sack, a->scaling,
		       a->snd_scale, a->rcv_scale, a->max_segment, tcp_state_name(b->state), b->snd_una,
		       b->rcv_nxt, b->received_len, b->sack, b->scaling, b->snd_scale, b->rcv_scale,
		       b->max_segment);
	return same;
}

/* Both ends go on. */
static void go_on(struct waiting *w, int listener, bool timestamps)
{
	cleanup_fd int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	struct tcp_connection now;

	REQUIRE("it is accepted with all that has arrived",
		fd >= 0 && becomes(fd, (int)w->c.state, (int)w->received));
	read_connection(fd, &now, false);
	CHECK("it is the same", alike(&now, &w->c));
	CHECK("with timestamps that go on, or none", now.timestamps == timestamps &&
	      (!timestamps || (int32_t)(now.timestamp - w->c.timestamp) >= 0));
	CHECK("what was received is read", read_pattern(fd, w->received, (unsigned int)w->received));
	CHECK("what is sent to the peer arrives", flows(fd, w->client));
	if (w->fin) {
		CHECK("... and the peer's end is seen", at_end(fd));
	} else {
		CHECK("... and what it answers", flows(w->client, fd));
		shutdown(w->client, SHUT_WR);
		CHECK("... and that it ends", at_end(fd));
	}
	fd_close(take_fd(&fd));
	CHECK("our end is seen too", at_end(w->client));
	tcp_connection_release(&w->c);
	tcp_connection_release(&now);
	close(w->client);
}

static void test_waiting(enum kind kind, size_t received, bool fin)
{
	static const char *const names[] = { "IPv4", "IPv6", "IPv4 on a socket of IPv6" };
	cleanup_fd int listener = listener_at(kind, PORT, 5, false);
	struct waiting w;

	printf("# %s, %zu bytes, %s\n", names[kind], received, fin ? "ended" : "open");
	begin(&w, kind, received, fin);
	settle(&w, listener);
	hold_packets(true);
	cut(&w);
	CHECK("it waits again", enqueue(listener, &w.c) && waiting(listener) == 1);
	hold_packets(false);
	go_on(&w, listener, true);
}

/* Those before are as long in the queue, and there is no place left behind the last. */
static void test_order(void)
{
	enum { N = 5 };
	cleanup_fd int listener = listener_at(FOUR, PORT, N - 1, false);
	struct waiting w[N];
	bool ok = true;

	for (size_t i = 0; i < N; i++)
		begin(&w[i], FOUR, i * 1000, i & 1);
	for (size_t i = 0; i < N; i++)
		settle(&w[i], listener);
	hold_packets(true);
	for (size_t i = 0; i < N; i++)
		cut(&w[i]);
	for (size_t i = 0; i < N; i++)
		ok = ok && enqueue(listener, &w[i].c);
	CHECK("all wait again", ok && waiting(listener) == N);
	hold_packets(false);
	for (size_t i = 0; i < N; i++)
		go_on(&w[i], listener, true);
}

/* The peer thinks itself connected, its last word was lost. Either it speaks again or it is asked to. */
static void test_opening(bool speaks)
{
	cleanup_fd int listener = listener_at(SIX, PORT, 1, false);
	struct pollfd p = { .fd = listener, .events = POLLIN };
	struct waiting other, w;

	begin(&other, SIX, 3, false);
	begin(&w, SIX, 0, false);
	settle(&other, listener);
	settle(&w, listener);
	hold_packets(true);
	cut(&other);
	cut(&w);
	w.c.state = TCP_STATE_SYN_RECEIVED;
	listen(listener, 0);
	CHECK("one waits, as many as may", enqueue(listener, &other.c) && waiting(listener) == 1);
	CHECK("another is nearly there", enqueue(listener, &w.c) && waiting(listener) == 1);
	w.c.state = TCP_STATE_ESTABLISHED;
	hold_packets(false);
	go_on(&other, listener, true);
	if (speaks) {
		w.c.received_len = w.received = 7;
		w.c.rcv_nxt += 7;
		write_pattern(w.client, 7, 7);
	}
	REQUIRE("it is there", poll(&p, 1, WAIT_MS) == 1);
	go_on(&w, listener, true);
}

/* Whoever shares the port gets none of it. */
static void test_shared(void)
{
	enum { N = 4, EACH = 3 };
	int listeners[N];
	struct waiting w[N * EACH];
	bool ok = true;

	for (size_t i = 0; i < N; i++)
		listeners[i] = listener_at(MAPPED, PORT, 20, true);
	for (size_t i = 0; i < N * EACH; i++)
		begin(&w[i], i & 1 ? SIX : FOUR, 0, false);
	for (size_t i = 0; i < N * EACH; i++) {
		struct pollfd p[N];
		size_t k = 0;

		for (size_t j = 0; j < N; j++)
			p[j] = (struct pollfd){ listeners[j], POLLIN, 0 };
		poll(p, N, WAIT_MS);
		while (k < N - 1 && !p[k].revents)
			k++;
		settle(&w[i], listeners[k]);
	}
	hold_packets(true);
	for (size_t i = 0; i < N * EACH; i++)
		cut(&w[i]);
	/* Another than the kernel would choose, mostly. */
	for (size_t i = 0; i < N * EACH; i++)
		ok = ok && enqueue(listeners[i % N], &w[i].c);
	for (size_t i = 0; i < N; i++)
		ok = ok && waiting(listeners[i]) == EACH;
	CHECK("each waits where it is to", ok);
	hold_packets(false);
	for (size_t i = 0; i < N * EACH; i++)
		close(w[i].client), tcp_connection_release(&w[i].c);
	for (size_t i = 0; i < N; i++)
		close(listeners[i]);
}

static void test_options(void)
{
	static const struct sock_filter all[] = { { 6 /* return */, 0, 0, UINT32_MAX } };
	const struct sock_fprog program = { 1, (struct sock_filter *)all };
	cleanup_fd int listener = listener_at(FOUR, PORT, 5, false);
	int defer = 0, is = 0, lock = 0, was = 0;
	socklen_t len = sizeof(int);
	struct waiting w;

	begin(&w, FOUR, 100000, false);
	settle(&w, listener);
	hold_packets(true);
	cut(&w);
	REQUIRE("options", !setsockopt(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, &(int){ 7 }, len) &&
				   !getsockopt(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, &defer, &len) &&
				   !getsockopt(listener, SOL_SOCKET, SO_RCVBUF, &was, &len) &&
				   !setsockopt(listener, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)));
	CHECK("it waits again", enqueue(listener, &w.c) && waiting(listener) == 1);
	CHECK("they stay", !getsockopt(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, &is, &len) && is == defer &&
				   !getsockopt(listener, SOL_SOCKET, SO_RCVBUF, &is, &len) && is == was &&
				   !getsockopt(listener, SOL_SOCKET, SO_BUF_LOCK, &lock, &len) && !lock);
	hold_packets(false);
	go_on(&w, listener, true);
}

static char *setting(const char *name)
{
	char *text = NULL;

	return io_read_file(proc, name, 100, &text) < 0 ? NULL : text;
}

/* As if the image came from a host whose clock is ahead, and whose buffers are others. */
static void test_elsewhere(void)
{
	cleanup_fd int listener = listener_at(FOUR, PORT, 5, false);
	cleanup_free char *stamps = setting("sys/net/ipv4/tcp_timestamps"), *memory = setting("sys/net/ipv4/tcp_rmem"),
		      *now = NULL;
	uint32_t clock = (uint32_t)monotonic_ms();
	struct waiting w;

	begin(&w, FOUR, 20, false);
	settle(&w, listener);
	hold_packets(true);
	cut(&w);
	/* Neither the offset of this boot nor none. */
	w.c.timestamp += 100000;
	if ((int32_t)(clock - w.c.timestamp) >= 0)
		w.c.timestamp = clock + 100000;
	CHECK("its clock is behind", enqueue(listener, &w.c));
	w.c.timestamps = false;
	hold_packets(false);
	go_on(&w, listener, false);

	begin(&w, FOUR, 20, false);
	settle(&w, listener);
	hold_packets(true);
	cut(&w);
	w.c.rcv_scale++;
	CHECK("its windows are wider", enqueue(listener, &w.c));
	hold_packets(false);
	close(w.client);
	tcp_connection_release(&w.c);
	now = setting("sys/net/ipv4/tcp_timestamps");
	CHECK_STR("the settings are as before", now, stamps);
	free(now);
	now = setting("sys/net/ipv4/tcp_rmem");
	CHECK_STR("... all", now, memory);
}

/* ---- both ends in the pod ---- */

static enum tcp_state state_of(int ns, const struct tcp_connection *c, bool theirs)
{
	struct sockdiag_inet is = { 0 };

	if (sockdiag_tcp_one(ns, theirs ? &c->remote : &c->local, theirs ? &c->local : &c->remote, 0, &is,
			     NULL) < 0)
		return 0;
	return (enum tcp_state)is.state;
}

static bool comes_to(int ns, const struct tcp_connection *c, bool theirs, enum tcp_state state)
{
	int64_t until = monotonic_ms() + WAIT_MS;

	while (state_of(ns, c, theirs) != state) {
		if (monotonic_ms() > until) {
			printf("# it is %s\n", tcp_state_name(state_of(ns, c, theirs)));
			return false;
		}
		poll(NULL, 0, 1);
	}
	return true;
}

static void test_inside(enum kind kind)
{
	cleanup_fd int listener = listener_at(kind, PORT, 5, false), again = -1;
	struct waiting w = { .client = client_at(-1, kind, PORT), .received = 100 };
	struct tcp_connection c;

	REQUIRE("the peer has spoken", write_pattern(w.client, 100, 100));
	settle(&w, listener);
	cut(&w);
	read_connection(w.client, &c, true);
	again = socket(c.local.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	REQUIRE("the peer is made again", !tcp_restore(again, &c, &err));
	CHECK("it waits again", enqueue(listener, &w.c) && waiting(listener) == 1);
	REQUIRE("the peer goes on", !tcp_release(again, &c, 0, &err));
	w.client = take_fd(&again);
	go_on(&w, listener, true);
	tcp_connection_release(&c);
}

/* The peer has closed, and there is only what is left of it, or nothing at all. */
static void test_inside_alone(bool left)
{
	cleanup_fd int listener = listener_at(FOUR, PORT, 5, false), fd = -1;
	struct waiting w = { .client = client_at(-1, FOUR, PORT), .received = 100, .fin = true };
	struct tcp_connection c;

	REQUIRE("the peer has spoken", write_pattern(w.client, 100, 100));
	shutdown(w.client, SHUT_WR);
	REQUIRE("... and has ended", becomes(w.client, TCP_STATE_FIN_WAIT_2, 0));
	settle(&w, listener);
	cut(&w);
	if (left)
		close(w.client);
	else
		read_connection(w.client, &c, true);
	CHECK("it waits again", enqueue(listener, &w.c) && waiting(listener) == 1);
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	CHECK("what was received is read", read_pattern(fd, 100, 100));
	if (left) {
		CHECK("... and the end", at_end(fd));
		CHECK("what is left of the peer waits", state_of(-1, &w.c, true) == TCP_STATE_FIN_WAIT_2);
		fd_close(take_fd(&fd));
		CHECK("... for our end", comes_to(-1, &w.c, true, TCP_STATE_TIME_WAIT));
	}
	tcp_connection_release(&w.c);
}

/* ---- what is left of connections ---- */

static int error_of(int fd)
{
	int e = -1;
	socklen_t len = sizeof(e);

	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &len) < 0 ? -1 : e;
}

static bool leave(const struct tcp_connection *c)
{
	if (tcp_restore_time_wait(c, &err) == 0)
		return true;
	printf("# %s\n", err.text);
	return false;
}

/* The pod's end is closed, and has `heard` the peer's or not. The peer closes its own, once more where that was lost. */
static void test_left(enum kind kind, bool heard, int ns)
{
	cleanup_fd int listener = listener_at(kind, PORT, 5, false), client = client_at(ns, kind, PORT);
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	struct tcp_connection c;

	REQUIRE("some bytes", write_pattern(client, 10, 1) && read_pattern(fd, 10, 1));
	shutdown(fd, SHUT_WR);
	REQUIRE("our end was seen", at_end(client) && becomes(fd, TCP_STATE_FIN_WAIT_2, 0));
	hold_packets(true);
	read_connection(fd, &c, true);
	c.peer_timestamp = stamp(client);
	if (heard) {
		c.state = TCP_STATE_TIME_WAIT;
		c.rcv_nxt++;
	}
	if (heard && ns >= 0)
		shutdown(client, SHUT_WR);
	CHECK("what is left is there", leave(&c) && state_of(-1, &c, false) == c.state);
	hold_packets(false);
	shutdown(client, SHUT_WR);
	CHECK("the peer's end is acknowledged", becomes(client, TCP_STATE_CLOSED, 0) && !error_of(client));
	CHECK("we know of it", state_of(-1, &c, false) == TCP_STATE_TIME_WAIT);
	tcp_connection_release(&c);
}

/* Nobody is there to answer in this network either. */
static void test_left_alone(enum kind kind)
{
	cleanup_fd int listener = listener_at(kind, PORT, 5, false);
	int client = client_at(-1, kind, PORT), fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	struct tcp_connection c, other;

	read_connection(fd, &other, true);
	read_connection(client, &c, true);
	c.peer_timestamp = other.timestamp;
	c.state = TCP_STATE_TIME_WAIT;
	CHECK("what is left is there alone", leave(&c) && state_of(-1, &c, false) == TCP_STATE_TIME_WAIT);
	/* No reset comes late. */
	poll(NULL, 0, 50);
	CHECK("... and stays", state_of(-1, &c, false) == TCP_STATE_TIME_WAIT);
	tcp_connection_release(&c);
	tcp_connection_release(&other);
}

/* Closed by its program, with bytes that are still to be sent. */
static void test_orphan(enum tcp_state state)
{
	cleanup_fd int listener = listener_at(FOUR, PORT, 5, false), client = client_at(world, FOUR, PORT);
	cleanup_fd int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC), again = -1;
	struct tcp_connection c;

	printf("# %s\n", tcp_state_name(state));
	if (state == TCP_STATE_LAST_ACK) {
		shutdown(client, SHUT_WR);
		REQUIRE("the peer's end was seen", at_end(fd));
	}
	hold_packets(true);
	REQUIRE("bytes that nobody gets yet", write_pattern(fd, 60000, 6));
	shutdown(fd, SHUT_WR);
	read_connection(take_fd(&fd), &c, true);
	if (state == TCP_STATE_CLOSING) {
		shutdown(client, SHUT_WR);
		c.state = state;
		c.rcv_nxt++;
	}
	REQUIRE("the state", c.state == state && c.sent_len == 60000);
	again = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	REQUIRE("it is made again", !tcp_restore(again, &c, &err));
	hold_packets(false);
	REQUIRE("it goes on", !tcp_release(again, &c, 1, &err));
	fd_close(take_fd(&again));
	CHECK("nobody has it", state_of(-1, &c, false) != TCP_STATE_LISTENING);
	CHECK("the peer gets all", read_pattern(client, 60000, 6));
	CHECK("... and the end", at_end(client) && !error_of(client));
	shutdown(client, SHUT_WR);
	CHECK("both ends are over", becomes(client, TCP_STATE_CLOSED, 0) && !error_of(client));
	if (state == TCP_STATE_LAST_ACK)
		CHECK("... and nothing is left", comes_to(-1, &c, false, TCP_STATE_LISTENING));
	else
		CHECK("... and late packets are answered", comes_to(-1, &c, false, TCP_STATE_TIME_WAIT));
	tcp_connection_release(&c);
}

int main(void)
{
	cleanup_fd int pod = -1;
	struct net_subnet subnet;
	bool nat;

	own_namespaces();
	alarm(300);
	world = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	pod = new_ns();
	proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	REQUIRE("a bridge", !net_bridge_ensure(NULL, &subnet, &nat, &err));
	if (net_attach(pod, LINK, &config, &err) < 0 || setns(pod, CLONE_NEWNET) < 0) {
		printf("# %s\n", err.text);
		return 1;
	}
	test_waiting(FOUR, 0, false);
	test_waiting(FOUR, 5, true);
	test_waiting(FOUR, 100000, false);
	test_waiting(SIX, 0, true);
	test_waiting(SIX, 100000, true);
	test_waiting(MAPPED, 40000, true);
	test_order();
	test_opening(true);
	test_opening(false);
	test_shared();
	test_options();
	test_elsewhere();
	test_inside(FOUR);
	test_inside(SIX);
	test_inside(MAPPED);
	test_inside_alone(true);
	test_inside_alone(false);
	test_left(FOUR, false, world);
	test_left(FOUR, true, world);
	test_left(SIX, true, world);
	test_left(MAPPED, false, world);
	test_left(FOUR, false, -1);
	test_left(SIX, true, -1);
	test_left_alone(FOUR);
	test_left_alone(SIX);
	test_orphan(TCP_STATE_FIN_WAIT_1);
	test_orphan(TCP_STATE_LAST_ACK);
	test_orphan(TCP_STATE_CLOSING);
	return UNIT_DONE();
}
