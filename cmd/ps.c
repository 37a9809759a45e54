// SPDX-License-Identifier: Apache-2.0
#include "cmd/command.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "cmd/output.h"

struct ps_options {
	int format;
	bool names, all;
};

#define OPTION(field) offsetof(struct ps_options, field)
static const struct option_spec ps_specs[] = {
	{ "format", 0, "FORMAT", "table (default) or json", set_choice, OPTION(format),
	  COMPLETE_WORDS, "table json" },
	{ "quiet", 'q', NULL, "print names only", set_flag, OPTION(names) },
	{ "all", 'a', NULL, "show ended pods too (they always are)", set_flag, OPTION(all) },
	{ 0 },
};
#undef OPTION

static uint64_t uptime(const struct ct_pod_info *pod)
{
	uint64_t now = time(NULL);

	return pod->pid && now > pod->created ? now - pod->created : 0;
}

static void print_json(const struct ct_pod_info *pods, size_t n)
{
	fputs("{\n  \"version\": 1,\n  \"pods\": [", stdout);
	for (size_t i = 0; i < n; i++) {
		const struct ct_pod_info *p = &pods[i];

		printf("%s\n    {\"name\": ", i ? "," : "");
		json_string(stdout, p->name);
		printf(", \"status\": \"%s\", \"pid\": %d, \"exit_code\": ", ct_status_name(p->status),
		       (int)p->pid);
		if (p->status == CT_EXITED)
			printf("%d", p->exit_code);
		else
			fputs("null", stdout);
		fputs(", \"ip\": ", stdout);
		json_string(stdout, p->ip);
		fputs(", \"ip6\": ", stdout);
		json_string(stdout, p->ip6);
		printf(", \"created\": %" PRIu64 ", \"uptime\": %" PRIu64 ", \"processes\": %zu, "
		       "\"command\": ",
		       p->created, uptime(p), p->n_processes);
		json_string(stdout, p->command);
		putchar('}');
	}
	puts(n ? "\n  ]\n}" : "]\n}");
}

static int print_table(const struct ct_pod_info *pods, size_t n)
{
	struct table table;
	char buf[32];
	int r;

	table_init(&table, 6);
	table_add(&table, "NAME");
	table_add(&table, "STATUS");
	table_add(&table, "PID");
	table_add(&table, "IP");
	table_add(&table, "UPTIME");
	table_add(&table, "COMMAND");
	for (size_t i = 0; i < n; i++) {
		const struct ct_pod_info *p = &pods[i];

		table_add(&table, "%s", p->name);
		if (p->status == CT_EXITED)
			table_add(&table, "exited (%d)", p->exit_code);
		else
			table_add(&table, "%s", ct_status_name(p->status));
		table_add(&table, p->pid ? "%d" : "-", (int)p->pid);
		table_add(&table, "%s", p->ip ? p->ip : "-");
		table_add(&table, "%s", p->pid ? duration_text(uptime(p), buf) : "-");
		table_add(&table, "%s", p->command ? p->command : "-");
	}
	r = table_print(&table, stdout);
	table_release(&table);
	return r;
}

static int ps_run(struct context *context, void *options, int argc, char **argv)
{
	const struct ps_options *o = options;
	struct ct_pod_info *pods = NULL;
	struct ct_error err = { 0 };
	int code, r = 0;
	size_t n = 0;

	code = context_open(context);
	if (code)
		return code;
	if (ct_list(context->ct, &pods, &n, &err) < 0)
		return report(context, NULL, &err);
	if (o->format == 1)
		print_json(pods, n);
	else if (!o->names)
		r = print_table(pods, n);
	for (size_t i = 0; o->format == 0 && o->names && i < n; i++)
		puts(pods[i].name);
	ct_pods_free(pods, n);
	return r < 0 ? report_text(context, PODCKPT_FAILURE, "%s", strerror(-r)) : 0;
}

const struct command command_ps = {
	.name = "ps",
	.arguments = "",
	.help = "list the pods",
	.description = "Lists every pod of this state directory, running or ended: name, status (with the exit\n"
		       "code where it has ended), the host's PID of its PID 1, address, time since it was made\n"
		       "and command.\n"
		       "\n"
		       "With --format json the output is one object with \"version\" 1 and \"pods\", each with name,\n"
		       "status, pid (0 when ended), exit_code (null while it runs), ip and ip6 (null without one),\n"
		       "created (seconds since the epoch), uptime (seconds), processes and command.",
	.examples = "podckpt ps --format json | jq -r '.pods[].name'\tThe names, for a script",
	.options = ps_specs,
	.options_size = sizeof(struct ps_options),
	.run = ps_run,
};
