/* SPDX-License-Identifier: Apache-2.0 */
/* A connection with bytes in it that its server accepts a moment later, before a checkpoint looks at it, meanwhile or after the restore. */
#include "victim.h"

#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>

static int listening, server;

static void *serve(void *arg)
{
	const struct timespec slow = { .tv_nsec = 300000000 };

	nanosleep(&slow, NULL);
	server = CHECK_SYS(accept(listening, NULL, NULL));
	return NULL;
}

int main(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX, .sun_path = "/run/victim.sock" };
	char text[8] = "";
	pthread_t thread;
	int c;

	listening = CHECK_SYS(socket(AF_UNIX, SOCK_STREAM, 0));
	CHECK_SYS(bind(listening, (struct sockaddr *)&a, sizeof(a)));
	CHECK_SYS(listen(listening, 1));
	c = CHECK_SYS(socket(AF_UNIX, SOCK_STREAM, 0));
	CHECK_SYS(connect(c, (struct sockaddr *)&a, sizeof(a)));
	CHECK_EQ(write(c, "hello", 5), 5);
	CHECK_EQ(pthread_create(&thread, NULL, serve, NULL), 0);
	victim_ready();
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(read(server, text, sizeof(text)), 5);
	CHECK_EQ(strcmp(text, "hello"), 0);
	victim_pass();
}
