// SPDX-License-Identifier: Apache-2.0
#include "cmd/command.h"

#include "cmd/pod-options.h"

struct exec_options {
	const char *workdir, *user;
	struct string_list env, env_file;
	bool interactive, tty;
};

#define OPTION(field) offsetof(struct exec_options, field)
static const struct option_spec exec_specs[] = {
	{ "interactive", 'i', NULL, "pass standard input on", set_flag, OPTION(interactive) },
	{ "tty", 't', NULL, "run the command on a terminal of its own", set_flag, OPTION(tty) },
	{ "env", 'e', "NAME[=VALUE]", "set a variable, or pass the caller's", set_list, OPTION(env) },
	{ "env-file", 0, "FILE", "read such settings from a file, one a line", set_list,
	  OPTION(env_file), COMPLETE_FILE },
	{ "workdir", 'w', "DIR", "directory in the pod to start in", set_string, OPTION(workdir),
	  COMPLETE_DIRECTORY },
	{ "user", 'u', "USER[:GROUP]", "user to run as, looked up in the pod", set_string,
	  OPTION(user) },
	{ 0 },
};
#undef OPTION

static int make_environment(const struct context *context, const struct exec_options *o,
			    struct environment *env)
{
	int r = 0;

	if (o->tty && getenv("TERM"))
		r = environment_set(env, "TERM");
	for (size_t i = 0; i < o->env_file.n; i++)
		if (environment_file(context, env, o->env_file.v[i]))
			return -1;
	for (size_t i = 0; r == 0 && i < o->env.n; i++)
		r = environment_set(env, o->env.v[i]);
	if (r < 0)
		report_text(context, PODCKPT_FAILURE, "out of memory");
	return r;
}

static int exec_run(struct context *context, void *options, int argc, char **argv)
{
	CT_OPTIONS(ct_exec_options, ct_options);
	const struct exec_options *o = options;
	struct environment env = { 0 };
	struct ct_error err = { 0 };
	int r;

	if (context_open(context) || make_environment(context, o, &env) < 0) {
		environment_release(&env);
		return PODCKPT_SELF;
	}
	ct_options.command = (const char *const *)argv + 1;
	ct_options.env = (const char *const *)env.v;
	ct_options.workdir = o->workdir;
	ct_options.user = o->user;
	ct_options.tty = o->tty;
	ct_options.interactive = o->interactive;
	r = ct_exec(context->ct, argv[0], &ct_options, &err);
	environment_release(&env);
	return r < 0 ? program_failed(context, argv[0], false, &err) : r;
}

const struct command command_exec = {
	.name = "exec",
	.arguments = "POD [--] COMMAND [ARGUMENT]...",
	.help = "run a further command in a running pod",
	.description = "Runs COMMAND inside the pod on the caller's standard streams and returns its exit code.\n"
		       "It has the environment of the pod's command, with what -e and --env-file add.",
	.examples = "podckpt exec pod1 -- ps ax\tThe processes, as the pod sees them\n"
		    "podckpt exec -it pod1 -- bash\tA shell inside",
	.options = exec_specs,
	.options_size = sizeof(struct exec_options),
	.min_arguments = 2,
	.max_arguments = -1u,
	.complete = COMPLETE_POD_THEN_COMMAND,
	.program_at = 2,
	.own_code = true,
	.run = exec_run,
};
