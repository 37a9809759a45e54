/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open files, in two halves: those that a path of the pod leads to (fd-file.c), and those that none
 * does (file-nameless.c, file-nameless-restore.c). In the manifest a description of the kind "file" has a "home":
 *
 *	path		"path" leads to it: opened again there
 *	deleted		was at "path"; its bytes are "shm/<file>"
 *	linked		was at "path", and is at "other" by a hard link still
 *	temporary	O_TMPFILE in the directory "path"
 *	memory		memfd_create(2); "path" is its name
 *	anonymous	shared anonymous memory
 *
 * Descriptions of one nameless file name the first of them as "file"; it says what the file was like.
 */
#pragma once
#include "libct/base/mountinfo.h"
#include "libct/kind.h"

struct file_context;
/* Called outside of the pod. What cannot be read is taken for empty. */
struct file_context *file_context_new(int proc, pid_t pid1);
/* At the pod's mounts once more: when it stands still they are those that count. */
void file_context_look(struct file_context *files, int proc, pid_t pid1);
void file_context_free(struct file_context *files);

/* The pod's mounts, as PID 1 sees them; the host's; one of the pod's, NULL: none of it has that number. */
const struct mountinfo *file_mounts(struct dump *d);
const struct mountinfo *file_host_mounts(struct dump *d);
const struct mount_entry *file_mount(struct dump *d, unsigned int mnt_id);

/* Opens (O_PATH) what a path of the pod, without symlinks in it, leads to. */
int file_open_path(struct dump *d, const char *path);
/* Does that path lead to the file of `st`? */
bool file_is_at(struct dump *d, const char *path, const struct stat *st);

/* A nameless file: the number of the first description seen of it. */
int file_first(struct dump *d, const struct fd_view *v, uint32_t *ret);

/*
 * Another name of a file that was deleted under the one it was opened by; the caller frees.
 * -ENOENT: none on the same mount.
 */
int file_other_name(struct dump *d, const struct fd_view *v, const struct mount_entry *mount,
		    char **ret);

/* The lists that it makes for this, kept for the dump. */
struct file_names;
struct file_names **file_names(struct dump *d);
void file_names_free(struct file_names *names);

int file_dump_nameless(struct dump *d, const struct fd_view *v, const struct mount_entry *mount,
		       struct node *n, struct ct_error *err);
int file_restore_nameless(struct restore *r, const struct node *n, uint32_t id, int *ret_fd,
			  struct ct_error *err);
int file_restore_nameless_late(struct restore *r, const struct node *n, int fd,
			       struct ct_error *err);

/* The words for the file types that we know, and back; 0: none. */
const char *file_type_name(mode_t mode);
mode_t file_type(const char *name);

/* The flags of the manifest as open(2) takes them. */
int file_open_flags(const struct node *n);

/* Does an area show the lower file that its file was before somebody wrote to it? */
bool file_mapping_is_stale(struct dump *d, const struct dump_process *p, const struct vma *v);

/*
 * The inodes of the upper trees that the running pod has open for writing, ascending. -EAGAIN: that could not be
 * told, since too much is going on or files are open by ways that are not known.
 */
struct tree_inode;
struct file_writers {
	struct tree_inode *list;
	size_t n;
	bool hidden; /* there are some that were deleted by one name and may have others */
};
int file_writers_find(struct dump *d, struct file_writers *ret);
void file_writers_release(struct file_writers *w);

/* ---- file-details.c ---- */

int file_put_xattrs(const struct fd_view *v, struct node *n, struct ct_error *err);
int file_set_xattrs(const struct node *n, int fd, struct ct_error *err);

/* How far a directory was read, by the name of the entry before: the kernel's own numbers are not lasting. */
int directory_put_position(struct dump *d, const struct fd_view *v, struct node *n, struct ct_error *err);
int directory_seek(const struct node *n, int fd, struct ct_error *err);

/* ---- file-spot.c: a name in a directory, taken for a moment ---- */

/*
 * What has the name already is moved aside, absent directories are made; leaving puts all of it back,
 * times of the directory included. Initialise with SPOT_NONE.
 */
struct file_spot {
	int parent;	/* -1: nothing taken */
	char name[256]; /* in parent */
	char aside[64]; /* what had the name is called that meanwhile; "": nothing had it */
	bool directory; /* what is there now is one */
	bool taken;	/* there is something there */
	char *path;	/* of the parent */
	size_t n_made;	/* how many directories at the end of `path` were made */
	int keeper;	/* the directory above them, which gets its times back */
	struct timespec times[2];
};
#define SPOT_NONE ((struct file_spot){ .parent = -1, .keeper = -1 })
int spot_find(struct restore *r, const char *path, uint32_t id, struct file_spot *ret,
	      struct ct_error *err);
void spot_leave(struct file_spot *spot);
#define cleanup_spot __cleanup(spot_leave)
