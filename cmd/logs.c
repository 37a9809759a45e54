// SPDX-License-Identifier: Apache-2.0
#include "cmd/command.h"

struct logs_options {
	bool follow;
};

static const struct option_spec logs_specs[] = {
	{ "follow", 'f', NULL, "go on until the pod ends", set_flag,
	  offsetof(struct logs_options, follow) },
	{ 0 },
};

static int logs_run(struct context *context, void *options, int argc, char **argv)
{
	const struct logs_options *o = options;
	struct ct_error err = { 0 };
	int code;

	code = context_open(context);
	if (code)
		return code;
	if (ct_logs(context->ct, argv[0], o->follow, STDOUT_FILENO, &err) < 0)
		return report(context, argv[0], &err);
	return 0;
}

const struct command command_logs = {
	.name = "logs",
	.arguments = "POD",
	.help = "print a pod's output",
	.description = "Prints what the pod has written to its standard output and standard error so far, also\n"
		       "what it wrote before a checkpoint.",
	.options = logs_specs,
	.options_size = sizeof(struct logs_options),
	.min_arguments = 1,
	.max_arguments = 1,
	.complete = COMPLETE_POD,
	.run = logs_run,
};
