/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Subcommands that describe themselves.
 *
 * A command is one file with one `const struct command` at its end, listed in commands.c. Dispatch,
 * option parsing, usage texts, shell completion and the man pages are all made from that struct, so
 * they cannot disagree.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "cmd/exit.h"
#include "libct/base/cleanup.h"
#include "libct/libct.h"

/* What the shell offers for an argument. */
enum complete {
	COMPLETE_NOTHING,
	COMPLETE_WORDS,	 /* those of option_spec.words */
	COMPLETE_FILE,
	COMPLETE_DIRECTORY,
	COMPLETE_POD,
	COMPLETE_POD_OR_FILE,
	COMPLETE_POD_THEN_COMMAND,
	COMPLETE_COMMAND,    /* a program of the host and its arguments */
	COMPLETE_SIGNAL,
	COMPLETE_SUBCOMMAND,
};

struct option_spec {
	const char *name;     /* without the dashes */
	char letter;	      /* 0: none */
	const char *argument; /* as usage shows it; NULL: a flag */
	const char *help;     /* one phrase */
	/* Converts `value` (NULL for a flag) into the field; returns NULL or what is wrong with it. */
	const char *(*set)(const struct option_spec *spec, const char *value, void *field);
	size_t offset; /* of the field in the command's options */
	enum complete complete;
	const char *words; /* the values allowed, separated by blanks; with set_choice */
};

/* A list of strings that ends with NULL; the strings are those of argv. */
struct string_list {
	const char **v; /* NULL while empty */
	size_t n;
};

const char *set_flag(const struct option_spec *spec, const char *value, void *field);   /* bool */
const char *set_string(const struct option_spec *spec, const char *value, void *field); /* const char * */
const char *set_list(const struct option_spec *spec, const char *value, void *field);   /* struct string_list */
const char *set_choice(const struct option_spec *spec, const char *value, void *field); /* int: index in words */
const char *set_count(const struct option_spec *spec, const char *value, void *field);  /* uint64_t, above 0 */
const char *set_number(const struct option_spec *spec, const char *value, void *field); /* uint64_t */
const char *set_size(const struct option_spec *spec, const char *value, void *field);   /* uint64_t: bytes */
const char *set_cpus(const struct option_spec *spec, const char *value, void *field);   /* uint64_t: us per s */
const char *set_signal(const struct option_spec *spec, const char *value, void *field); /* int */

/* The number of a signal given by name (with or without SIG, any case) or number; 0: none such. */
int signal_number(const char *text);

/* What stands before the subcommand, and what every command shares. */
struct context {
	const char *root; /* NULL: the library's default */
	bool quiet, verbose, version, help;
	struct ct *ct; /* after context_open() */
	const struct command *command;
	const char *done; /* what has happened and stays, also when the output cannot be written; NULL: nothing */
};

struct command {
	const char *name;
	const char *arguments; /* as usage shows them, "" for none */
	const char *help;      /* one line */
	/*
	 * Paragraphs, separated by an empty line; a line that begins with a tab is shown as it is. Part of
	 * `podckpt help COMMAND` and of the man page.
	 */
	const char *description;
	const char *examples; /* "command\ttext" lines, NULL: none */
	const struct option_spec *options; /* ends with one without a name; NULL: none */
	size_t options_size;		   /* of the struct that they fill */
	unsigned int min_arguments, max_arguments;
	enum complete complete; /* of the arguments */
	unsigned int program_at; /* this argument (from 1) and all after it are the user's program; 0: none */
	bool own_code;		/* its exit code is the program's: failures of ours are 125 */
	bool hidden;
	/* `options` points to the filled struct. Returns the exit code. */
	int (*run)(struct context *context, void *options, int argc, char **argv);
};

/* Every command, in the order that help shows; ends with NULL. */
extern const struct command *const commands[];
extern const struct option_spec global_options[];
const struct command *command_find(const char *name);

#define OPTIONS_WRONG (-1) /* one line is in `why` */
#define OPTIONS_HELP (-2)  /* --help was asked for */
/*
 * Parses options wherever they stand, up to "--" or to argument number `program_at` (0: to the end).
 * Returns the number of arguments, which are moved to argv[0]..., or one of the above.
 */
int options_parse(const struct option_spec *specs, void *fields, int argc, char **argv,
		  unsigned int program_at, char why[256]);
void options_release(const struct option_spec *specs, void *fields);

void usage_print(FILE *f, const struct command *command); /* NULL: of podckpt itself */

/* ---- words for people and exit codes ---- */

/* Opens the state directory; prints what is wrong. 0 or the exit code. */
int context_open(struct context *context);

/*
 * Prints "podckpt: COMMAND OBJECT: text", one line for each line of err->text, and returns the exit
 * code for err->code. `object` may be NULL.
 */
int report(const struct context *context, const char *object, const struct ct_error *err);
/* The same for a text of our own. */
int report_text(const struct context *context, int exit_code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
int exit_code_of(int error);
