/* SPDX-License-Identifier: Apache-2.0 */
/* Abstract and path listening sockets with accepted connections, both ends inside the pod. */
#include "victim.h"

#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

static socklen_t fill(struct sockaddr_un *a, const char *name)
{
	*a = (struct sockaddr_un){ .sun_family = AF_UNIX };
	memcpy(a->sun_path, name, strlen(name + 1) + 1);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name + 1) + 1);
}

struct server {
	const char *name;
	int listening, client, server;
};

static void check_name(int fd, bool peer, const char *name)
{
	struct sockaddr_un a, want;
	socklen_t len = sizeof(a), want_len = fill(&want, name);

	CHECK_SYS(peer ? getpeername(fd, (struct sockaddr *)&a, &len)
		       : getsockname(fd, (struct sockaddr *)&a, &len));
	if (name[0])
		want_len++; /* the kernel counts the NUL of a path */
	CHECK_EQ(len, want_len);
	CHECK_MEM(a.sun_path, want.sun_path, strlen(name + 1) + 1);
}

static void check_pid(int fd, pid_t pid)
{
	struct ucred c;
	socklen_t len = sizeof(c);

	CHECK_SYS(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c, &len));
	CHECK_EQ(c.pid, pid);
}

static void client(void *arg)
{
	struct server *s = arg;
	struct sockaddr_un a;
	char text[16];
	socklen_t len = fill(&a, s->name);

	s->client = CHECK_SYS(socket(AF_UNIX, SOCK_STREAM, 0));
	CHECK_SYS(connect(s->client, (struct sockaddr *)&a, len));
	CHECK_EQ(write(s->client, "request", 7), 7);
	victim_wait();
	check_name(s->client, true, s->name);
	check_pid(s->client, getppid());
	CHECK_EQ(read(s->client, text, sizeof(text)), 6);
	CHECK_MEM(text, "answer", 6);
	/* The listening socket is found by newcomers. */
	len = fill(&a, s->name);
	CHECK_SYS(close(s->client));
	s->client = CHECK_SYS(socket(AF_UNIX, SOCK_STREAM, 0));
	CHECK_SYS(connect(s->client, (struct sockaddr *)&a, len));
	CHECK_EQ(write(s->client, "again", 5), 5);
}

int main(void)
{
	struct server servers[] = { { .name = "\0victim.abstract" }, { .name = "/run/victim.path" } };
	struct sockaddr_un a;
	pid_t child[2];
	char text[16];

	for (int i = 0; i < 2; i++) {
		struct server *s = &servers[i];
		socklen_t len = fill(&a, s->name);

		s->listening = CHECK_SYS(socket(AF_UNIX, SOCK_STREAM, 0));
		CHECK_SYS(bind(s->listening, (struct sockaddr *)&a, len));
		CHECK_SYS(listen(s->listening, 3));
		child[i] = victim_fork(client, s);
		s->server = CHECK_SYS(accept(s->listening, NULL, NULL));
	}
	victim_ready();
	for (int i = 0; i < 2; i++) {
		struct server *s = &servers[i];

		check_name(s->listening, false, s->name);
		check_name(s->server, false, s->name);
		check_pid(s->server, child[i]);
		CHECK_EQ(recv(s->server, text, sizeof(text), MSG_WAITALL * 0), 7);
		CHECK_MEM(text, "request", 7);
		CHECK_EQ(write(s->server, "answer", 6), 6);
		s->server = CHECK_SYS(accept(s->listening, NULL, NULL));
		CHECK_EQ(read(s->server, text, sizeof(text)), 5);
		CHECK_MEM(text, "again", 5);
		victim_join(child[i]);
	}
	victim_pass();
}
