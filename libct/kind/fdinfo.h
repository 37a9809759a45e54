/* SPDX-License-Identifier: Apache-2.0 */
/* Fields of /proc/PID/fdinfo/FD: man 5 proc_pid_fdinfo. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* The number behind "KEY:" at the beginning of a line; false: no such line. */
static inline bool fdinfo_get(const char *text, const char *key, int base, uint64_t *ret)
{
	size_t len = strlen(key);

	for (const char *at = text; at; at = strchr(at, '\n')) {
		at += *at == '\n';
		if (strncmp(at, key, len) || at[len] != ':')
			continue;
		*ret = strtoull(at + len + 1, NULL, base);
		return true;
	}
	return false;
}

/* Descriptions of anonymous inodes are told apart by what readlink(2) of /proc/PID/fd/FD says. */
static inline bool fdinfo_is(const char *link, const char *name)
{
	return !strncmp(link, "anon_inode:", 11) && !strcmp(link + 11, name);
}
