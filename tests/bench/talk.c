/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who talks to `hold served`, from outside of its pod:
 *
 *	talk gap ADDRESS FILE	one small request a millisecond, by a TCP connection and by UDP; at SIGTERM the largest
 *				time without an answer on each goes to FILE, in microseconds
 *	talk many ADDRESS N	N connections, then "ready"; at SIGTERM each has to answer
 *
 * The exit code is 1 where a connection was lost.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_MS 60000
#define ANSWER_US (ANSWER_MS * 1000LL)

static volatile sig_atomic_t ended;

static void on_end(int sig)
{
	(void)sig;
	ended = 1;
}

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(1);
}

static int64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

static int open_to(const char *address, int type)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(7000) };
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0), on = 1;

	if (inet_pton(AF_INET, address, &to.sin_addr) != 1 || fd < 0 ||
	    connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		die(address);
	if (type == SOCK_STREAM)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

/* False: no answer within the time. */
static int answers(int fd, int timeout_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char byte;

	return poll(&p, 1, timeout_ms) == 1 && read(fd, &byte, 1) == 1;
}

struct line {
	int fd;
	int waiting; /* for an answer to a request by TCP */
	int64_t heard, gap;
};

static void hear(struct line *l)
{
	char data[256];
	ssize_t n = recv(l->fd, data, sizeof(data), MSG_DONTWAIT);
	int64_t now = now_us();

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != ECONNREFUSED && errno != EINTR))
		die("lost");
	if (n < 0)
		return;
	if (now - l->heard > l->gap)
		l->gap = now - l->heard;
	l->heard = now;
	l->waiting = 0;
}

static int gap(const char *address, const char *path)
{
	struct line tcp = { .fd = open_to(address, SOCK_STREAM), .heard = now_us() };
	struct line udp = { .fd = open_to(address, SOCK_DGRAM), .heard = now_us() };
	FILE *out;

	puts("ready");
	fflush(stdout);
	while (!ended || tcp.waiting) {
		struct pollfd fds[2] = { { .fd = tcp.fd, .events = POLLIN },
					 { .fd = udp.fd, .events = POLLIN } };

		if (!tcp.waiting && write(tcp.fd, "x", 1) != 1)
			die("lost");
		tcp.waiting = 1;
		if (now_us() - tcp.heard > ANSWER_US)
			die("no answer");
		(void)!send(udp.fd, "x", 1, MSG_DONTWAIT);
		usleep(1000); /* the rate of requests */
		if (poll(fds, 2, 0) > 0) {
			if (fds[0].revents)
				hear(&tcp);
			if (fds[1].revents)
				hear(&udp);
		}
	}
	out = fopen(path, "we");
	if (!out || fprintf(out, "%lld %lld\n", (long long)tcp.gap, (long long)udp.gap) < 0 || fclose(out))
		die(path);
	return 0;
}

static int many(const char *address, size_t n)
{
	int *fds = calloc(n + 1, sizeof(*fds));
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	if (!fds)
		die("memory");
	for (size_t i = 0; i < n; i++) {
		fds[i] = open_to(address, SOCK_STREAM);
		/* Once round, so that the server has accepted it. */
		if (write(fds[i], "x", 1) != 1 || !answers(fds[i], ANSWER_MS))
			die("connect");
	}
	puts("ready");
	fflush(stdout);
	while (!ended)
		usleep(10000);
	for (size_t i = 0; i < n; i++)
		if (write(fds[i], "x", 1) != 1)
			die("lost");
	for (size_t i = 0; i < n; i++)
		if (!answers(fds[i], ANSWER_MS))
			die("no answer");
	return 0;
}

int main(int argc, char **argv)
{
	struct sigaction end = { .sa_handler = on_end };

	sigaction(SIGTERM, &end, NULL);
	if (argc == 4 && !strcmp(argv[1], "gap"))
		return gap(argv[2], argv[3]);
	if (argc == 4 && !strcmp(argv[1], "many"))
		return many(argv[2], strtoul(argv[3], NULL, 10));
	fprintf(stderr, "usage: talk gap ADDRESS FILE | talk many ADDRESS N\n");
	return 2;
}
