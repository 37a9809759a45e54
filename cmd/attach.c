// SPDX-License-Identifier: Apache-2.0
#include "cmd/command.h"

struct attach_options {
	bool replay;
};

static const struct option_spec attach_specs[] = {
	{ "replay", 0, NULL, "print the output so far first", set_flag,
	  offsetof(struct attach_options, replay) },
	{ 0 },
};

static int attach_run(struct context *context, void *options, int argc, char **argv)
{
	const struct attach_options *o = options;
	struct ct_error err = { 0 };
	bool detached = false;
	int r;

	if (context_open(context))
		return PODCKPT_SELF;
	r = ct_attach(context->ct, argv[0], o->replay, &detached, &err);
	if (r < 0) {
		report(context, argv[0], &err);
		return PODCKPT_SELF;
	}
	return detached ? 0 : r;
}

const struct command command_attach = {
	.name = "attach",
	.arguments = "POD",
	.help = "connect to a pod's standard streams",
	.description = "Connects the caller's standard streams to those of the pod until it ends, passes on\n"
		       "signals, and returns its exit code. On a terminal, ctrl-p ctrl-q leaves the pod\n"
		       "running; the exit code is 0 then.",
	.options = attach_specs,
	.options_size = sizeof(struct attach_options),
	.min_arguments = 1,
	.max_arguments = 1,
	.complete = COMPLETE_POD,
	.own_code = true,
	.run = attach_run,
};
