/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The trees of a pod's root: what of the host's files it sees, each as the lower layer of one overlay.
 *
 * An overlay shows one file system, so every mount of files below / becomes a tree of its own.
 * File systems that show the kernel rather than files are not carried; the pod gets fresh ones.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "libct/base/error.h"
#include "libct/base/mountinfo.h"
#include "libct/pod/inside.h"

const char *path_below(const char *path, const char *prefix)
{
	size_t len = strlen(prefix);

	if (!strcmp(prefix, "/"))
		return path + 1;
	if (strncmp(path, prefix, len))
		return NULL;
	return path[len] == '\0' ? path + len : path[len] == '/' ? path + len + 1 : NULL;
}

void trees_free(struct pod_tree *trees, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(trees[i].lower);
		free(trees[i].at);
	}
	free(trees);
}

/*
 * What other tools mount for their own containers is nothing a user sees files in; to hold on to
 * it would be in their way.
 */
static bool is_engines(const struct mount_entry *e)
{
	static const char *const places[] = { "/var/lib/containerd", "/var/lib/containers",
					      "/var/lib/docker", "/var/lib/kubelet" };

	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
		const char *below = path_below(e->at, places[i]);

		if (below && *below)
			return true;
	}
	return false;
}

static bool is_kernels(const struct mount_entry *e)
{
	static const char *const types[] = {
		"autofs",   "binfmt_misc", "bpf",     "cgroup", "cgroup2",    "configfs",
		"debugfs",  "devpts",	   "devtmpfs", "efivarfs", "fusectl", "hugetlbfs",
		"mqueue",   "nsfs",	   "proc",    "pstore", "ramfs",      "rootfs",
		"rpc_pipefs", "securityfs", "selinuxfs", "smackfs", "sysfs",  "tracefs",
	};
	static const char *const places[] = { "/proc", "/sys", "/dev", "/run" };

	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
		if (!strcmp(e->type, types[i]))
			return true;
	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++)
		if (path_below(e->at, places[i]))
			return true;
	return false;
}

/*
 * Is this mount what a path lookup of its mount point finds? Not where another one was mounted over
 * it or over a directory above it, or where the user may not look (FUSE).
 */
static bool is_visible(const struct mount_entry *e, bool *ret_directory)
{
	struct statx stx;

	if (statx(AT_FDCWD, e->at, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC,
		  STATX_TYPE | STATX_MNT_ID, &stx) < 0 ||
	    !(stx.stx_mask & STATX_MNT_ID) || stx.stx_mnt_id != (uint64_t)e->id)
		return false;
	*ret_directory = S_ISDIR(stx.stx_mode);
	return true;
}

/*
 * Can the file system be the lower layer of an overlay? Tried, by making (not mounting) one of it
 * and the root directory: case-insensitive ones, vfat, too deep a stack of overlays are refused.
 */
static bool can_be_lower(const char *path)
{
	cleanup_fd int fs = fsopen("overlay", FSOPEN_CLOEXEC);
	cleanup_fd int lower = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	cleanup_fd int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	char layers[64];

	if (fs < 0 || lower < 0 || root < 0)
		return false;
	snprintf(layers, sizeof(layers), "/proc/self/fd/%d:/proc/self/fd/%d", lower, root);
	if (fsconfig(fs, FSCONFIG_SET_STRING, "lowerdir", layers, 0) == 0 &&
	    fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
		return true;
	return errno == ELOOP; /* one lies inside the other, which is found out after the rest is fine */
}

static int add(struct pod_tree **trees, size_t *n, const char *lower, const char *at, bool plain)
{
	struct pod_tree *grown = reallocarray(*trees, *n + 1, sizeof(**trees));
	struct pod_tree *t;

	if (!grown)
		return -ENOMEM;
	*trees = grown;
	t = &grown[(*n)++];
	*t = (struct pod_tree){ strdup(lower), strdup(at), plain };
	return t->lower && t->at ? 0 : -ENOMEM;
}

/* Parents before what is mounted below them. */
static int compare(const void *a, const void *b)
{
	return strcmp(((const struct pod_tree *)a)->at, ((const struct pod_tree *)b)->at);
}

/* Mounts that are no files of the host's user: in no pod. */
static bool is_hidden(const struct mount_entry *e, const char *state_dir)
{
	return strcmp(e->at, "/") && (is_kernels(e) || is_engines(e) || rootfs_is_etc(e->at) ||
				      path_below(e->at, state_dir));
}

bool tree_may_show(const char *state_dir, const char *path)
{
	static const char *const places[] = { "/proc", "/sys", "/dev", "/run" };
	cleanup_mountinfo struct mountinfo mounts = { 0 };
	cleanup_free char *real = realpath(path, NULL);
	struct statx stx;

	if (!real)
		return errno == ENOENT;
	/* By another name the state directory below it would not be hidden. */
	if (strcmp(real, path) || path_below(path, state_dir))
		return false;
	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++)
		if (path_below(path, places[i]))
			return false;
	if (statx(AT_FDCWD, path, AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC, STATX_TYPE | STATX_MNT_ID, &stx) < 0 ||
	    mountinfo_read("/proc/self/mountinfo", &mounts) < 0)
		return false;
	for (size_t i = 0; i < mounts.n; i++)
		if ((uint64_t)mounts.entries[i].id == stx.stx_mnt_id)
			return !is_hidden(&mounts.entries[i], state_dir);
	return false;
}

int trees_of_host(const char *state_dir, struct pod_tree **ret, size_t *ret_n, struct ct_error *err)
{
	cleanup_mountinfo struct mountinfo mounts = { 0 };
	struct pod_tree *trees = NULL;
	size_t n = 0;
	int r = mountinfo_read("/proc/self/mountinfo", &mounts);

	if (r < 0)
		return error_errno(err, r, "read '/proc/self/mountinfo'");
	r = add(&trees, &n, "/", "/", false);
	for (size_t i = 0; r == 0 && i < mounts.n; i++) {
		const struct mount_entry *e = &mounts.entries[i];
		bool directory;

		if (!strcmp(e->at, "/") || is_hidden(e, state_dir) || !is_visible(e, &directory))
			continue;
		r = add(&trees, &n, e->at, e->at, !directory || !can_be_lower(e->at));
	}
	if (r < 0) {
		trees_free(trees, n);
		return error_errno(err, r, "list the host's mounts");
	}
	qsort(trees + 1, n - 1, sizeof(*trees), compare);
	*ret = trees;
	*ret_n = n;
	return 0;
}

int trees_of_rootfs(const char *rootfs, struct pod_tree **ret, size_t *ret_n, struct ct_error *err)
{
	cleanup_free char *real = realpath(rootfs, NULL);
	struct stat st;

	if (!real || stat(real, &st) < 0)
		return error_errno(err, -errno, "root file system '%s'", rootfs);
	if (!S_ISDIR(st.st_mode))
		return error_set(err, -ENOTDIR, "root file system '%s' is not a directory", rootfs);
	*ret = NULL;
	*ret_n = 0;
	if (add(ret, ret_n, real, "/", false) < 0) {
		trees_free(*ret, *ret_n);
		return error_errno(err, -ENOMEM, "root file system '%s'", rootfs);
	}
	return 0;
}

int pod_config_set_rootfs(struct pod_config *config, const char *rootfs, struct ct_error *err)
{
	struct pod_tree *whole = NULL;
	size_t n = 0;
	int r = trees_of_rootfs(rootfs, &whole, &n, err);

	/* The other trees are those of its directories, where they do not lead out of it. */
	for (size_t i = 0; r == 0 && i < config->n_trees; i++) {
		struct pod_tree *t = &config->trees[i];
		cleanup_free char *lower = NULL, *real = NULL;

		if (asprintf(&lower, "%s%s", strcmp(whole->lower, "/") || !i ? whole->lower : "",
			     i ? t->at : "") < 0) {
			lower = NULL;
			r = error_errno(err, -ENOMEM, "root file system '%s'", rootfs);
			break;
		}
		real = realpath(lower, NULL);
		if (real ? strcmp(real, lower) : errno != ENOENT) {
			r = error_set(err, -EINVAL, "the pod has a tree at '%s', and '%s' leads elsewhere",
				      t->at, lower);
			break;
		}
		free(t->lower);
		t->lower = take_ptr(lower);
	}
	trees_free(whole, n);
	return r;
}

bool pod_path_tree(const struct pod_config *config, const char *path, size_t *ret_tree,
		   const char **ret_below)
{
	static const char *const own[] = { "/proc", "/sys", "/dev", "/run" };
	const char *below = NULL;
	size_t best = 0;

	for (size_t i = 0; i < config->n_trees; i++) {
		const char *rest = path_below(path, config->trees[i].at);

		/*
		 * Of trees that hold the path the last one lies deepest: they are in mount
		 * order.
		 */
		if (rest) {
			best = i;
			below = rest;
		}
	}
	if (!below || config->trees[best].plain)
		return false;
	for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++)
		if (path_below(path, own[i]))
			return false;
	for (size_t i = 0; i < config->n_volumes; i++)
		if (path_below(path, config->volumes[i].destination))
			return false;
	*ret_tree = best;
	*ret_below = below;
	return true;
}
