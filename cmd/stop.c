// SPDX-License-Identifier: Apache-2.0
#include "cmd/command.h"

#include <limits.h>

struct stop_options {
	const char *time; /* as given; NULL: the default */
};

static const char *set_time(const struct option_spec *spec, const char *value, void *field)
{
	uint64_t seconds;
	const char *wrong = set_number(spec, value, &seconds);

	if (!wrong && seconds > UINT_MAX / 1000)
		wrong = "too long";
	if (!wrong)
		*(const char **)field = value;
	return wrong;
}

static const struct option_spec stop_specs[] = {
	{ "time", 't', "SECONDS", "how long to wait before every process is killed (default: 10)",
	  set_time, offsetof(struct stop_options, time) },
	{ 0 },
};

static int stop_run(struct context *context, void *options, int argc, char **argv)
{
	const struct stop_options *o = options;
	unsigned int ms = o->time ? strtoul(o->time, NULL, 10) * 1000 : 10000;
	int code = context_open(context);

	if (code)
		return code;
	for (int i = 0; i < argc; i++) {
		struct ct_error err = { 0 };
		int failed = 0;

		if (ct_stop(context->ct, argv[i], ms, &err) < 0)
			failed = report(context, argv[i], &err);
		code = code ? code : failed;
	}
	return code;
}

const struct command command_stop = {
	.name = "stop",
	.arguments = "POD...",
	.help = "end a pod",
	.description = "Sends the pod's stop signal (run --stop-signal) to its command, waits, and then kills\n"
		       "every process that is left. The pod stays listed with its exit code and output until\n"
		       "podckpt rm, unless it was run with --rm.",
	.options = stop_specs,
	.options_size = sizeof(struct stop_options),
	.min_arguments = 1,
	.max_arguments = -1u,
	.complete = COMPLETE_POD,
	.run = stop_run,
};
