/* SPDX-License-Identifier: Apache-2.0 */
/* The way to another host: a remote shell that runs `podckpt receive` there. */
#pragma once
#include <pthread.h>
#include <sys/types.h>

#include "libct/libct.h"
#include "libct/migrate/wire.h"

struct transport {
	const struct ct_remote_options *remote;
	pid_t pid; /* of the remote shell; 0: none */
	int pidfd;
	struct wire wire;
	int words_fd, stop_fd; /* what it says to people; an eventfd that ends the reading */
	pthread_t words;
	bool reading;
};

/* Starts it. Nothing was heard of the other side yet. */
int transport_open(const struct ct_remote_options *remote, struct transport *ret, struct ct_error *err);
/* Says no more and waits for the other side's program: has it ended well? */
bool transport_finish(struct transport *t);
/* Hangs up and waits for the remote shell to end, a few seconds at most. Accepts one that was never opened. */
void transport_close(struct transport *t);

/* Adds to an error of the wire that the connection has ended why it did, as far as the remote shell tells. */
int transport_explain(struct transport *t, int code, struct ct_error *err);

/* Splits a command at blanks, but for those in quotes ('...', "..."): NULL-terminated, and its strings, freed together. */
int words_split(const char *text, char ***ret, struct ct_error *err);
void words_free(char **words);
