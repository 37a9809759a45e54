/* SPDX-License-Identifier: Apache-2.0 */
/*
 * traveller FILE: the pod that tests/faults/run moves between two hosts.
 *
 * A parent counts, a hundred times a second, and tells its child each number through a pipe; the child writes it
 * to the end of FILE, a line each. FILE is in a volume that both hosts have: two copies of the pod that run would
 * write numbers twice, one that lost or repeated something would leave a number out or go back. The parent counts in
 * each of many pages of memory, and answers on port 4000: to each number that comes in, eight bytes, the next. It
 * ends with an exit code of its own when something is not what it was.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <signal.h>
#include <unistd.h>

#define PAGES 256
#define PEERS 4
#define TICK_MS 10

static uint64_t memory[PAGES][512];

static void __attribute__((noreturn)) die(int code, const char *what)
{
	fprintf(stderr, "traveller: %s: %s\n", what, strerror(errno));
	_exit(code);
}

static void __attribute__((noreturn)) child(int from, const char *file)
{
	int fd = open(file, O_WRONLY | O_CREAT | O_APPEND, 0644);
	uint64_t number, expected = 0;
	char line[32];

	if (fd < 0)
		die(10, file);
	while (read(from, &number, sizeof(number)) == sizeof(number)) {
		int len = snprintf(line, sizeof(line), "%llu\n", (unsigned long long)number);

		if (number != expected++)
			die(11, "the pipe");
		if (write(fd, line, (size_t)len) != len)
			die(12, file);
	}
	_exit(13);
}

static int listen_at(uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 16) < 0)
		die(20, "listen");
	return fd;
}

/* False: it has hung up. */
static int answer(int fd)
{
	uint64_t number;
	ssize_t n = recv(fd, &number, sizeof(number), MSG_WAITALL);

	if (n == 0)
		return 0;
	if (n != sizeof(number))
		die(21, "receive");
	number++;
	if (send(fd, &number, sizeof(number), MSG_NOSIGNAL) != sizeof(number))
		die(22, "send");
	return 1;
}

static void serve(struct pollfd *p)
{
	if (p[0].revents) {
		int fd = accept(p[0].fd, NULL, NULL);

		for (int i = 1; fd >= 0 && i <= PEERS; i++)
			if (p[i].fd < 0) {
				p[i].fd = fd;
				fd = -1;
			}
		if (fd >= 0)
			close(fd);
	}
	for (int i = 1; i <= PEERS; i++)
		if (p[i].fd >= 0 && p[i].revents && !answer(p[i].fd)) {
			close(p[i].fd);
			p[i].fd = -1;
		}
}

int main(int argc, char **argv)
{
	struct pollfd p[PEERS + 1];
	uint64_t number = 0;
	int fds[2];

	if (argc != 2 || pipe(fds) < 0)
		return 2;
	for (int i = 0; i <= PEERS; i++)
		p[i] = (struct pollfd){ -1, POLLIN, 0 };
	p[0].fd = listen_at(4000);
	if (fork() == 0) {
		close(fds[1]);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		child(fds[0], argv[1]);
	}
	close(fds[0]);
	for (;; number++) {
		for (int i = 0; i < PAGES; i++)
			if (memory[i][i]++ != number)
				die(30, "memory");
		if (write(fds[1], &number, sizeof(number)) != sizeof(number))
			die(31, "pipe");
		if (poll(p, PEERS + 1, TICK_MS) > 0)
			serve(p);
	}
}
