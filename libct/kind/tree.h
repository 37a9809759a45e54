/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trees of files into the image and out of it: everything that tar's pax format can say, by numbers
 * (owners), to the nanosecond (times), with holes, hard links and extended attributes (ACLs are some).
 *
 * Unix sockets, which tar does not know, are empty files with the attribute TREE_TYPE; no file
 * system can have an attribute of that name. Whiteouts are devices 0:0, as in the upper tree.
 *
 * An image is untrusted: nothing is extracted through a symlink, onto something that is there
 * already, or outside of the directory it goes to.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "libct/libct.h"

struct archive;
struct archive_entry;
struct archive_writer;

#define TREE_TYPE "podckpt.type"
#define TREE_SOCKET "socket"

/* ---- into the image ---- */

struct tree_link {
	dev_t dev;
	ino_t ino;
	char *path;
};

struct tree_pieces;
struct tree_dump {
	struct archive_writer *w;
	struct archive *a;
	struct tree_pieces *pieces; /* entries go there, not to w; NULL: straight into the image */
	bool upper; /* overlay's own attributes are there and stay out, but for "opaque" */
	char *path; /* of the entry under way */
	size_t len, size;
	struct tree_link *links; /* a hash table: files with several names */
	size_t n_links, max_links;
	char *buffer;
};

void tree_dump_release(struct tree_dump *t);

/* A directory and all that is below it on the same file system, as `prefix`. */
int tree_dump(struct tree_dump *t, int dirfd, const char *prefix, struct ct_error *err);
/* One file (`name` below `dirfd`) as `path`. */
int tree_dump_file(struct tree_dump *t, int dirfd, const char *name, const char *path,
		   struct ct_error *err);

/* ---- taken before the pod is stopped: tree-pieces.c ---- */

/* What tells that an inode is as it was. (Its number of names changes with `changed`.) */
struct tree_identity {
	dev_t dev, rdev;
	ino_t ino;
	mode_t mode;
	off_t size;
	struct timespec changed;
};
void tree_identity(const struct stat *st, struct tree_identity *ret);
bool tree_identity_same(const struct tree_identity *a, const struct tree_identity *b);

struct tree_inode {
	dev_t dev;
	ino_t ino;
};

struct tree_piece;
struct archive_stage;
struct archive_piece;

/*
 * While the pod runs (`early`) entries are staged that can be trusted to be found changed if they are: whose
 * inode changed last before `settled`, and that nobody has open for writing (`writers`, ascending). The stopped
 * tree is then put together of those that are the same still, and of the others, taken now.
 */
struct tree_pieces {
	struct archive_stage *stage;
	struct archive *a;
	bool early;
	struct timespec settled;
	const struct tree_inode *writers;
	size_t n_writers;
	bool hidden_writers; /* to files of several names, it is not known which */
	uint64_t left; /* bytes that this pass did not take */
	struct tree_piece *table; /* a hash table by path */
	size_t n_table, max_table;
	struct archive_piece *list; /* of the stopped tree, in order */
	size_t n, max;
	uint64_t size;
};

void tree_pieces_release(struct tree_pieces *p);
/* May what `st` is of be taken early, as far as is known now? */
bool tree_is_settled(const struct tree_pieces *p, const struct stat *st);
/* Of what was taken already and is the same: puts it into the list (unless early) and says true. */
bool tree_piece_use(struct tree_pieces *p, const char *path, const struct stat *st, int *ret);
/* After an entry was staged. */
int tree_piece_add(struct tree_pieces *p, const char *path, const struct stat *st,
		   const struct archive_piece *piece);

/* ---- out of it ---- */

/* Gives the next piece of an entry's data: 1, or 0 at its end. */
typedef int (*tree_data_fn)(void *context, const void **ret, size_t *ret_len, off_t *ret_at,
			    struct ct_error *err);
/* For an entry that was just read from `context`, a struct archive. */
int tree_data_archive(void *context, const void **ret, size_t *ret_len, off_t *ret_at,
		      struct ct_error *err);

struct tree_time {
	char *path;
	struct timespec modified;
};

struct tree_extract {
	int root;	/* the directory */
	bool upper;	/* it is an upper tree: whiteouts and opaque directories are fine */
	bool inside;	/* the caller is inside the pod, and its working directory free to use */
	bool tame;	/* of devices only those that every pod has */
	bool merge;	/* there may be something already, which is replaced */
	struct tree_time *directories; /* whose times are set last */
	size_t n, max;
	char *parent_path; /* the last one */
	int parent;
};
#define TREE_EXTRACT_NONE ((struct tree_extract){ .root = -1, .parent = -1 })

/* `rel` is the path below root, "" for itself; `link` what a hard link leads to, likewise, or NULL. */
int tree_extract(struct tree_extract *x, const char *rel, const char *link,
		 struct archive_entry *entry, tree_data_fn data, void *context, struct ct_error *err);
/* The times of the directories. */
int tree_extract_end(struct tree_extract *x, struct ct_error *err);
void tree_extract_release(struct tree_extract *x);

/* No empty, "." or ".." component; "" is fine. */
bool tree_path_valid(const char *rel);
