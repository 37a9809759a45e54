/* SPDX-License-Identifier: Apache-2.0 */
#include "libct/base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MORE_ROOM 32 /* for the last line of several, which says how many there are */

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

/*
 * The lines, each behind the prefix: those that have room, whole, and how many more there are. Such a number may be among
 * the lines.
 */
static void set_lines(struct ct_error *err, const char *prefix, const char *lines)
{
	const size_t room = sizeof(err->text);
	size_t n = 0, left = 0, more;

	for (const char *line = lines, *end;; line = end + 1) {
		end = strchrnul(line, '\n');
		if (n && sscanf(line, "and %zu more", &more) == 1)
			left += more;
		else if (left || (n && n + strlen(prefix) + (size_t)(end - line) + MORE_ROOM > room))
			left++;
		else
			n += (size_t)snprintf(err->text + n, room - n, "%s%s%.*s", n ? "\n" : "", prefix,
					      (int)(end - line), line);
		if (!*end || n >= room)
			break;
	}
	if (left)
		snprintf(err->text + n, room - n, "\nand %zu more", left);
}

int error_lines(struct ct_error *err, int code, const char *lines)
{
	if (!err)
		return code;
	err->code = code;
	set_lines(err, "", lines);
	return code;
}

int error_prefix(struct ct_error *err, int code, const char *format, ...)
{
	char old[sizeof(err->text)], prefix[256];
	va_list ap;

	if (!err)
		return code;
	err->code = code;
	memcpy(old, err->text, sizeof(old));
	va_start(ap, format);
	vsnprintf(prefix, sizeof(prefix) - 2, format, ap);
	va_end(ap);
	error_plain(prefix);
	strcat(prefix, ": ");
	/* Several findings are several lines, and each is to be understood alone. */
	set_lines(err, prefix, old);
	return code;
}

int error_add(struct ct_error *err, const struct ct_error *more)
{
	char both[2 * sizeof(err->text)];

	err->code = more->code;
	snprintf(both, sizeof(both), "%s%s%s", err->text, *err->text ? "\n" : "", more->text);
	set_lines(err, "", both);
	return more->code;
}
