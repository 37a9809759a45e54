/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The smallest test frame: CHECK() counts and goes on, UNIT_DONE() at the end of main() prints the
 * plan and gives the exit status. The output is TAP.
 */
#pragma once
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int unit_count, unit_failed;

static inline bool unit_check(bool ok, const char *name, const char *file, int line)
{
	printf("%sok %d - %s\n", ok ? "" : "not ", ++unit_count, name);
	fflush(stdout); /* before a fork would have it printed twice */
	if (!ok) {
		unit_failed++;
		printf("# at %s:%d\n", file, line);
		fflush(stdout);
	}
	return ok;
}

static inline void unit_check_str(const char *a, const char *b, const char *name, const char *file,
				  int line)
{
	if (!unit_check(a && b && !strcmp(a, b), name, file, line))
		printf("# got      \"%s\"\n# expected \"%s\"\n", a ? a : "(null)", b ? b : "(null)");
}

#define CHECK(name, condition) unit_check((condition), (name), __FILE__, __LINE__)
#define CHECK_STR(name, got, expected) unit_check_str((got), (expected), (name), __FILE__, __LINE__)

/* For what the rest of a test stands on. */
#define REQUIRE(name, condition)                                                                   \
	do {                                                                                       \
		if (!CHECK(name, condition))                                                       \
			exit(1);                                                                   \
	} while (0)

static inline int unit_done(void)
{
	printf("1..%d\n", unit_count);
	return unit_failed ? 1 : 0;
}

#define UNIT_DONE() unit_done()
