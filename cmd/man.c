// SPDX-License-Identifier: Apache-2.0
/* The man pages, from the same table as everything else: podckpt man [COMMAND]. */
#include "cmd/command.h"

#include <ctype.h>
#include <string.h>

#include "cmd/man.h"
#include "config.h"

/* Text as roff wants it: no control lines by accident, hyphens that can be copied. */
static void put_text(FILE *f, const char *s, size_t n, bool line_start)
{
	for (size_t i = 0; i < n; i++) {
		if (line_start && (s[i] == '.' || s[i] == '\''))
			fputs("\\&", f);
		if (s[i] == '-')
			fputs("\\-", f);
		else if (s[i] == '\\')
			fputs("\\e", f);
		else
			putc(s[i], f);
		line_start = s[i] == '\n';
	}
}

static void put(FILE *f, const char *s)
{
	put_text(f, s, strlen(s), true);
}

/* Paragraphs; lines with a tab in front are kept as they are. */
static void put_description(FILE *f, const char *s)
{
	bool literal = false;

	while (*s) {
		size_t n = strcspn(s, "\n");

		if (literal != (*s == '\t')) {
			literal = !literal;
			fputs(literal ? ".PP\n.RS 4\n.EX\n" : ".EE\n.RE\n", f);
		}
		if (n == 0)
			fputs(".PP", f);
		else
			put_text(f, s + literal, n - literal, true);
		putc('\n', f);
		s += n + (s[n] == '\n');
	}
	if (literal)
		fputs(".EE\n.RE\n", f);
}

static void put_options(FILE *f, const struct option_spec *specs)
{
	for (const struct option_spec *s = specs; s && s->name; s++) {
		fputs(".TP\n", f);
		if (s->letter)
			fprintf(f, "\\fB\\-%c\\fR, ", s->letter);
		fputs("\\fB\\-\\-", f);
		put_text(f, s->name, strlen(s->name), false);
		fputs("\\fR", f);
		if (s->argument) {
			fputs(" \\fI", f);
			put_text(f, s->argument, strlen(s->argument), false);
			fputs("\\fR", f);
		}
		putc('\n', f);
		put(f, s->help);
		fputs(".\n", f);
	}
}

static void put_title(FILE *f, const char *name)
{
	fputs(".TH ", f);
	for (; *name; name++)
		putc(toupper((unsigned char)*name), f);
	fputs(" 1 \"\" \"" PACKAGE_STRING "\" \"podckpt\"\n", f);
}

static void put_exit_codes(FILE *f)
{
	static const struct {
		int code;
		const char *text;
	} codes[] = {
#define EXIT_CODE_TEXT(name, code, text) { code, text },
		EXIT_CODES(EXIT_CODE_TEXT)
#undef EXIT_CODE_TEXT
	};

	fputs(".SH EXIT STATUS\n"
	      "\\fBrun\\fR, \\fBexec\\fR, \\fBattach\\fR and a \\fBrestore\\fR that stays in the foreground "
	      "return the exit code of the program (128 + n when signal n ended it).\n"
	      "With \\fB\\-d\\fR, \\fBrun\\fR returns the codes below.\n", f);
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		fprintf(f, ".TP\n%d\n", codes[i].code);
		put(f, codes[i].text);
		fputs(".\n", f);
	}
}

static void man_command(FILE *f, const struct command *command)
{
	char title[64];

	snprintf(title, sizeof(title), "podckpt-%s", command->name);
	put_title(f, title);
	fprintf(f, ".SH NAME\npodckpt\\-%s \\- ", command->name);
	put(f, command->help);
	fprintf(f, "\n.SH SYNOPSIS\n\\fBpodckpt %s\\fR", command->name);
	if (command->options)
		fputs(" [\\fIOPTION\\fR]...", f);
	if (*command->arguments)
		fputs(" \\fI", f);
	put_text(f, command->arguments, strlen(command->arguments), false);
	fputs("\\fR\n.SH DESCRIPTION\n", f);
	put_description(f, command->description);
	if (command->options) {
		fputs(".SH OPTIONS\n", f);
		put_options(f, command->options);
	}
	if (command->examples)
		fputs(".SH EXAMPLES\n", f);
	for (const char *s = command->examples; s && *s;) {
		size_t line = strcspn(s, "\n"), left = strcspn(s, "\t");

		fputs(".TP\n\\fB", f);
		put_text(f, s, left, false);
		fputs("\\fR\n", f);
		put_text(f, s + left + 1, line - left - 1, true);
		fputs(".\n", f);
		s += line + (s[line] == '\n');
	}
	fputs(".SH EXIT STATUS\nSee \\fBpodckpt\\fR(1).\n.SH SEE ALSO\n\\fBpodckpt\\fR(1)\n", f);
}

static void man_overview(FILE *f)
{
	const struct command *const *c;

	put_title(f, "podckpt");
	fputs(".SH NAME\npodckpt \\- run a pod, freeze it into one file, bring it back\n"
	      ".SH SYNOPSIS\n\\fBpodckpt\\fR [\\fIOPTION\\fR]... \\fICOMMAND\\fR "
	      "[\\fIARGUMENT\\fR]...\n.SH DESCRIPTION\n"
	      "A pod is a group of processes with its own PIDs, IP address, file tree, IPC, host name "
	      "and clocks.\nA checkpoint writes all of it (processes, memory, open files, sockets, "
	      "timers, files) to one tar file; a restore brings the same pod back, with the same PIDs "
	      "and the same address.\nPrograms are not changed, relinked or preloaded.\n"
	      "What a checkpoint does not carry it refuses by name before the pod is touched.\n"
	      ".SH COMMANDS\n", f);
	for (c = commands; *c; c++) {
		if ((*c)->hidden)
			continue;
		fprintf(f, ".TP\n\\fBpodckpt\\-%s\\fR(1)\n", (*c)->name);
		put(f, (*c)->help);
		fputs(".\n", f);
	}
	fputs(".SH OPTIONS\nThese stand before the command.\n", f);
	put_options(f, global_options);
	put_exit_codes(f);
	fputs(".SH ENVIRONMENT\n.TP\n\\fBPODCKPT_ROOT\\fR\n"
	      "The directory that holds the pods; several installations live side by side with one each.\n"
	      ".SH FILES\n.TP\n\\fI/var/lib/podckpt\\fR\nThe pods, unless told otherwise.\n"
	      ".SH SEE ALSO\n", f);
	for (c = commands; *c; c++)
		if (!(*c)->hidden)
			fprintf(f, "\\fBpodckpt\\-%s\\fR(1)%s\n", (*c)->name, c[1] && !c[1]->hidden ? "," : "");
}

void man_print(FILE *f, const struct command *command)
{
	if (command)
		man_command(f, command);
	else
		man_overview(f);
}
