/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server on a unix socket whose clients come and go without pause: new sockets are there at each look, and each has both ends in
 * the pod. Every question gets its own answer.
 */
#include "victim.h"

#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>

#define CLIENTS 3

static const struct sockaddr_un door = { AF_UNIX, "\0turnover" };

static bool going_on(void)
{
	char path[256];

	return access(victim_path(path, "victim.go"), F_OK) < 0;
}

static void serve(void *arg)
{
	int listening = *(int *)arg;
	uint64_t n;

	for (;;) {
		int fd = CHECK_SYS(accept(listening, NULL, NULL));

		CHECK_EQ(recv(fd, &n, sizeof(n), MSG_WAITALL), sizeof(n));
		n = ~n;
		CHECK_EQ(send(fd, &n, sizeof(n), MSG_NOSIGNAL), sizeof(n));
		CHECK_SYS(close(fd));
	}
}

static void *ask(void *arg)
{
	uint64_t who = (uint64_t)(uintptr_t)arg << 32, got;

	for (uint64_t n = who; going_on(); n++) {
		int fd = CHECK_SYS(socket(AF_UNIX, SOCK_STREAM, 0));

		CHECK_SYS(connect(fd, (const struct sockaddr *)&door, sizeof(door)));
		CHECK_EQ(send(fd, &n, sizeof(n), MSG_NOSIGNAL), sizeof(n));
		CHECK_EQ(recv(fd, &got, sizeof(got), MSG_WAITALL), sizeof(got));
		CHECK_EQ(got, ~n);
		CHECK_SYS(close(fd));
	}
	return NULL;
}

int main(void)
{
	int listening = CHECK_SYS(socket(AF_UNIX, SOCK_STREAM, 0));
	pthread_t clients[CLIENTS];
	pid_t server;

	CHECK_SYS(bind(listening, (const struct sockaddr *)&door, sizeof(door)));
	CHECK_SYS(listen(listening, CLIENTS));
	server = victim_fork(serve, &listening);
	for (uintptr_t i = 0; i < CLIENTS; i++)
		CHECK_EQ(pthread_create(&clients[i], NULL, ask, (void *)(i + 1)), 0);
	victim_ready();
	for (int i = 0; i < CLIENTS; i++)
		CHECK_EQ(pthread_join(clients[i], NULL), 0);
	CHECK_SYS(kill(server, SIGKILL));
	CHECK_EQ(waitpid(server, NULL, 0), server);
	victim_pass();
}
