/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pod's files in an image:
 *
 *	rootfs/<tree>/...		the upper tree of an overlay: what the pod wrote
 *	rootfs/embedded/<tree>/...	files of the lower tree that the pod has open or mapped
 *	rootfs/tmpfs/<n>/...		what is in the pod's own tmpfs mounts (/run, /dev/shm, /dev)
 *	log/output			the pod's output so far
 */
#pragma once
#include "libct/kind.h"

struct archive;
struct archive_writer;

/*
 * Called with a pod that runs, after a successful preflight: digests of embedded files, and with `stage` the trees
 * themselves in an unnamed file of the state directory. What cannot be taken early is taken later; -ENOMEM
 * is the only error. The caller frees it, and hands it to the dump of the stopped pod (d->early).
 */
struct rootfs_early;
int rootfs_early(struct dump *preflight, bool stage, struct rootfs_early **ret, struct ct_error *err);
void rootfs_early_free(struct rootfs_early *e);

/*
 * Called before the manifest is written: puts "embedded" into it, the lower files with sizes and
 * digests. (The list of tmpfs mounts is the kind "tmpfs"'s.)
 */
int rootfs_describe(struct dump *d, struct ct_error *err);
/* Called behind the manifest, the pod still stopped: writes all members. The caller is outside of the pod. */
int rootfs_dump(struct dump *d, struct archive_writer *w, struct ct_error *err);
/*
 * Called before archive_finish(), the pod perhaps running again: what rootfs_dump() has left room for. `e` may be
 * NULL.
 */
int rootfs_dump_late(struct rootfs_early *e, struct archive_writer *w, struct ct_error *err);

/*
 * Called between pod_reserve() and pod_make() with the reader of the image's files: extracts upper
 * trees, what is needed of the embedded files, and the log. What belongs into tmpfs mounts comes last and
 * is left there for the kind "tmpfs": r->files and r->entry. -EBADMSG: not files that such a pod can have.
 */
int rootfs_restore(struct restore *r, struct archive *files, struct ct_error *err);

/* Goes to the next entry of r->files: r->entry, NULL at the end. */
int rootfs_next_entry(struct restore *r, struct ct_error *err);
/* Takes the path of r->entry apart, which is one of a tmpfs. The caller frees *ret_path, which *ret_rel lies in. */
int rootfs_tmpfs_entry(struct restore *r, char **ret_path, size_t *ret_mount, const char **ret_rel,
		       const char **ret_link, struct ct_error *err);

/* Writes the members of the pod's tmpfs mounts. */
struct tree_dump;
int tmpfs_dump(struct dump *d, struct tree_dump *t, struct ct_error *err);

/* Size and XXH3 digest of a file from its beginning. */
int rootfs_digest(int fd, uint64_t *ret_size, uint64_t *ret_digest);

/*
 * A regular file of that size which this host has in the pod's lower tree, opened for reading; -ENOENT and others: it
 * has not. Its path is an image's word.
 */
int rootfs_open_host(const struct pod_config *config, size_t tree, const char *rel, uint64_t size);
/* Has it the very same file? */
bool rootfs_host_has(const struct pod_config *config, size_t tree, const char *rel, uint64_t size,
		     uint64_t digest);

/* A file of a lower tree that some description leads to. */
struct lower_file {
	size_t tree;
	const char *below; /* path below the tree */
	const char *path;  /* in the pod */
};
/* All of them, each once; the caller frees the array. Opens one. */
ssize_t rootfs_find_lower(struct dump *d, struct lower_file **ret, struct ct_error *err);
int rootfs_open_lower(struct dump *d, const struct lower_file *file, struct ct_error *err);

/* The upper trees and the embedded files, all but what is only in memory. */
int rootfs_dump_trees(struct dump *d, struct tree_dump *t, struct ct_error *err);

/* ---- rootfs-early.c ---- */

/* The digest that was computed early of a file that is still the same; false: there is none. */
bool rootfs_early_digest(const struct rootfs_early *e, const char *path, int fd, uint64_t *ret_size,
			 uint64_t *ret_digest);
/* Where entries are staged; NULL: nowhere. */
struct tree_pieces *rootfs_early_pieces(struct rootfs_early *e);
/* The pod has been stopped: forgets everything if somebody has set the clock meanwhile. */
void rootfs_early_stopped(struct rootfs_early *e);
