// SPDX-License-Identifier: Apache-2.0
#include "cmd/command.h"

#include "cmd/output.h"

static int wait_run(struct context *context, void *options, int argc, char **argv)
{
	int code = context_open(context);

	if (code)
		return code;
	for (int i = 0; i < argc; i++) {
		struct ct_error err = { 0 };
		int r = ct_wait(context->ct, argv[i], &err);

		if (r >= 0) {
			printf("%d\n", r);
			continue;
		}
		r = report(context, argv[i], &err);
		code = code ? code : r;
	}
	return code;
}

const struct command command_wait = {
	.name = "wait",
	.arguments = "POD...",
	.help = "wait until a pod ends and print its exit code",
	.description = "Waits for each pod in turn and prints the exit code of its command, one a line (128 + n\n"
		       "when signal n ended it).",
	.min_arguments = 1,
	.max_arguments = -1u,
	.complete = COMPLETE_POD,
	.run = wait_run,
};
