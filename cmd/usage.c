// SPDX-License-Identifier: Apache-2.0
/* What --help prints. */
#include "cmd/command.h"

#include <string.h>

static void print_options(FILE *f, const struct option_spec *specs)
{
	char left[64];

	for (const struct option_spec *s = specs; s && s->name; s++) {
		snprintf(left, sizeof(left), "%c%c%c --%s%s%s", s->letter ? '-' : ' ',
			 s->letter ? s->letter : ' ', s->letter ? ',' : ' ', s->name,
			 s->argument ? " " : "", s->argument ? s->argument : "");
		if (strlen(left) > 28)
			fprintf(f, "  %s\n  %-28s  %s\n", left, "", s->help);
		else
			fprintf(f, "  %-28s  %s\n", left, s->help);
	}
}

static void print_examples(FILE *f, const char *examples)
{
	while (*examples) {
		size_t line = strcspn(examples, "\n"), command = strcspn(examples, "\t");

		fprintf(f, "  %-44.*s  %.*s\n", (int)command, examples, (int)(line - command - 1),
			examples + command + 1);
		examples += line + (examples[line] == '\n');
	}
}

static void print_command(FILE *f, const struct command *command)
{
	fprintf(f, "Usage: podckpt %s%s%s%s\n\n%s\n", command->name,
		command->options ? " [OPTION]..." : "", *command->arguments ? " " : "",
		command->arguments, command->description);
	if (command->options) {
		fputs("\nOptions:\n", f);
		print_options(f, command->options);
	}
	if (command->examples) {
		fputs("\nExamples:\n", f);
		print_examples(f, command->examples);
	}
}

void usage_print(FILE *f, const struct command *command)
{
	if (command) {
		print_command(f, command);
		return;
	}
	fputs("Usage: podckpt [OPTION]... COMMAND [ARGUMENT]...\n\n"
	      "Runs programs in pods, freezes pods into image files and brings them back.\n\n"
	      "Commands:\n", f);
	for (const struct command *const *c = commands; *c; c++)
		if (!(*c)->hidden)
			fprintf(f, "  %-12s  %s\n", (*c)->name, (*c)->help);
	fputs("\nOptions:\n", f);
	print_options(f, global_options);
	fputs("\n'podckpt COMMAND --help' and podckpt-COMMAND(1) tell more.\n", f);
}
