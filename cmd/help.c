// SPDX-License-Identifier: Apache-2.0
/* The commands about podckpt itself: help, version, completion, and the hidden ones of the build. */
#include "cmd/command.h"

#include <string.h>

#include "cmd/complete.h"
#include "cmd/man.h"
#include "cmd/output.h"
#include "config.h"

/* The command named by argv[0], NULL without one. False (and the words) where there is none such. */
static bool named_command(struct context *context, int argc, char **argv,
			  const struct command **ret)
{
	*ret = argc ? command_find(argv[0]) : NULL;
	if (!argc || *ret)
		return true;
	report_text(context, PODCKPT_USAGE, "no such command: '%s'", argv[0]);
	return false;
}

static int help_run(struct context *context, void *options, int argc, char **argv)
{
	const struct command *command;

	if (!named_command(context, argc, argv, &command))
		return PODCKPT_USAGE;
	usage_print(stdout, command);
	return 0;
}

const struct command command_help = {
	.name = "help",
	.arguments = "[COMMAND]",
	.help = "tell about a command",
	.description = "Prints what podckpt or one of its commands does, with its options.",
	.max_arguments = 1,
	.complete = COMPLETE_SUBCOMMAND,
	.run = help_run,
};

static int version_run(struct context *context, void *options, int argc, char **argv)
{
	puts(PACKAGE_STRING);
	return 0;
}

const struct command command_version = {
	.name = "version",
	.arguments = "",
	.help = "print the version",
	.description = "Prints the name and the version of this program.",
	.run = version_run,
};

static int completion_run(struct context *context, void *options, int argc, char **argv)
{
	if (complete_script(stdout, argv[0]) < 0)
		return report_text(context, PODCKPT_USAGE, "no such shell: '%s' (bash, zsh, fish)",
				   argv[0]);
	return 0;
}

const struct command command_completion = {
	.name = "completion",
	.arguments = "bash|zsh|fish",
	.help = "print a completion script for a shell",
	.description = "Prints a script that makes the shell complete podckpt's commands, options and pods.\n"
		       "`make install` puts it where the shells look.",
	.examples = "source <(podckpt completion bash)\tcompletion in this shell",
	.min_arguments = 1,
	.max_arguments = 1,
	.run = completion_run,
};

static int complete_run(struct context *context, void *options, int argc, char **argv)
{
	complete_words(stdout, argc, argv);
	return 0;
}

const struct command command_complete = {
	.name = "__complete",
	.arguments = "-- WORD...",
	.help = "what the completion scripts ask",
	.description = "Prints what may stand for the last word, one candidate a line with a tab and its "
		       "meaning; or a line with a colon and what kind of word the shell knows better.",
	.max_arguments = -1u,
	.program_at = 1,
	.hidden = true,
	.run = complete_run,
};

static int man_run(struct context *context, void *options, int argc, char **argv)
{
	const struct command *command;

	if (!named_command(context, argc, argv, &command))
		return PODCKPT_USAGE;
	man_print(stdout, command);
	return 0;
}

const struct command command_man = {
	.name = "__man",
	.arguments = "[COMMAND]",
	.help = "print the source of a man page",
	.description = "Prints the source of a man page.",
	.max_arguments = 1,
	.hidden = true,
	.run = man_run,
};

static int commands_run(struct context *context, void *options, int argc, char **argv)
{
	for (const struct command *const *c = commands; *c; c++)
		if (!(*c)->hidden)
			puts((*c)->name);
	return 0;
}

const struct command command_commands = {
	.name = "__commands",
	.arguments = "",
	.help = "print the names of all commands",
	.description = "Prints the names of all commands.",
	.hidden = true,
	.run = commands_run,
};
