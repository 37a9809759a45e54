// SPDX-License-Identifier: Apache-2.0
#include "cmd/command.h"

#include <signal.h>
#include <unistd.h>

static int receive_run(struct context *context, void *options, int argc, char **argv)
{
	struct ct_error err = { 0 };
	int code;

	if (isatty(STDIN_FILENO))
		return report_text(context, PODCKPT_USAGE, "this is the other end of podckpt migrate and podckpt restore "
							   "--host, which start it");
	code = context_open(context);
	if (code)
		return code;
	signal(SIGPIPE, SIG_IGN);
	/* What is wrong the other end hears, and tells. */
	return ct_receive(context->ct, STDIN_FILENO, STDOUT_FILENO, &err) < 0 ? exit_code_of(err.code) : 0;
}

const struct command command_receive = {
	.name = "receive",
	.arguments = "",
	.help = "take in a pod that comes from another host",
	.description =
		"Speaks docs/protocol.md on its standard input and output: podckpt migrate and podckpt restore\n"
		"--host start it at the other end of ssh. Nobody has to call it.\n"
		"\n"
		"Whoever may run it as root may have any pod run here.",
	.min_arguments = 0,
	.max_arguments = 0,
	.run = receive_run,
};
