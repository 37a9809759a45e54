// SPDX-License-Identifier: Apache-2.0
#include "cmd/command.h"

#include <signal.h>

struct kill_options {
	int sig;
};

static const struct option_spec kill_specs[] = {
	{ "signal", 's', "SIGNAL", "signal to send, by name or number (default: KILL)", set_signal,
	  offsetof(struct kill_options, sig), COMPLETE_SIGNAL },
	{ 0 },
};

static int kill_run(struct context *context, void *options, int argc, char **argv)
{
	const struct kill_options *o = options;
	int code = context_open(context);

	if (code)
		return code;
	for (int i = 0; i < argc; i++) {
		struct ct_error err = { 0 };
		int failed = 0;

		if (ct_kill(context->ct, argv[i], o->sig ? o->sig : SIGKILL, &err) < 0)
			failed = report(context, argv[i], &err);
		code = code ? code : failed;
	}
	return code;
}

const struct command command_kill = {
	.name = "kill",
	.arguments = "POD...",
	.help = "send a signal to a pod's command",
	.description = "Sends a signal to the command of each pod. The other processes of the pod get what the\n"
		       "command makes of it; podckpt stop and podckpt rm -f end all of them. CONT sets all stopped\n"
		       "processes of the pod going.",
	.examples = "podckpt kill -s HUP pod1\tHave a server read its configuration again",
	.options = kill_specs,
	.options_size = sizeof(struct kill_options),
	.min_arguments = 1,
	.max_arguments = -1u,
	.complete = COMPLETE_POD,
	.run = kill_run,
};
