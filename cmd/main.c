// SPDX-License-Identifier: Apache-2.0
/* podckpt: global options, then the subcommand. */
#include "cmd/command.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "config.h"

#define OPTION(field) offsetof(struct context, field)
const struct option_spec global_options[] = {
	{ "root", 0, "DIR", "keep pods there (default $PODCKPT_ROOT, then /var/lib/podckpt)", set_string,
	  OPTION(root), COMPLETE_DIRECTORY },
	{ "quiet", 'q', NULL, "print errors only", set_flag, OPTION(quiet) },
	{ "verbose", 'v', NULL, "say more", set_flag, OPTION(verbose) },
	{ "version", 0, NULL, "print the version", set_flag, OPTION(version) },
	{ "help", 'h', NULL, "print this help", set_flag, OPTION(help) },
	{ 0 },
};
#undef OPTION

static int usage_error(const struct context *context, const char *why)
{
	const struct command *command = context->command;

	return report_text(context, command->own_code ? PODCKPT_SELF : PODCKPT_USAGE,
			   "%s; see podckpt %s --help", why, command->name);
}

/* What was printed has arrived; else says why not. */
static int output_finish(const struct context *context)
{
	errno = 0;
	if (fflush(stdout) == 0 && !ferror(stdout))
		return 0;
	return report_text(context, PODCKPT_FAILURE, "%s%sstandard output: %s", context->done ? context->done : "",
			   context->done ? ", but " : "", strerror(errno ? errno : EIO));
}

static int run_command(struct context *context, int argc, char **argv)
{
	const struct command *command = context->command;
	cleanup_free void *options = calloc(1, command->options_size + 1);
	char why[256];
	int n, code = 0;

	if (!options)
		return report_text(context, PODCKPT_FAILURE, "out of memory");
	n = options_parse(command->options, options, argc, argv, command->program_at, why);
	if (n == OPTIONS_HELP)
		usage_print(stdout, command);
	else if (n < 0)
		code = usage_error(context, why);
	else if ((unsigned int)n < command->min_arguments)
		code = usage_error(context, n ? "an argument is missing" : "no argument given");
	else if ((unsigned int)n > command->max_arguments)
		code = usage_error(context, "too many arguments");
	else
		code = command->run(context, options, n, argv);
	n = output_finish(context);
	code = code ? code : n;
	options_release(command->options, options);
	ct_close(context->ct);
	return code;
}

/*
 * A caller may have closed standard streams: the next files that are opened would take their numbers, and an image
 * be written into them. What stands in for them can be read (nothing) and not be written.
 */
static void fill_streams(void)
{
	while (fcntl(STDERR_FILENO, F_GETFD) < 0 || fcntl(STDOUT_FILENO, F_GETFD) < 0 ||
	       fcntl(STDIN_FILENO, F_GETFD) < 0)
		if (open("/dev/null", O_RDONLY) < 0)
			return;
}

int main(int argc, char **argv)
{
	struct context context = { 0 };
	char why[256];
	int n;

	fill_streams();
	n = options_parse(global_options, &context, argc - 1, argv + 1, 1, why);
	if (n < 0)
		return report_text(&context, PODCKPT_USAGE, "%s; see podckpt --help", why);
	argv++;
	if (context.version) {
		puts(PACKAGE_STRING);
		return output_finish(&context);
	}
	if (context.help || n == 0) {
		usage_print(context.help ? stdout : stderr, NULL);
		return context.help ? output_finish(&context) : PODCKPT_USAGE;
	}
	context.command = command_find(argv[0]);
	if (!context.command)
		return report_text(&context, PODCKPT_USAGE, "no such command: '%s'; see podckpt --help",
				   argv[0]);
	return run_command(&context, n - 1, argv + 1);
}
