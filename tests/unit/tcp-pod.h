/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of netns/tcp.h. The process is in a pod's network; the peers are on the host's side of its link. An end
 * is killed as it is after a checkpoint: packets are held back, and it is gone without a word.
 */
#pragma once
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "libct/base/clock.h"
#include "libct/base/kernel.h"
#include "libct/libct.h"
#include "netns/net.h"
#include "netns/sockdiag.h"
#include "netns/tcp-held.h"
#include "tests/unit/netns.h"
#include "tests/unit/unit.h"

#define LINK "podt"
#define PORT 7000
#define WAIT_MS 60000

static struct ct_error err;
static int world = -1, proc = -1;
static struct kernel *kernel;
static struct net_config config;

static inline int lock_link(void *arg)
{
	return *(bool *)arg ? net_lock(LINK, &err) : net_unlock(LINK, &err);
}

static inline void hold_packets(bool hold)
{
	if (netns_call(world, lock_link, &hold) < 0) {
		printf("# %s\n", err.text);
		exit(1);
	}
}

/* The address of a port of the pod, of three kinds; 0 IPv4, 1 IPv6, 2 IPv4 on a socket of IPv6. */
enum kind { FOUR, SIX, MAPPED };

static inline int listener_at(enum kind kind, uint16_t port, int backlog, bool shared)
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

static inline int client_at(int ns, enum kind kind, uint16_t port)
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

static inline char *pattern(size_t len, unsigned int seed)
{
	char *data = malloc(len + 1);

	for (size_t i = 0; i < len; i++)
		data[i] = (char)(seed = seed * 1103515245 + 12345, seed >> 16);
	return data;
}

static inline bool read_pattern(int fd, size_t len, unsigned int seed)
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

static inline bool write_pattern(int fd, size_t len, unsigned int seed)
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
static inline bool flows(int from, int to)
{
	bool ok = true;

	for (unsigned int i = 0; ok && i < 32; i++)
		ok = write_pattern(from, 16 << 10, i) && read_pattern(to, 16 << 10, i);
	return ok;
}

static inline bool at_end(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char c;

	return poll(&p, 1, WAIT_MS) == 1 && recv(fd, &c, 1, MSG_DONTWAIT) == 0;
}

static inline bool becomes(int fd, int state, int received)
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

static inline int waiting(int listener)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	return getsockopt(listener, IPPROTO_TCP, TCP_INFO, &info, &len) < 0 ? -1 : (int)info.tcpi_unacked;
}

/* In the queue are `n`: those who come one after the other would otherwise stand there in any order. */
static inline bool comes_to_wait(int listener, int n)
{
	int64_t until = monotonic_ms() + WAIT_MS;

	while (waiting(listener) != n) {
		if (monotonic_ms() > until)
			return false;
		poll(NULL, 0, 1);
	}
	return true;
}

/* All that was said was heard, the end too, and that is known. */
static inline bool is_acknowledged(int fd)
{
	int64_t until = monotonic_ms() + WAIT_MS;
	int n = -1;

	while (ioctl(fd, SIOCOUTQ, &n) || n) {
		if (monotonic_ms() > until)
			return false;
		poll(NULL, 0, 1);
	}
	return true;
}

static inline uint32_t stamp(int fd)
{
	uint32_t t = 0;
	socklen_t len = sizeof(t);

	getsockopt(fd, IPPROTO_TCP, TCP_TIMESTAMP, &t, &len);
	return t;
}

/* Reads what it is; with `kill` nothing is left of it, and nobody is told. */
static inline void read_connection(int fd, struct tcp_connection *c, bool kill)
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

static inline enum tcp_state state_of(int ns, const struct tcp_connection *c, bool theirs)
{
	struct sockdiag_inet is = { 0 };

	if (sockdiag_tcp_one(ns, theirs ? &c->remote : &c->local, theirs ? &c->local : &c->remote, 0, &is,
			     NULL) < 0)
		return 0;
	return (enum tcp_state)is.state;
}

static inline bool comes_to(int ns, const struct tcp_connection *c, bool theirs, enum tcp_state state)
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

/* Read from the kernel's memory, once nothing moves: the one between these addresses. */
static inline struct tcp_held *look_at(const struct tcp_connection *c, struct tcp_held **ret, size_t *ret_n)
{
	int64_t until = monotonic_ms() + WAIT_MS;
	int r;

	do
		r = tcp_held_all(kernel, ret, ret_n, &err);
	while (r == -EAGAIN && monotonic_ms() < until);
	if (r < 0) {
		printf("# %s\n", err.text);
		exit(1);
	}
	for (size_t i = 0; i < *ret_n; i++)
		if (!memcmp(&(*ret)[i].c.local, &c->local, sizeof(c->local)) &&
		    !memcmp(&(*ret)[i].c.remote, &c->remote, sizeof(c->remote)))
			return &(*ret)[i];
	return NULL;
}

static inline void enter_pod(void)
{
	struct net_subnet subnet;
	int pod;
	bool nat;

	own_namespaces();
	alarm(600);
	world = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	pod = new_ns();
	proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (kernel_open(&kernel, &err) < 0 || net_bridge_ensure(NULL, &subnet, &nat, &err) < 0 ||
	    net_attach(pod, LINK, &config, &err) < 0 || setns(pod, CLONE_NEWNET) < 0) {
		printf("# %s\n", err.text);
		exit(1);
	}
	close(pod);
}
