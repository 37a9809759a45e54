// SPDX-License-Identifier: Apache-2.0
#include "cmd/command.h"

#include <string.h>

#include "cmd/output.h"

struct check_options {
	bool kinds;
	int format;
};

enum { FORMAT_TABLE, FORMAT_JSON, FORMAT_MARKDOWN };

#define OPTION(field) offsetof(struct check_options, field)
static const struct option_spec check_specs[] = {
	{ "kinds", 0, NULL, "list what a checkpoint carries and refuses instead", set_flag,
	  OPTION(kinds) },
	{ "format", 0, "FORMAT", "table (default), json, or with --kinds markdown", set_choice,
	  OPTION(format), COMPLETE_WORDS, "table json markdown" },
	{ 0 },
};
#undef OPTION

static int features_table(const struct ct_feature *features, size_t n)
{
	struct table table;
	int r;

	table_init(&table, 3);
	table_add(&table, "FEATURE");
	table_add(&table, "HERE");
	table_add(&table, "WITHOUT IT");
	for (size_t i = 0; i < n; i++) {
		const struct ct_feature *f = &features[i];

		table_add(&table, "%s", f->name);
		table_add(&table, f->present ? "yes" : f->core ? "NO" : "no");
		table_add(&table, "%s%s%s%s", f->cost, *f->detail ? " (" : "", f->detail,
			  *f->detail ? ")" : "");
	}
	r = table_print(&table, stdout);
	table_release(&table);
	return r;
}

static void features_json(const struct ct_feature *features, size_t n, bool works)
{
	printf("{\n  \"version\": 1,\n  \"works\": %s,\n  \"features\": [", works ? "true" : "false");
	for (size_t i = 0; i < n; i++) {
		const struct ct_feature *f = &features[i];

		printf("%s\n    {\"name\": ", i ? "," : "");
		json_string(stdout, f->name);
		printf(", \"present\": %s, \"core\": %s, \"cost\": ", f->present ? "true" : "false",
		       f->core ? "true" : "false");
		json_string(stdout, f->cost);
		fputs(", \"detail\": ", stdout);
		json_string(stdout, f->detail);
		putchar('}');
	}
	puts("\n  ]\n}");
}

static int check_host(const struct context *context, int format)
{
	cleanup_free struct ct_feature *features = NULL;
	struct ct_error err = { 0 };
	bool works = true;
	ssize_t n;
	int r = 0;

	n = ct_check(&features, &err);
	if (n < 0)
		return report(context, NULL, &err);
	for (ssize_t i = 0; i < n; i++)
		works = works && (features[i].present || !features[i].core);
	if (format == FORMAT_JSON)
		features_json(features, n, works);
	else
		r = features_table(features, n);
	if (r < 0)
		return report_text(context, PODCKPT_FAILURE, "%s", strerror(-r));
	if (!works)
		return report_text(context, PODCKPT_HOST,
				   "what is marked NO above is needed for anything to work");
	return 0;
}

static int kinds_table(void)
{
	struct ct_kind_info kind;
	struct table table;
	int r;

	table_init(&table, 3);
	table_add(&table, "KIND");
	table_add(&table, "CARRIED");
	table_add(&table, "REFUSED");
	for (size_t i = 0; ct_kind_info(i, &kind); i++) {
		table_add(&table, "%s", kind.name);
		table_add(&table, "%s", kind.carries);
		table_add(&table, "%s", kind.refuses ? kind.refuses : "-");
	}
	r = table_print(&table, stdout);
	table_release(&table);
	return r;
}

static void kinds_markdown(void)
{
	struct ct_kind_info kind;

	puts("| kind | carried | refused |\n|---|---|---|");
	for (size_t i = 0; ct_kind_info(i, &kind); i++)
		printf("| %s | %s | %s |\n", kind.name, kind.carries, kind.refuses ? kind.refuses : "");
}

static void kinds_json(void)
{
	struct ct_kind_info kind;

	fputs("{\n  \"version\": 1,\n  \"kinds\": [", stdout);
	for (size_t i = 0; ct_kind_info(i, &kind); i++) {
		printf("%s\n    {\"name\": ", i ? "," : "");
		json_string(stdout, kind.name);
		fputs(", \"carries\": ", stdout);
		json_string(stdout, kind.carries);
		fputs(", \"refuses\": ", stdout);
		json_string(stdout, kind.refuses);
		fputs(", \"victims\": ", stdout);
		json_string(stdout, kind.victims);
		putchar('}');
	}
	puts("\n  ]\n}");
}

static int check_run(struct context *context, void *options, int argc, char **argv)
{
	const struct check_options *o = options;
	int r = 0;

	if (!o->kinds && o->format == FORMAT_MARKDOWN)
		return report_text(context, PODCKPT_USAGE, "--format markdown goes with --kinds only");
	if (!o->kinds)
		return check_host(context, o->format);
	if (o->format == FORMAT_JSON)
		kinds_json();
	else if (o->format == FORMAT_MARKDOWN)
		kinds_markdown();
	else
		r = kinds_table();
	return r < 0 ? report_text(context, PODCKPT_FAILURE, "%s", strerror(-r)) : 0;
}

const struct command command_check = {
	.name = "check",
	.arguments = "",
	.help = "tell what this host can do",
	.description = "Tries every feature of the kernel that podckpt uses and prints which are there and what\n"
		       "the lack of the others costs. The exit code is 5 when something is missing without\n"
		       "which nothing works.\n"
		       "\n"
		       "With --kinds it lists the kinds of objects that a checkpoint carries, and what of them it\n"
		       "refuses.",
	.options = check_specs,
	.options_size = sizeof(struct check_options),
	.run = check_run,
};
