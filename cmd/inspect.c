// SPDX-License-Identifier: Apache-2.0
#include "cmd/command.h"

#include <string.h>

#include "cmd/output.h"

static bool looks_like_image(const char *what)
{
	size_t n = strlen(what);

	return strchr(what, '/') || !strcmp(what, "-") || (n > 4 && !strcmp(what + n - 4, ".tar"));
}

static int inspect_run(struct context *context, void *options, int argc, char **argv)
{
	cleanup_free char *json = NULL;
	struct ct_error err = { 0 };
	const char *what = argv[0];
	int r, code;

	if (looks_like_image(what)) {
		r = ct_inspect_image(strcmp(what, "-") ? what : "/dev/stdin", &json, &err);
		if (r == -ENOENT) /* of a file: not "no such pod" */
			return report_text(context, PODCKPT_FAILURE, "%s", err.text);
	} else {
		code = context_open(context);
		if (code)
			return code;
		r = ct_inspect(context->ct, what, &json, &err);
	}
	if (r < 0)
		return report(context, what, &err);
	fputs(json, stdout);
	if (*json && json[strlen(json) - 1] != '\n')
		putchar('\n');
	return 0;
}

const struct command command_inspect = {
	.name = "inspect",
	.arguments = "POD|TAR",
	.help = "show what a pod or an image is made of, as JSON",
	.description = "For a pod: its configuration and its state. For an image file (a name with a slash or\n"
		       "with .tar at its end; - is standard input): its manifest. The whole image is read and\n"
		       "every checksum compared first, so a manifest that is printed is that of a whole image.",
	.examples = "podckpt inspect pod1\tThe configuration and state of a pod\n"
		    "podckpt inspect pod1.tar | jq .pod\tWhat an image holds",
	.min_arguments = 1,
	.max_arguments = 1,
	.complete = COMPLETE_POD_OR_FILE,
	.run = inspect_run,
};
