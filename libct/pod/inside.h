/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What making the inside of a pod consists of. All of it runs in PID 1 before it becomes init,
 * unless said otherwise.
 */
#pragma once
#include "libct/pod/make.h"

#define POD_GO_FD 5 /* in PID 1: podckpt-init writes a byte here, then the command it forked goes on */

/* ---- rootfs.c: the file tree ---- */

/*
 * In the monitor: makes the upper directories that are absent, like the directories they lie
 * over.
 */
int rootfs_prepare(const struct pod *pod, struct ct_error *err);
/*
 * In the new mount namespace, with the host's tree still in view: builds the pod's and makes it the root.
 * With start->restoring no file of it is written, but the pod's own addresses in /etc/hosts. await(spawn)
 * returns when pod->config has the pod's addresses; what does not need them is done before.
 */
int rootfs_enter(const struct pod *pod, const struct pod_start *start, void (*await)(void *spawn), void *spawn,
		 struct ct_error *err);

/*
 * ---- rootfs-path.c: paths below a root that is not ours yet; symlinks cannot lead out of it
 * ----
 */

/* An O_PATH descriptor, or a negative errno. `path` is absolute in that root. */
int root_open(int rootfd, const char *path, int flags);
/*
 * The same for a directory (or, with `file`, an empty regular file), made with its parents
 * where absent.
 */
int root_make(int rootfd, const char *path, bool file);

/* ---- rootfs-mount.c: the new mount calls, with the kernel's own words in the error ---- */

struct mount_param {
	const char *key, *value; /* value NULL: a flag */
};

/* A new mount that hangs nowhere yet. `attributes` are MOUNT_ATTR_*. */
int mount_new(const char *type, const struct mount_param *params, size_t n, unsigned int attributes,
	      struct ct_error *err);
/*
 * A copy of what is mounted at `path` below `dirfd` (with submounts: recursive), hanging
 * nowhere.
 */
int mount_copy(int dirfd, const char *path, bool recursive, struct ct_error *err);
int mount_set(int mount_fd, unsigned int attributes, bool recursive, struct ct_error *err);
/* Hangs it over `path` below `rootfd`; the mount point is made where absent. */
int mount_hang(int mount_fd, int rootfd, const char *path, bool file, struct ct_error *err);
/* An overlay mount that hangs nowhere yet. */
int mount_overlay(int lower_fd, int upper_fd, int work_fd, unsigned int attributes,
		  struct ct_error *err);

/* ---- rootfs-own.c: proc, sysfs, /dev, /run and the masks ---- */
int rootfs_own_mounts(int rootfd, struct ct_error *err);
bool rootfs_is_own_mount(const char *at);

/* ---- rootfs-etc.c: /etc/hosts, /etc/hostname, /etc/resolv.conf ---- */
int rootfs_etc(int rootfd, const struct pod_config *config, struct ct_error *err);
/* The pod had other addresses: its lines of /etc/hosts are written anew, if it has left them there. */
int rootfs_etc_moved(int rootfd, const struct pod_config *config, const struct net_config *before,
		     struct ct_error *err);
/* Is this one of them? A mount over it is not carried. */
bool rootfs_is_etc(const char *path);

/* ---- trees.c (in the caller of run) ---- */

/* The host's / and every further mount of files below it, but for what lies below `state_dir`. */
int trees_of_host(const char *state_dir, struct pod_tree **ret, size_t *ret_n, struct ct_error *err);
/* The one tree over `rootfs`. */
int trees_of_rootfs(const char *rootfs, struct pod_tree **ret, size_t *ret_n, struct ct_error *err);
void trees_free(struct pod_tree *trees, size_t n);
/* Would a pod that sees the host's files see this path, by this name? What is not there is no matter. */
bool tree_may_show(const char *state_dir, const char *path);
/*
 * `path` below `prefix`: the rest ("" or "x/y"), else NULL. Both absolute, without a slash at
 * the end.
 */
const char *path_below(const char *path, const char *prefix);

/* ---- user.c: the pod's own /etc/passwd and /etc/group ---- */

struct user {
	uid_t uid;
	gid_t gid;
	gid_t *groups; /* supplementary ones */
	size_t n_groups;
	char *home;
};

/*
 * `spec` is "user[:group]" by name or number, NULL: root. On success the caller calls
 * user_release().
 */
int user_find(const char *spec, struct user *ret, struct ct_error *err);
void user_release(struct user *user);
#define cleanup_user __cleanup(user_release)

/* ---- embedded.c: podckpt-init's program ---- */

/* A sealed memfd that holds it, close-on-exec: it needs no file in whatever root a pod has. */
int embedded_open(struct ct_error *err);

/* ---- caps.c ---- */

/* Takes everything beyond `capabilities` out of the bounding set of this process. */
int caps_bound(uint64_t capabilities, struct ct_error *err);
/* Permitted and effective become exactly that; inheritable and ambient ones are none. */
int caps_set(uint64_t capabilities, struct ct_error *err);
uint64_t caps_host(void); /* all that this process may give */
/* From the names of struct ct_run_options to a bit set by the kernel's numbers. */
int caps_parse(const char *const *add, const char *const *drop, uint64_t *ret, struct ct_error *err);

/* " --cap-add x --cap-add y", for people. */
void caps_flags(uint64_t capabilities, char *ret, size_t size);

/* ---- seccomp.c ---- */

#define SECCOMP_PROFILE_MAX (4u << 20) /* bytes of its text */

/* A profile that can be loaded? `text` as in struct pod_config. */
int seccomp_check(const char *text, uint64_t capabilities, struct ct_error *err);
/* Installs it for the calling thread, which has CAP_SYS_ADMIN. */
int seccomp_install(const char *text, uint64_t capabilities, struct ct_error *err);
/* What it installs: an array of struct sock_filter, which the caller frees; NULL: nothing. *ret_len in bytes. */
int seccomp_program(const char *text, uint64_t capabilities, void **ret, size_t *ret_len,
		    struct ct_error *err);
