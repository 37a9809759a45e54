/* SPDX-License-Identifier: Apache-2.0 */
/* libct/base/error.c: findings that have no room are counted, and none is cut. */
#include <errno.h>

#include "libct/base/error.h"
#include "tests/unit/unit.h"

#define MANY 500

static struct ct_error err;

/* Whole lines, and all that are not there are in the last one's number. */
static bool counts(size_t all, const char *prefix)
{
	char text[sizeof(err.text)], expected[64];
	size_t shown = 0, more = 0;

	memcpy(text, err.text, sizeof(text));
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		snprintf(expected, sizeof(expected), "%sfd %zu is not carried", prefix, shown);
		if (more)
			return false;
		if (sscanf(line, "and %zu more", &more) == 1)
			continue;
		if (strcmp(line, expected))
			return false;
		shown++;
	}
	return shown && shown + more == all;
}

static void list(char *to, size_t n)
{
	*to = '\0';
	for (size_t i = 0; i < n; i++)
		to += sprintf(to, "%sfd %zu is not carried", i ? "\n" : "", i);
}

int main(void)
{
	static char lines[MANY * 32], text[sizeof(err.text) + 100];
	struct ct_error other = { 0 };

	list(lines, 3);
	CHECK("the code", error_lines(&err, -EOPNOTSUPP, lines) == -EOPNOTSUPP && err.code == -EOPNOTSUPP);
	CHECK("a few findings", !strcmp(err.text, lines));
	CHECK("... behind a prefix each", error_prefix(&err, -EBUSY, "pod %d", 1) == -EBUSY &&
						  counts(3, "pod 1: ") && !strstr(err.text, "more"));
	list(lines, MANY);
	error_lines(&err, -EOPNOTSUPP, lines);
	CHECK("many findings", counts(MANY, "") && strlen(err.text) > sizeof(err.text) - 100);
	error_prefix(&err, -EOPNOTSUPP, "pid %d", 123);
	CHECK("... behind a prefix each", counts(MANY, "pid 123: ") && strlen(err.text) > sizeof(err.text) - 100);
	error_prefix(&err, -EOPNOTSUPP, "a");
	CHECK("... and another", counts(MANY, "a: pid 123: "));
	error_set(&other, -EIO, "and this");
	error_add(&err, &other);
	CHECK("another record's lines are counted", counts(MANY + 1, "a: pid 123: ") && err.code == -EIO);
	memset(text, 'x', sizeof(text) - 1);
	error_lines(&err, -EIO, text);
	CHECK("one long line is cut", strlen(err.text) == sizeof(err.text) - 1 && !strchr(err.text, '\n'));
	error_set(&err, -EIO, "one");
	error_add(&err, &other);
	CHECK("two records", !strcmp(err.text, "one\nand this"));
	return UNIT_DONE();
}
