/* SPDX-License-Identifier: Apache-2.0 */
/* What commands that reach another host share: their options, what people see meanwhile, the figures. */
#pragma once
#include "cmd/command.h"

struct remote {
	const char *host, *rsh, *program;
	bool dry_run;
	/* For people, while it goes on. */
	const struct context *context;
	bool terminal, line; /* progress is shown; the line has something */
	const char *phase;
	uint64_t began, shown; /* of the phase; microseconds */
};

#define REMOTE_OPTIONS(type, field)                                                                \
	{ "host", 0, "HOST", "the other host, as ssh knows it", set_string,                        \
	  offsetof(type, field.host) },                                                            \
	{ "rsh", 0, "COMMAND", "remote shell (default: ssh)", set_string,                          \
	  offsetof(type, field.rsh) },                                                             \
	{ "remote-podckpt", 0, "PROGRAM", "podckpt on the other host (default: podckpt)",          \
	  set_string, offsetof(type, field.program) },                                             \
	{ "dry-run", 'n', NULL, "only tell whether it would work", set_flag,                       \
	  offsetof(type, field.dry_run) }

/* The library's options for it. */
struct ct_remote_options remote_begin(struct remote *r, const struct context *context);
/* Takes the line of progress away again. */
void remote_end(struct remote *r);

/* One JSON object. */
void remote_stats_print(FILE *f, const struct ct_remote_stats *stats);
