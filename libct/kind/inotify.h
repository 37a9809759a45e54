/* SPDX-License-Identifier: Apache-2.0 */
/* Files by what fdinfo shows of an inotify watch: an inode, nowhere a name. */
#pragma once
#include <sys/types.h>

#include "libct/kind.h"

struct inotify_watch {
	int wd;
	uint64_t inode;
	unsigned int major, minor; /* of the file system */
	uint32_t mask;
	char handle[300]; /* the rest of the line, "fhandle-bytes:...": tells inodes apart for certain */
	char *path;	  /* in the pod; NULL: not found */
};

/* The lines of fdinfo. The caller frees with inotify_watches_free(). -ENOSYS: another form than we know. */
int inotify_parse(const char *fdinfo, struct inotify_watch **ret, size_t *ret_n);
void inotify_watches_free(struct inotify_watch *list, size_t n);

/*
 * Fills in the paths, by looking where the pod's processes are and then through every directory of the
 * file systems in question, the shallow ones first.
 */
int inotify_find(struct dump *d, struct inotify_watch *list, size_t n, struct ct_error *err);
