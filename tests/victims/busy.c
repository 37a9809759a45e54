/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A little of everything, all at work: threads and processes that hand a number round through pipes, a unix
 * socket, a TCP connection and a shared page, each checking what it gets; a file without a name, listening TCP sockets, an
 * eventfd, a timer, asynchronous I/O, a connection to a unix socket that waits with what was sent. tests/faults looks at the page: every task has a counter there that goes on. Its
 * clients.py has the server keep connections that no descriptor leads to.
 */
#include "aio.h"
#include "tcp.h"

#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <sys/un.h>

#define PRIVATE_PAGES 64
#define EVENTS 5 /* that nobody has fetched */
#define AHEAD 5000 /* bytes of who waits to be accepted */
#define REST 30000 /* bytes that are left to send when their sender closes */
enum { MAIN, THREAD, PIPER, UNIXER, SERVER, TIMER, TALKER, N_TASKS };

static volatile uint64_t *alive; /* of each task; a file, so that it is seen from outside */
static int there[2], back[2], unix_ends[2], tcp_ends[2], semaphore;
static int unix_listener, unix_client; /* who waits there until the next round */
static aio_context_t context;
static unsigned char *private;
static volatile bool main_done; /* nothing more is taken from the semaphore */

static bool going_on(void)
{
	char path[256];

	return access(victim_path(path, "victim.go"), F_OK) < 0;
}

static void *thread(void *arg)
{
	uint64_t one = 1;

	while (!main_done) {
		CHECK_EQ(write(semaphore, &one, sizeof(one)), sizeof(one));
		victim_sleep_ms(2);
		alive[THREAD]++;
	}
	return NULL;
}

/* Answers each number with its double. */
static void piper(void *arg)
{
	uint64_t n;

	close(there[1]);
	close(tcp_ends[0]);
	while (read(there[0], &n, sizeof(n)) == sizeof(n)) {
		n *= 2;
		CHECK_EQ(write(back[1], &n, sizeof(n)), sizeof(n));
		alive[PIPER]++;
	}
}

static void unixer(void *arg)
{
	uint64_t n;

	close(unix_ends[0]);
	close(there[1]);
	close(tcp_ends[0]);
	while (recv(unix_ends[1], &n, sizeof(n), 0) == sizeof(n)) {
		n *= 3;
		CHECK_EQ(send(unix_ends[1], &n, sizeof(n), MSG_NOSIGNAL), sizeof(n));
		alive[UNIXER]++;
	}
}

static void talker(void *arg)
{
	uint64_t n;

	close(there[1]);
	close(unix_ends[0]);
	close(tcp_ends[0]);
	while (recv(tcp_ends[1], &n, sizeof(n), MSG_WAITALL) == sizeof(n)) {
		n *= 5;
		CHECK_EQ(send(tcp_ends[1], &n, sizeof(n), MSG_NOSIGNAL), sizeof(n));
		alive[TALKER]++;
	}
}

static void connect_both(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int fd = CHECK_SYS(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), one = 1;

	CHECK_SYS(bind(fd, (struct sockaddr *)&a, sizeof(a)));
	CHECK_SYS(listen(fd, 1));
	CHECK_SYS(getsockname(fd, (struct sockaddr *)&a, &len));
	tcp_ends[0] = CHECK_SYS(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
	CHECK_SYS(connect(tcp_ends[0], (struct sockaddr *)&a, sizeof(a)));
	tcp_ends[1] = CHECK_SYS(accept4(fd, NULL, NULL, SOCK_CLOEXEC));
	CHECK_SYS(close(fd));
	for (int i = 0; i < 2; i++)
		CHECK_SYS(setsockopt(tcp_ends[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)));
}

static int listen_at(uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
	int one = 1, fd = CHECK_SYS(socket(AF_INET, SOCK_STREAM, 0));

	CHECK_SYS(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)));
	CHECK_SYS(bind(fd, (struct sockaddr *)&a, sizeof(a)));
	CHECK_SYS(listen(fd, 5));
	return fd;
}

/* What somebody asks for to be done with the next connection that waits. */
static void serve(int listener, char what)
{
	int c = CHECK_SYS(accept(listener, NULL, NULL));
	char byte;

	if (what == 's') { /* serve it, at last */
		tcp_expect(c, 0, AHEAD);
		CHECK_EQ(tcp_put(c, 1, AHEAD), AHEAD);
		while (recv(c, &byte, 1, 0) > 0)
			;
	} else if (what == 'o') { /* leave the rest to the kernel */
		CHECK_EQ(tcp_put(c, 0, REST), REST);
	} else {
		CHECK_EQ(what, 't'); /* end first: what is left waits for its time */
	}
	CHECK_SYS(close(c));
}

/* Says a word to everybody who connects. */
static void server(void *arg)
{
	int fd = listen_at(4000), waiting = listen_at(4001);
	struct pollfd p = { fd, POLLIN, 0 };
	char what;

	close(there[1]);
	close(unix_ends[0]);
	close(tcp_ends[0]);
	while (going_on()) {
		int c = -1;

		alive[SERVER]++;
		if (poll(&p, 1, 10) > 0)
			c = accept(fd, NULL, NULL);
		if (c < 0)
			continue;
		send(c, "here\n", 5, MSG_NOSIGNAL);
		/* Who came closes first: no half-closed connection is left to be found by a checkpoint. */
		while (recv(c, &what, 1, 0) > 0) {
			serve(waiting, what);
			send(c, &what, 1, MSG_NOSIGNAL);
		}
		close(c);
	}
}

static void timer(void *arg)
{
	struct itimerspec t = { { 0, 5000000 }, { 0, 5000000 } };
	int fd = CHECK_SYS(timerfd_create(CLOCK_MONOTONIC, 0));
	uint64_t ticks;

	close(there[1]);
	close(unix_ends[0]);
	close(tcp_ends[0]);
	CHECK_SYS(timerfd_settime(fd, 0, &t, NULL));
	while (going_on()) {
		CHECK_EQ(read(fd, &ticks, sizeof(ticks)), sizeof(ticks));
		CHECK(ticks > 0);
		alive[TIMER]++;
	}
}

static const struct sockaddr_un door = { AF_UNIX, "\0busy" };

/* A client that says `n` many times. */
static int come(uint64_t n)
{
	uint64_t words[AHEAD / sizeof(n)];
	int fd = CHECK_SYS(socket(AF_UNIX, SOCK_STREAM, 0));

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		words[i] = n;
	CHECK_SYS(connect(fd, (const struct sockaddr *)&door, sizeof(door)));
	CHECK_EQ(send(fd, words, sizeof(words), MSG_NOSIGNAL), sizeof(words));
	return fd;
}

/* The one who has waited is served when the next one waits. */
static void serve_who_waits(uint64_t n)
{
	int client = come(n + 1), served = CHECK_SYS(accept(unix_listener, NULL, NULL));
	uint64_t words[AHEAD / sizeof(n)];

	CHECK_EQ(recv(served, words, sizeof(words), MSG_WAITALL), sizeof(words));
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		CHECK_EQ(words[i], n);
	CHECK_EQ(send(served, &n, sizeof(n), MSG_NOSIGNAL), sizeof(n));
	CHECK_EQ(recv(unix_client, words, sizeof(words), 0), sizeof(n));
	CHECK_EQ(words[0], n);
	CHECK_SYS(close(served));
	CHECK_SYS(close(unix_client));
	unix_client = client;
}

/* One round of everything that main is a part of. */
static void round_trip(int file, uint64_t n)
{
	uint64_t got, at = n % PRIVATE_PAGES * 4096;

	CHECK_EQ(write(there[1], &n, sizeof(n)), sizeof(n));
	CHECK_EQ(read(back[0], &got, sizeof(got)), sizeof(got));
	CHECK_EQ(got, n * 2);
	CHECK_EQ(send(unix_ends[0], &n, sizeof(n), MSG_NOSIGNAL), sizeof(n));
	CHECK_EQ(recv(unix_ends[0], &got, sizeof(got), 0), sizeof(got));
	CHECK_EQ(got, n * 3);
	CHECK_EQ(send(tcp_ends[0], &n, sizeof(n), MSG_NOSIGNAL), sizeof(n));
	CHECK_EQ(recv(tcp_ends[0], &got, sizeof(got), MSG_WAITALL), sizeof(got));
	CHECK_EQ(got, n * 5);
	CHECK_EQ(pread(file, &got, sizeof(got), (off_t)at), sizeof(got));
	CHECK_EQ(got, n < PRIVATE_PAGES ? 0 : n - PRIVATE_PAGES);
	CHECK_EQ(pwrite(file, &n, sizeof(n), (off_t)at), sizeof(n));
	memcpy(&got, private + at, sizeof(got));
	CHECK_EQ(got, n < PRIVATE_PAGES ? 0 : n - PRIVATE_PAGES);
	memcpy(private + at, &n, sizeof(n));
	CHECK_EQ(read(semaphore, &got, sizeof(got)), sizeof(got));
	CHECK_EQ(got, 1);
	serve_who_waits(n);
	CHECK_EQ(aio_get(context).data, n);
	aio_submit(context, IOCB_CMD_PREAD, file, &got, sizeof(got), 0, n + EVENTS);
	alive[MAIN]++;
	CHECK_EQ(alive[MAIN], n + 1);
}

int main(void)
{
	pid_t children[5];
	pthread_t t;
	char path[256];
	uint64_t n = 0;
	int page, file;

	page = CHECK_SYS(open(victim_path(path, "alive"), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
	CHECK_SYS(ftruncate(page, 4096));
	alive = CHECK_SYS((volatile uint64_t *)mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, page, 0));
	close(page);
	private = CHECK_SYS((unsigned char *)mmap(NULL, PRIVATE_PAGES * 4096, PROT_READ | PROT_WRITE,
						  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	file = CHECK_SYS(open("unlinked", O_RDWR | O_CREAT | O_CLOEXEC, 0600));
	CHECK_SYS(unlink("unlinked"));
	CHECK_SYS(ftruncate(file, PRIVATE_PAGES * 4096));
	CHECK_SYS(pipe(there));
	CHECK_SYS(pipe(back));
	CHECK_SYS(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, unix_ends));
	connect_both();
	semaphore = CHECK_SYS(eventfd(0, EFD_SEMAPHORE));
	children[0] = victim_fork(piper, NULL);
	children[1] = victim_fork(unixer, NULL);
	children[2] = victim_fork(server, NULL);
	children[3] = victim_fork(timer, NULL);
	children[4] = victim_fork(talker, NULL);
	close(tcp_ends[1]);
	unix_listener = CHECK_SYS(socket(AF_UNIX, SOCK_STREAM, 0));
	CHECK_SYS(bind(unix_listener, (const struct sockaddr *)&door, sizeof(door)));
	CHECK_SYS(listen(unix_listener, 5));
	unix_client = come(n);
	aio_set_up(2 * EVENTS, &context);
	for (uint64_t event = 0; event < EVENTS; event++)
		aio_submit(context, IOCB_CMD_PREAD, file, private, 8, 0, event);
	CHECK_EQ(pthread_create(&t, NULL, thread, NULL), 0);
	for (; n < 3; n++)
		round_trip(file, n);
	CHECK_SYS(close(CHECK_SYS(open(victim_path(path, "victim.ready"), O_WRONLY | O_CREAT, 0644))));
	while (going_on())
		round_trip(file, n++);
	main_done = true;
	CHECK_EQ(pthread_join(t, NULL), 0);
	close(there[1]);
	close(unix_ends[0]);
	close(tcp_ends[0]);
	for (int i = 0; i < 5; i++)
		victim_join(children[i]);
	victim_pass();
}
