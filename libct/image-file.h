/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file that appears under its name only when it is whole and on the disk. Until then it has no
 * name at all where the file system can do that (O_TMPFILE, man 2 open), else a temporary one
 * beside it, which a killed program leaves behind and the next one overwrites.
 */
#pragma once
#include <pthread.h>
#include <stdbool.h>

#include "libct/libct.h"

struct image_file {
	int fd, dirfd;
	char *name;	 /* final, in dirfd */
	char *temporary; /* NULL: it has no name yet */
	bool standing;	 /* it has its name */
	bool exchanged;	 /* what had the name before has the temporary one */
	bool closing;	 /* `closer` gives back the room of what had it */
	pthread_t closer;
};
#define IMAGE_FILE_NONE { .fd = -1, .dirfd = -1 }

/* -EACCES, -ENOENT, -EBUSY (another writes it), ... with words. Release with image_file_release() in every case after success. */
int image_file_open(const char *path, struct image_file *ret, struct ct_error *err);
/* Syncs it, which can fail for want of room. */
int image_file_settle(struct image_file *f, struct ct_error *err);
/*
 * Gives it its name (replacing what had it, which may take up room until image_file_release()) and syncs the directory.
 * `revocable`: image_file_revoke() brings back what had it.
 */
int image_file_commit(struct image_file *f, bool revocable, struct ct_error *err);
/* After a commit: it has its name no longer. For one of several, all of which have theirs or none. */
void image_file_revoke(struct image_file *f);
/* Without a commit before: nothing remains. */
void image_file_release(struct image_file *f);
