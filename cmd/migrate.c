// SPDX-License-Identifier: Apache-2.0
#include "cmd/command.h"

#include <string.h>

#include "cmd/output.h"
#include "cmd/remote.h"

struct migrate_options {
	struct remote remote;
	struct string_list maps;
	bool verify, stats, resolve;
	int compress;
};

#define OPTION(field) offsetof(struct migrate_options, field)
static const struct option_spec migrate_specs[] = {
	REMOTE_OPTIONS(struct migrate_options, remote),
	{ "volume-map", 0, "HERE:THERE", "a volume's source is another path there", set_list, OPTION(maps) },
	{ "verify", 0, NULL, "compare the pod with its image there before it goes on", set_flag,
	  OPTION(verify) },
	{ "compress", 0, "METHOD", "compress memory on its way", set_choice, OPTION(compress),
	  COMPLETE_WORDS, "none lz4 zstd" },
	{ "stats", 0, NULL, "print times and sizes as JSON", set_flag, OPTION(stats) },
	{ "resolve", 0, NULL, "say what becomes of a pod whose move was not confirmed", set_flag,
	  OPTION(resolve) },
	{ 0 },
};
#undef OPTION

/* A pod that runs on has failed to move; other codes say more. */
static int code_of(int code, const struct ct_error *err)
{
	if (err->code == -EINPROGRESS)
		return PODCKPT_UNDECIDED;
	return code == PODCKPT_FAILURE ? PODCKPT_MIGRATION : code;
}

/* The last of several arguments may be the word: 1; 0, it is a pod; -1, neither. */
static int parse_word(struct context *context, const char *text, enum ct_resolve *ret)
{
	cleanup_free char *pod = NULL;

	if (!strcmp(text, "keep"))
		*ret = CT_RESOLVE_KEEP;
	else if (!strcmp(text, "drop"))
		*ret = CT_RESOLVE_DROP;
	else
		return ct_inspect(context->ct, text, &pod, NULL) < 0 ? -1 : 0;
	return 1;
}

static int resolve(struct context *context, struct migrate_options *o, int argc, char **argv)
{
	struct ct_remote_options remote = remote_begin(&o->remote, context);
	enum ct_resolve what = CT_RESOLVE_ASK;
	int word = argc > 1 ? parse_word(context, argv[argc - 1], &what) : 0;
	int n = argc - word, code = 0;

	if (word < 0)
		return report_text(context, PODCKPT_USAGE, "'%s' is neither keep nor drop", argv[argc - 1]);
	/* What the first becomes is the others' fate, where they left together. */
	for (int i = 0; i < n; i++) {
		struct ct_error err = { 0 };
		bool kept;

		if (ct_migrate_resolve(context->ct, argv[i], what, &remote, &kept, &err) < 0) {
			int own = code_of(report(context, argv[i], &err), &err);

			code = code ? code : own;
		} else if (!context->quiet) {
			printf("%s%s%s\n", n > 1 ? argv[i] : "", n > 1 ? ": " : "",
			       kept ? "it runs on here" : "it was removed here");
		}
	}
	return code;
}

/* "HERE:THERE" each; the strings stay argv's, cut at the colon. */
static int parse_maps(struct context *context, const struct string_list *texts, struct ct_volume_map *maps)
{
	for (size_t i = 0; i < texts->n; i++) {
		char *colon = strchr((char *)texts->v[i], ':');

		if (texts->v[i][0] != '/' || !colon || colon[1] != '/')
			return report_text(context, PODCKPT_USAGE,
					   "--volume-map '%s': not two absolute paths with a colon between them",
					   texts->v[i]);
		*colon = '\0';
		maps[i] = (struct ct_volume_map){ texts->v[i], colon + 1 };
	}
	return 0;
}

static int migrate(struct context *context, struct migrate_options *o, size_t n, char *const *pods)
{
	cleanup_free struct ct_volume_map *maps = calloc(o->maps.n + 1, sizeof(*maps));
	struct ct_remote_options remote = remote_begin(&o->remote, context);
	CT_OPTIONS(ct_migrate_options, options);
	struct ct_remote_stats stats = { 0 };
	struct ct_error err = { 0 };
	int r;

	if (!maps)
		return report_text(context, PODCKPT_FAILURE, "out of memory");
	r = parse_maps(context, &o->maps, maps);
	if (r)
		return r;
	options.volumes = maps;
	options.n_volumes = o->maps.n;
	options.verify = o->verify;
	options.compress = (enum ct_compress)o->compress;
	r = ct_migrate_set(context->ct, (const char *const *)pods, n, &options, &remote, &stats, &err);
	remote_end(&o->remote);
	if (r < 0)
		return code_of(report(context, n > 1 ? NULL : pods[0], &err), &err);
	if (o->stats)
		remote_stats_print(stdout, &stats);
	return 0;
}

static int migrate_run(struct context *context, void *options, int argc, char **argv)
{
	struct migrate_options *o = options;
	int code;

	if (!o->resolve && !o->remote.host)
		return report_text(context, PODCKPT_USAGE, "--host is missing: to which host?");
	code = context_open(context);
	if (code)
		return code;
	return o->resolve ? resolve(context, o, argc, argv) : migrate(context, o, (size_t)argc, argv);
}

const struct command command_migrate = {
	.name = "migrate",
	.arguments = "POD... [keep|drop]",
	.help = "move running pods to another host",
	.description =
		"Stops the pod, builds it on the other host, and lets it go on there, with its address. It runs\n"
		"on one of the two hosts only, and whatever goes wrong it runs on here. Several pods are stopped\n"
		"together, and all of them move or none.\n"
		"\n"
		"HOST is anything that ssh understands; podckpt has to be installed there. The pod gets there\n"
		"exactly what it may do here (capabilities, system calls, volumes), so one has to be root there.\n"
		"Before it is stopped the other host says whether it can have it: CPU, kernel, memory, disk,\n"
		"name, address, volumes. All that speaks against it is printed at once. --dry-run stops there.\n"
		"\n"
		"For the address to go on working both hosts' bridges have to be on one Ethernet.\n"
		"\n"
		"If the connection dies after the pod was handed over, and the other host cannot be asked what\n"
		"became of it, the pod stays frozen here (ps shows it as migrating) and the exit code is 13.\n"
		"--resolve asks again. keep lets the pod go on here, drop removes it: say so only when you know\n"
		"that it does not run there, or that it does. Pods that moved together may be named together;\n"
		"what one of them becomes the others have to become, too.",
	.examples = "podckpt migrate pod1 --host b\tMove it to host b\n"
		    "podckpt migrate web db --host b\tMove two pods that talk to one another\n"
		    "podckpt migrate -n pod1 --host b\tWould that work?\n"
		    "podckpt migrate --resolve pod1\tAsk host b what became of it",
	.options = migrate_specs,
	.options_size = sizeof(struct migrate_options),
	.min_arguments = 1,
	.max_arguments = -1u,
	.complete = COMPLETE_POD,
	.run = migrate_run,
};
