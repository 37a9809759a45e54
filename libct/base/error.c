/* SPDX-License-Identifier: Apache-2.0 */
#include "libct/base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/*
 * Names of files, programs and whatever an image says stand in these texts. None of them may make a line
 * of its own, or tell a terminal what to do.
 */
void error_plain(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 127)
			*text = '?';
}

int error_set(struct ct_error *err, int code, const char *format, ...)
{
	va_list ap;

	if (!err)
		return code;
	err->code = code;
	va_start(ap, format);
	vsnprintf(err->text, sizeof(err->text), format, ap);
	va_end(ap);
	error_plain(err->text);
	return code;
}

int error_lines(struct ct_error *err, int code, const char *lines)
{
	if (!err)
		return code;
	err->code = code;
	snprintf(err->text, sizeof(err->text), "%s", lines);
	return code;
}

int error_errno(struct ct_error *err, int code, const char *format, ...)
{
	va_list ap;
	size_t n;

	if (!err)
		return code;
	err->code = code;
	va_start(ap, format);
	vsnprintf(err->text, sizeof(err->text), format, ap);
	va_end(ap);
	error_plain(err->text);
	n = strlen(err->text);
	snprintf(err->text + n, sizeof(err->text) - n, ": %s", strerror(-code));
	return code;
}

int error_prefix(struct ct_error *err, int code, const char *format, ...)
{
	char old[sizeof(err->text)], prefix[256];
	const char *line = old;
	va_list ap;
	size_t n = 0;

	if (!err)
		return code;
	err->code = code;
	memcpy(old, err->text, sizeof(old));
	va_start(ap, format);
	vsnprintf(prefix, sizeof(prefix), format, ap);
	va_end(ap);
	error_plain(prefix);
	/* Several findings are several lines, and each is to be understood alone. */
	while (n < sizeof(err->text)) {
		const char *end = strchrnul(line, '\n');

		n += (size_t)snprintf(err->text + n, sizeof(err->text) - n, "%s%s: %.*s",
				      n ? "\n" : "", prefix, (int)(end - line), line);
		if (!*end)
			break;
		line = end + 1;
	}
	return code;
}

int error_add(struct ct_error *err, const struct ct_error *more)
{
	size_t n = strlen(err->text);

	err->code = more->code;
	snprintf(err->text + n, sizeof(err->text) - n, "%s%s", n ? "\n" : "", more->text);
	return more->code;
}
