/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hold WHAT N: a program that holds much of one thing, says "ready" and waits for its end.
 *
 *	memory N	N MB of bytes that cannot be compressed
 *	zeros N		N MB of zeros, each page written to
 *	processes N	N children
 *	threads N	N threads
 *	descriptors N	N descriptors: eventfds, pipes, unix sockets, timerfds and files, some in an epoll
 *	areas N		N areas of one page each
 *	served N	N MB as above; whatever comes by TCP or UDP at port 7000 is sent back (talk.c)
 *
 * Of processes and threads every second one waits with a time limit, of which the rest is carried.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096UL

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(1);
}

static void ready(void)
{
	puts("ready");
	fflush(stdout);
}

static void wait_in_turn(size_t i)
{
	for (;;)
		if (i % 2)
			poll(NULL, 0, 100000000);
		else
			pause();
}

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void *map(size_t len, int prot)
{
	void *at = len ? mmap(NULL, len, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) : NULL;

	if (at == MAP_FAILED)
		die("mmap");
	return at;
}

static void hold_memory(size_t n)
{
	uint64_t *at = map(n << 20, PROT_READ | PROT_WRITE), state = 0x9e3779b97f4a7c15;

	for (size_t i = 0; i < (n << 20) / sizeof(*at); i++)
		at[i] = next_random(&state);
}

static void hold_zeros(size_t n)
{
	void *at = map(n << 20, PROT_READ | PROT_WRITE);

	if (at)
		memset(at, 0, n << 20);
}

static void hold_processes(size_t n)
{
	for (size_t i = 0; i < n; i++) {
		pid_t pid = fork();

		if (pid < 0)
			die("fork");
		if (!pid) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			wait_in_turn(i);
		}
	}
}

static void *thread(void *arg)
{
	wait_in_turn((uintptr_t)arg);
	return NULL;
}

static void hold_threads(size_t n)
{
	pthread_attr_t attributes;
	pthread_t made;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, 64 << 10);
	for (size_t i = 0; i < n; i++) {
		errno = pthread_create(&made, &attributes, thread, (void *)(uintptr_t)i);
		if (errno)
			die("pthread_create");
	}
}

static void raise_limit(void)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static void hold_descriptors(size_t n)
{
	int set = epoll_create1(EPOLL_CLOEXEC);

	raise_limit();
	for (size_t i = 0; i < n; i += 8) {
		struct epoll_event event = { .events = EPOLLIN, .data.u64 = i };
		int pair[2], fd = eventfd(0, 0);

		if (fd < 0 || epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) < 0)
			die("eventfd");
		if (timerfd_create(CLOCK_MONOTONIC, 0) < 0)
			die("timerfd");
		if (open("/etc/passwd", O_RDONLY) < 0 || open("/dev/null", O_RDWR) < 0)
			die("open");
		if (pipe(pair) < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
			die("pair");
	}
}

static void hold_areas(size_t n)
{
	char *at = map(n * PAGE, PROT_NONE);

	/* None is like its neighbour, or they would be one. */
	for (size_t i = 0; i < n; i += 2) {
		if (mprotect(at + i * PAGE, PAGE, PROT_READ | PROT_WRITE) < 0)
			die("mprotect");
		memset(at + i * PAGE, (int)i | 1, PAGE);
	}
}

static int listen_at(int type)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(7000) };
	int fd = socket(AF_INET, type | SOCK_NONBLOCK, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 ||
	    (type == SOCK_STREAM && listen(fd, 4096) < 0))
		die("port 7000");
	return fd;
}

static void send_back(int fd)
{
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);
	char data[256];
	ssize_t n = recvfrom(fd, data, sizeof(data), 0, (struct sockaddr *)&from, &len);

	if (n > 0)
		(void)!sendto(fd, data, (size_t)n, 0, len ? (struct sockaddr *)&from : NULL, len);
	else if (n == 0 || errno != EAGAIN)
		close(fd); /* poll(2) finds it no longer */
}

/* By poll(2): an epoll set of many would be a figure of its own. */
static void serve(int stream, int datagrams)
{
	static struct pollfd fds[20000];
	size_t n = 2;

	fds[0] = (struct pollfd){ .fd = stream, .events = POLLIN };
	fds[1] = (struct pollfd){ .fd = datagrams, .events = POLLIN };
	for (;;) {
		if (poll(fds, n, -1) < 0 && errno != EINTR)
			die("poll");
		for (size_t i = 1; i < n; i++)
			if (fds[i].revents & POLLNVAL)
				fds[i].fd = -1;
			else if (fds[i].revents)
				send_back(fds[i].fd);
		while (fds[0].revents && n < sizeof(fds) / sizeof(fds[0])) {
			int fd = accept4(stream, NULL, NULL, SOCK_NONBLOCK);

			if (fd < 0)
				break;
			fds[n++] = (struct pollfd){ .fd = fd, .events = POLLIN };
		}
	}
}

static void hold_served(size_t n)
{
	int stream = listen_at(SOCK_STREAM), datagrams = listen_at(SOCK_DGRAM);

	raise_limit();
	hold_memory(n);
	ready();
	serve(stream, datagrams);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *what;
		void (*hold)(size_t n);
	} all[] = {
		{ "memory", hold_memory },	     { "zeros", hold_zeros },
		{ "processes", hold_processes },     { "threads", hold_threads },
		{ "descriptors", hold_descriptors }, { "areas", hold_areas },
		{ "served", hold_served },
	};

	for (size_t i = 0; argc == 3 && i < sizeof(all) / sizeof(all[0]); i++) {
		if (strcmp(argv[1], all[i].what))
			continue;
		all[i].hold(strtoul(argv[2], NULL, 10));
		ready();
		wait_in_turn(0);
	}
	fprintf(stderr, "usage: hold WHAT N\n");
	return 2;
}
