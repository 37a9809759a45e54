// SPDX-License-Identifier: Apache-2.0
#include "cmd/command.h"

#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#include "cmd/output.h"

struct compression {
	enum ct_compress method;
	uint64_t level;
};

struct checkpoint_options {
	bool leave_running, dry_run, stats;
	const char *output;
	struct compression compress;
};

static const char *set_compress(const struct option_spec *spec, const char *value, void *field)
{
	struct compression *c = field;

	c->level = 0;
	if (!strcmp(value, "none")) {
		c->method = CT_COMPRESS_NONE;
	} else if (!strcmp(value, "lz4")) {
		c->method = CT_COMPRESS_LZ4;
	} else if (!strncmp(value, "zstd", 4) && (!value[4] || value[4] == ':')) {
		c->method = CT_COMPRESS_ZSTD;
		if (value[4] && (set_count(spec, value + 5, &c->level) || c->level > 19))
			return "the level of zstd is 1 to 19";
	} else {
		return "not none, lz4, zstd or zstd:LEVEL";
	}
	return NULL;
}

#define OPTION(field) offsetof(struct checkpoint_options, field)
static const struct option_spec checkpoint_specs[] = {
	{ "leave-running", 'R', NULL, "let the pod run on afterwards (default: it ends)", set_flag,
	  OPTION(leave_running) },
	{ "output", 'o', "FILE", "image file (default: POD.tar), or directory for several; - is standard output",
	  set_string, OPTION(output), COMPLETE_FILE },
	{ "compress", 0, "METHOD", "none (default), lz4, zstd or zstd:LEVEL", set_compress,
	  OPTION(compress) },
	{ "dry-run", 'n', NULL, "only tell whether the pod can be carried", set_flag,
	  OPTION(dry_run) },
	{ "stats", 0, NULL, "print times and sizes as JSON", set_flag, OPTION(stats) },
	{ 0 },
};
#undef OPTION

/* What people want to know, on stderr; stdout is for the name of the image or the image itself. */
static void summary(const struct context *context, const char *pod, const struct ct_stats *stats)
{
	char size[32];

	if (context->quiet || (!context->verbose && !isatty(STDERR_FILENO)))
		return;
	fprintf(stderr,
		"podckpt: checkpoint %s: %" PRIu64 " processes, %s, frozen for %" PRIu64 " ms\n", pod,
		stats->n_processes, bytes_text(stats->image_bytes, size), stats->frozen_time / 1000);
}

/* The pods that the command is about, and where each goes. */
struct set {
	char *const *pods;
	char **paths;
	size_t n;
	bool to_stdout;
	struct ct_stats *stats;
};

static void set_release(struct set *set)
{
	for (size_t i = 0; set->paths && i < set->n; i++)
		free(set->paths[i]);
	free(set->paths);
	free(set->stats);
}

static void tell(const struct context *context, const struct checkpoint_options *o, const struct set *set)
{
	const char *const *pods = (const char *const *)set->pods;

	if (o->stats)
		stats_print(set->to_stdout ? stderr : stdout, set->stats, set->n > 1 ? pods : NULL, set->n);
	for (size_t i = 0; i < set->n && !o->stats && !o->dry_run; i++) {
		if (!set->to_stdout && !context->quiet)
			puts(set->paths[i]);
		summary(context, pods[i], &set->stats[i]);
	}
}

static int checkpoint(struct context *context, const struct checkpoint_options *o, const struct set *set)
{
	const char *const *pods = (const char *const *)set->pods;
	CT_OPTIONS(ct_checkpoint_options, ct_options);
	struct ct_error err = { 0 };
	int r;

	ct_options.fd = STDOUT_FILENO;
	ct_options.path = set->to_stdout ? NULL : set->paths[0];
	ct_options.leave_running = o->leave_running;
	ct_options.dry_run = o->dry_run;
	ct_options.compress = o->compress.method;
	ct_options.compress_level = o->compress.level;
	/* A reader that goes away is an error to be told, not an end halfway. */
	signal(SIGPIPE, SIG_IGN);
	if (set->n > 1)
		r = ct_checkpoint_set(context->ct, pods, (const char *const *)set->paths, set->n,
				      &ct_options, set->stats, &err);
	else
		r = ct_checkpoint(context->ct, pods[0], &ct_options, set->stats, &err);
	if (r < 0)
		return report(context, set->n > 1 ? NULL : pods[0], &err);
	context->done = o->dry_run ? NULL : set->n > 1 ? "the images are written" : "the image is written";
	tell(context, o, set);
	return 0;
}

/* One pod goes to the file that -o names, several into the directory. */
static char *path_of(const struct checkpoint_options *o, const struct set *set, const char *pod)
{
	const char *dir = o->output ? o->output : "";
	char *path;

	if (o->output && set->n == 1)
		return strdup(o->output);
	if (asprintf(&path, "%s%s%s.tar", dir, *dir && dir[strlen(dir) - 1] != '/' ? "/" : "", pod) < 0)
		return NULL;
	return path;
}

static int check_output(struct context *context, const struct checkpoint_options *o, const struct set *set)
{
	struct stat st;

	if (set->to_stdout && set->n > 1)
		return report_text(context, PODCKPT_USAGE,
				   "standard output has room for one image; name a directory with -o");
	if (set->to_stdout && !o->dry_run && isatty(STDOUT_FILENO))
		return report_text(context, PODCKPT_USAGE,
				   "an image is not written to a terminal; name a file with -o");
	if (o->output && !*o->output)
		return report_text(context, PODCKPT_USAGE, "--output: no file name");
	if (o->output && set->n > 1 && !stat(o->output, &st) && !S_ISDIR(st.st_mode))
		return report_text(context, PODCKPT_USAGE,
				   "'%s' is not a directory, which several images need", o->output);
	return 0;
}

static int checkpoint_run(struct context *context, void *options, int argc, char **argv)
{
	const struct checkpoint_options *o = options;
	__cleanup(set_release) struct set set = { .pods = argv, .n = (size_t)argc };
	int code;

	set.to_stdout = o->output && !strcmp(o->output, "-");
	code = check_output(context, o, &set);
	if (code)
		return code;
	set.paths = calloc(set.n, sizeof(*set.paths));
	set.stats = calloc(set.n, sizeof(*set.stats));
	for (size_t i = 0; set.paths && i < set.n; i++) {
		set.paths[i] = path_of(o, &set, argv[i]);
		if (!set.paths[i])
			free(take_ptr(set.paths));
	}
	if (!set.paths || !set.stats)
		return report_text(context, PODCKPT_FAILURE, "out of memory");
	code = context_open(context);
	return code ? code : checkpoint(context, o, &set);
}

const struct command command_checkpoint = {
	.name = "checkpoint",
	.arguments = "POD...",
	.help = "freeze running pods into image files",
	.description =
		"Writes the pod (processes, memory, open files, sockets, timers, the files it wrote) to\n"
		"POD.tar in the current directory and ends it; with -R it runs on.\n"
		"\n"
		"Before the pod is touched, everything it holds is looked at. If something cannot be\n"
		"carried, all findings are printed, one a line, the exit code is 4 and the pod runs on.\n"
		"--dry-run does only that.\n"
		"\n"
		"The file appears under its name when it is whole and on disk; whatever goes wrong\n"
		"before, the pod runs on and no file is left. With -o - the image goes to standard\n"
		"output as it is made.\n"
		"\n"
		"Several pods are stopped together, before the first of them is read, so that what they have\n"
		"to do with one another (connections, files on a shared volume) is in one state. Each goes to\n"
		"its POD.tar, in the directory of -o if that is given, and is marked as one of the set:\n"
		"podckpt restore wants all of them. If one cannot be carried or its image not be written,\n"
		"all pods run on and there is none of the images.\n"
		"\n"
		"--stats prints one JSON object with \"version\" 1: freezing_time, frozen_time, memdump_time\n"
		"and memwrite_time in microseconds, and what the image holds. It goes to standard output,\n"
		"with -o - to standard error. For several pods it is an array of such objects, each with\n"
		"the \"pod\".\n"
		"\n"
		"An image holds everything the programs had in memory, passwords and keys too; it is\n"
		"readable for its owner only.",
	.examples = "podckpt checkpoint pod1\tWrite pod1.tar and end the pod\n"
		    "podckpt checkpoint -o /backup/ web db\tStop two pods together: /backup/web.tar, /backup/db.tar\n"
		    "podckpt checkpoint -R -o /backup/pod1.tar pod1\tKeep a copy of a pod that runs on\n"
		    "podckpt checkpoint --compress zstd -o - pod1 | ssh b podckpt restore -d -\tMove it to host b",
	.options = checkpoint_specs,
	.options_size = sizeof(struct checkpoint_options),
	.min_arguments = 1,
	.max_arguments = -1u,
	.complete = COMPLETE_POD,
	.run = checkpoint_run,
};
