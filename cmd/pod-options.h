/* SPDX-License-Identifier: Apache-2.0 */
/* What several commands need to turn their options into the library's. */
#pragma once
#include "cmd/command.h"

/* "SRC:DST[:ro|:rw]" each; a relative SRC is below the current directory. */
/* --net: one of the spec's words by its index, or bridge:NAME. */
struct net_choice {
	int mode;
	const char *bridge; /* NULL: none was named; `mode` is 0 with it */
};
const char *set_net(const struct option_spec *spec, const char *value, void *field);

struct volumes {
	struct ct_volume *v;
	char **sources; /* owned */
	size_t n;
};
int volumes_parse(const struct context *context, const struct string_list *texts,
		  struct volumes *ret);
void volumes_release(struct volumes *volumes);

/* An environment: later settings of a name replace earlier ones. */
struct environment {
	char **v; /* NULL-terminated once something was set; owned */
	size_t n;
};
/* "NAME=value", or "NAME" for the caller's own value (nothing where that is unset). 0 or -ENOMEM. */
int environment_set(struct environment *env, const char *text);
/* What a shell of the user has set and a program commonly needs; TERM only with a terminal. */
int environment_default(struct environment *env, bool tty, const char *user, const char *rootfs);
/* A file of such lines; empty ones and those with # in front are skipped. Prints what is wrong. */
int environment_file(const struct context *context, struct environment *env, const char *path);
void environment_release(struct environment *env);

/* The size of the caller's terminal, 0 without one. */
void terminal_size(unsigned short *rows, unsigned short *columns);

/*
 * Prints why a command in a pod could not be run; the exit code is 127 where it was not found, 126 where
 * it cannot be executed, and else 125, or with `detach` that of the error's kind.
 */
int program_failed(const struct context *context, const char *object, bool detach,
		   const struct ct_error *err);
