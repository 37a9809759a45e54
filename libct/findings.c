/* SPDX-License-Identifier: Apache-2.0 */
#include "libct/findings.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libct/base/cleanup.h"
#include "libct/base/error.h"

static bool is_known(const char *list, const char *line)
{
	size_t len = strlen(line);

	for (const char *at = list; at && (at = strstr(at, line)); at += len)
		if ((at == list || at[-1] == '\n') && (!at[len] || at[len] == '\n'))
			return true;
	return false;
}

void finding_add(char **list, const char *finding)
{
	cleanup_free char *line = strdup(finding);
	size_t old = *list ? strlen(*list) : 0;
	char *grown;

	if (!line)
		return;
	error_plain(line);
	if (is_known(*list, line))
		return;
	grown = realloc(*list, old + strlen(line) + 2);
	if (!grown)
		return;
	*list = grown;
	sprintf(grown + old, "%s%s", old ? "\n" : "", line);
}

void findings_keep(char **list, const char *other)
{
	char *all = *list, *next;

	*list = NULL;
	for (char *line = all; line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		if (is_known(other, line))
			finding_add(list, line);
	}
	free(all);
}
