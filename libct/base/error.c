/* SPDX-License-Identifier: Apache-2.0 */
#include "libct/base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int error_set(struct ct_error *err, int code, const char *format, ...)
{
	va_list ap;

	if (!err)
		return code;
	err->code = code;
	va_start(ap, format);
	vsnprintf(err->text, sizeof(err->text), format, ap);
	va_end(ap);
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
	memcpy(old, err->text, sizeof(old));
	va_start(ap, format);
	vsnprintf(prefix, sizeof(prefix), format, ap);
	va_end(ap);
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
