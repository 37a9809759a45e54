// SPDX-License-Identifier: Apache-2.0
#include "cmd/command.h"

struct rm_options {
	bool force, all;
};

#define OPTION(field) offsetof(struct rm_options, field)
static const struct option_spec rm_specs[] = {
	{ "force", 'f', NULL, "end the pod first if it runs", set_flag, OPTION(force) },
	{ "all", 'a', NULL, "every pod (without -f: every ended one)", set_flag, OPTION(all) },
	{ 0 },
};
#undef OPTION

static int remove_one(const struct context *context, const char *name, bool force)
{
	struct ct_error err = { 0 };

	return ct_remove(context->ct, name, force, &err) < 0 ? report(context, name, &err) : 0;
}

static int remove_all(const struct context *context, bool force)
{
	struct ct_pod_info *pods = NULL;
	struct ct_error err = { 0 };
	int code = 0, failed;
	size_t n = 0;

	if (ct_list(context->ct, &pods, &n, &err) < 0)
		return report(context, NULL, &err);
	for (size_t i = 0; i < n; i++) {
		if (!force && pods[i].status != CT_EXITED)
			continue;
		failed = remove_one(context, pods[i].name, force);
		code = code ? code : failed;
	}
	ct_pods_free(pods, n);
	return code;
}

static int rm_run(struct context *context, void *options, int argc, char **argv)
{
	const struct rm_options *o = options;
	int code, failed;

	if (o->all ? argc > 0 : argc == 0)
		return report_text(context, PODCKPT_USAGE, "name pods, or give --all; see podckpt rm --help");
	code = context_open(context);
	if (code)
		return code;
	if (o->all)
		return remove_all(context, o->force);
	for (int i = 0; i < argc; i++) {
		failed = remove_one(context, argv[i], o->force);
		code = code ? code : failed;
	}
	return code;
}

const struct command command_rm = {
	.name = "rm",
	.arguments = "POD...",
	.help = "remove a pod",
	.description = "Removes an ended pod: its output, its exit code and the files that it wrote. With -f a\n"
		       "running one is ended first, at once.",
	.options = rm_specs,
	.options_size = sizeof(struct rm_options),
	.max_arguments = -1u,
	.complete = COMPLETE_POD,
	.run = rm_run,
};
