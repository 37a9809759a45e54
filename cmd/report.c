// SPDX-License-Identifier: Apache-2.0
/* What went wrong, on stderr, and its exit code. */
#include "cmd/command.h"

#include <stdarg.h>
#include <string.h>

int exit_code_of(int error)
{
	static const struct {
		int error;
		enum exit_code code;
	} codes[] = {
		{ -EINVAL, PODCKPT_USAGE },	  { -ENOENT, PODCKPT_NO_POD },
		{ -EOPNOTSUPP, PODCKPT_NOT_CARRIED }, { -ENOSYS, PODCKPT_HOST },
		{ -EBADMSG, PODCKPT_IMAGE },	  { -EPROTONOSUPPORT, PODCKPT_IMAGE },
		{ -EUCLEAN, PODCKPT_VERIFY },	  { -EEXIST, PODCKPT_TAKEN },
		{ -EADDRINUSE, PODCKPT_TAKEN },	  { -EBUSY, PODCKPT_BUSY },
		{ -EPERM, PODCKPT_NOT_ROOT },	  { -EKEYREJECTED, PODCKPT_GRANT },
	};

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (codes[i].error == error)
			return codes[i].code;
	return PODCKPT_FAILURE;
}

/* "podckpt: COMMAND OBJECT: " before every line: findings can be picked apart by line. */
static void print_lines(const struct context *context, const char *object, const char *text)
{
	size_t n;

	do {
		n = strcspn(text, "\n");
		fputs("podckpt: ", stderr);
		if (context->command) {
			fputs(context->command->name, stderr);
			if (object)
				fprintf(stderr, " %s", object);
			fputs(": ", stderr);
		}
		fprintf(stderr, "%.*s\n", (int)n, text);
		text += n + (text[n] == '\n');
	} while (*text);
}

int report(const struct context *context, const char *object, const struct ct_error *err)
{
	print_lines(context, object, err->text[0] ? err->text : strerror(-err->code));
	return exit_code_of(err->code);
}

int report_text(const struct context *context, int exit_code, const char *format, ...)
{
	char text[2048];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	print_lines(context, NULL, text);
	return exit_code;
}

int context_open(struct context *context)
{
	struct ct_error err = { 0 };

	if (geteuid() != 0)
		return report_text(context, PODCKPT_NOT_ROOT,
				   "not root: pods are made of namespaces and cgroups; try sudo");
	if (ct_open(context->root, &context->ct, &err) < 0) {
		int code = report(context, NULL, &err);

		return code == PODCKPT_NO_POD ? PODCKPT_FAILURE : code;
	}
	return 0;
}
