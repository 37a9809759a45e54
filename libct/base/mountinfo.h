/* SPDX-License-Identifier: Apache-2.0 */
/* /proc/PID/mountinfo as a table: man 5 proc. */
#pragma once
#include <stddef.h>

#include "libct/base/cleanup.h"

/* Strings are without the file's octal escapes. */
struct mount_entry {
	int id, parent;
	unsigned int major, minor;
	char *root; /* what of the file system is mounted */
	char *at;   /* mount point, as seen from the reader's root */
	char *options; /* of this mount */
	char *type, *source;
	char *super_options; /* of the file system */
};

struct mountinfo {
	struct mount_entry *entries; /* in the kernel's order */
	size_t n;
	char *text; /* holds the strings */
};

/* `path` is "/proc/self/mountinfo" or another process's. -EBADMSG: not of the known form. */
int mountinfo_read(const char *path, struct mountinfo *ret);
int mountinfo_read_at(int dirfd, const char *path, struct mountinfo *ret);
void mountinfo_release(struct mountinfo *info);
#define cleanup_mountinfo __cleanup(mountinfo_release)

/* Is a comma-separated option list holding `word`? */
int mount_option(const char *options, const char *word);
