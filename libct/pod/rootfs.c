/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The root of a pod, built from outside in while the host's tree is still in view:
 *
 *	/		overlay: trees[0].lower under upper/0/data
 *	/home, ...	an overlay for each further tree
 *	/proc /sys /dev /run	the pod's own
 *	ROOT		an empty tmpfs: the state directories of pods are not for pods
 *	volumes		binds of the host's directories, which the host's later mounts reach
 *
 * It hangs over the pod's own directory, in a mount namespace where nothing propagates back to the
 * host, until pivot_root(2) makes it the root.
 */
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <linux/magic.h>

#include "libct/base/error.h"
#include "libct/base/io.h"
#include "libct/base/sys.h"
#include "libct/pod/inside.h"

/* ---- upper directories ---- */

/* An overlay shows the attributes of its upper root: they begin as those of the directory below. */
static int copy_attributes(int from, int to)
{
	static const char *const acls[] = { "system.posix_acl_access", "system.posix_acl_default" };
	struct stat st;

	if (fstat(from, &st) < 0 || fchown(to, st.st_uid, st.st_gid) < 0 ||
	    fchmod(to, st.st_mode & 07777) < 0)
		return -errno;
	for (size_t i = 0; i < 2; i++) {
		char value[1024];
		ssize_t n = fgetxattr(from, acls[i], value, sizeof(value));

		if (n > 0 && fsetxattr(to, acls[i], value, (size_t)n, 0) < 0)
			return -errno;
	}
	return 0;
}

static int prepare_upper(const struct pod *pod, size_t tree, struct ct_error *err)
{
	const char *lower = pod->config.trees[tree].lower;
	cleanup_fd int from = -1, to = -1;
	char path[64];
	int r;

	snprintf(path, sizeof(path), "upper/%zu", tree);
	if (mkdirat(pod->dirfd, path, 0700) < 0 && errno != EEXIST)
		return error_errno(err, -errno, "make '%s/%s'", pod->dir, path);
	snprintf(path, sizeof(path), "upper/%zu/work", tree);
	if (mkdirat(pod->dirfd, path, 0700) < 0 && errno != EEXIST)
		return error_errno(err, -errno, "make '%s/%s'", pod->dir, path);
	snprintf(path, sizeof(path), "upper/%zu/data", tree);
	if (mkdirat(pod->dirfd, path, 0755) < 0)
		return errno == EEXIST ? 0
				       : error_errno(err, -errno, "make '%s/%s'", pod->dir, path);
	from = open(lower, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (from < 0)
		return errno == ENOENT ? 0 : error_errno(err, -errno, "open '%s'", lower);
	to = openat(pod->dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = to < 0 ? -errno : copy_attributes(from, to);
	return r < 0 ? error_errno(err, r, "copy the attributes of '%s'", lower) : 0;
}

int rootfs_prepare(const struct pod *pod, struct ct_error *err)
{
	/* "empty" stands for a lower tree that this host does not have. */
	static const char *const dirs[] = { "upper", "empty" };

	for (size_t i = 0; i < 2; i++)
		if (mkdirat(pod->dirfd, dirs[i], 0755) < 0 && errno != EEXIST)
			return error_errno(err, -errno, "make '%s/%s'", pod->dir, dirs[i]);
	for (size_t i = 0; i < pod->config.n_trees; i++) {
		int r = pod->config.trees[i].plain ? 0 : prepare_upper(pod, i, err);

		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- trees ---- */

/*
 * A tree may not be more than the host's mount of it allows; device nodes in trees are of no
 * use.
 */
static unsigned int tree_attributes(int lower)
{
	unsigned int attributes = MOUNT_ATTR_NODEV;
	struct statvfs vfs;

	if (fstatvfs(lower, &vfs) == 0) {
		attributes |= vfs.f_flag & ST_NOSUID ? MOUNT_ATTR_NOSUID : 0;
		attributes |= vfs.f_flag & ST_NOEXEC ? MOUNT_ATTR_NOEXEC : 0;
	}
	return attributes;
}

static bool is_overlay(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && fs.f_type == OVERLAYFS_SUPER_MAGIC;
}

static int open_dir(const char *dir, const char *name)
{
	char path[PATH_MAX];

	if (snprintf(path, sizeof(path), "%s/%s", dir, name) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	return SYS_RET(open(path, O_PATH | O_DIRECTORY | O_CLOEXEC));
}

/*
 * The overlay of one tree, hanging nowhere yet. Its layers are opened here rather than before the
 * namespaces were made: the kernel takes them only from the caller's own mount namespace.
 */
static int tree_overlay(const struct pod *pod, size_t tree, struct ct_error *err)
{
	const struct pod_tree *t = &pod->config.trees[tree];
	cleanup_fd int lower = open(t->lower, O_PATH | O_DIRECTORY | O_CLOEXEC);
	cleanup_fd int upper = -1, work = -1;
	char name[64];
	int fd;

	if (lower < 0 && errno == ENOENT)
		lower = open_dir(pod->dir, "empty");
	if (lower < 0)
		return error_errno(err, -errno, "open '%s'", t->lower);
	snprintf(name, sizeof(name), "upper/%zu/data", tree);
	upper = open_dir(pod->dir, name);
	snprintf(name, sizeof(name), "upper/%zu/work", tree);
	work = open_dir(pod->dir, name);
	if (upper < 0 || work < 0)
		return error_errno(err, upper < 0 ? upper : work, "open '%s/upper/%zu'", pod->dir,
				   tree);
	fd = mount_overlay(lower, upper, work, tree_attributes(lower), err);
	if (fd < 0 && is_overlay(upper))
		return error_set(err, fd,
				 "the state directory '%s' lies on an overlay, which cannot hold the "
				 "writable layer of another; choose a directory on a disk or a tmpfs "
				 "with --root",
				 pod->ct->root);
	if (fd < 0)
		return error_prefix(err, fd, "tree '%s' (upper layer in '%s')", t->lower, pod->dir);
	return fd;
}

static int tree_plain(const struct pod_tree *t, bool *ret_file, struct ct_error *err)
{
	cleanup_fd int fd = -1;
	struct stat st;
	int r;

	fd = mount_copy(AT_FDCWD, t->lower, false, err);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return error_errno(err, -errno, "stat '%s'", t->lower);
	*ret_file = !S_ISDIR(st.st_mode);
	r = mount_set(fd, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV, false, err);
	return r < 0 ? r : take_fd(&fd);
}

/* The mount of each tree, hanging nowhere at first; -1: a plain one that this host lacks. */
struct tree_mount {
	int fd;
	bool file;
};

static int make_trees(const struct pod *pod, struct tree_mount *ret, struct ct_error *err)
{
	for (size_t i = 0; i < pod->config.n_trees; i++) {
		const struct pod_tree *t = &pod->config.trees[i];

		if (!t->plain)
			ret[i].fd = tree_overlay(pod, i, err);
		else if (access(t->lower, F_OK) < 0)
			continue;
		else
			ret[i].fd = tree_plain(t, &ret[i].file, err);
		if (ret[i].fd < 0)
			return ret[i].fd;
	}
	return 0;
}

/* Hangs trees[1] and on below the root. */
static int hang_trees(const struct pod_config *config, const struct tree_mount *mounts, int rootfd,
		      struct ct_error *err)
{
	for (size_t i = 1; i < config->n_trees; i++) {
		const char *at = config->trees[i].at;
		int r;

		if (mounts[i].fd >= 0) {
			r = mount_hang(mounts[i].fd, rootfd, at, mounts[i].file, err);
		} else {
			cleanup_fd int empty = root_make(rootfd, at, false);

			r = empty < 0 ? error_errno(err, empty, "make '%s' in the pod", at) : 0;
		}
		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- what is not a tree ---- */

/* Where the state directory would be seen: below the deepest tree that holds it. */
static bool state_in_pod(const struct pod *pod, char ret[PATH_MAX])
{
	const struct pod_config *c = &pod->config;
	bool found = false;

	for (size_t i = 0; i < c->n_trees; i++) {
		const char *below = path_below(pod->ct->root, c->trees[i].lower);
		const char *at = c->trees[i].at;
		int n;

		if (!below)
			continue;
		n = snprintf(ret, PATH_MAX, "%s%s%s", strcmp(at, "/") ? at : "", *below ? "/" : "",
			     below);
		if (n <= 0 || n >= PATH_MAX)
			return false;
		found = true;
	}
	return found;
}

static int hide_state(const struct pod *pod, int rootfd, struct ct_error *err)
{
	const struct mount_param params[] = { { "source", "podckpt" }, { "mode", "0755" } };
	cleanup_fd int there = -1, fd = -1;
	char at[PATH_MAX];

	if (!state_in_pod(pod, at))
		return 0;
	there = root_open(rootfd, at, O_PATH | O_DIRECTORY);
	if (there < 0)
		return 0; /* not on the trees that the pod has */
	fd = mount_new("tmpfs", params, 2,
		       MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC,
		       err);
	return fd < 0 ? fd : mount_hang(fd, rootfd, at, false, err);
}

bool pod_path_own_mount(const struct pod *pod, const char *at)
{
	char state[PATH_MAX];

	return rootfs_is_own_mount(at) || (state_in_pod(pod, state) && !strcmp(state, at));
}

struct volume_copies {
	int *fds;
	size_t n;
};

static void volume_copies_release(struct volume_copies *c)
{
	for (size_t i = 0; i < c->n; i++)
		fd_close(c->fds[i]);
	free(c->fds);
}

/* Before the pod's root hangs over the pod's own directory, which may lie in a volume. */
static int copy_volumes(const struct pod_config *config, struct volume_copies *ret, struct ct_error *err)
{
	ret->fds = calloc(config->n_volumes + 1, sizeof(*ret->fds));
	if (!ret->fds)
		return error_errno(err, -ENOMEM, "volumes");
	for (size_t i = 0; i < config->n_volumes; i++) {
		const struct pod_volume *v = &config->volumes[i];
		int fd = mount_copy(AT_FDCWD, v->source, true, NULL), r = 0;

		if (fd < 0)
			return error_errno(err, fd, "volume '%s'", v->source);
		ret->fds[ret->n++] = fd;
		if (v->read_only)
			r = mount_set(fd, MOUNT_ATTR_RDONLY, true, err);
		if (r < 0)
			return error_prefix(err, r, "volume '%s'", v->source);
	}
	return 0;
}

static int hang_volumes(const struct pod_config *config, const struct volume_copies *copies, int rootfd,
			struct ct_error *err)
{
	for (size_t i = 0; i < config->n_volumes; i++) {
		const struct pod_volume *v = &config->volumes[i];
		struct stat st;
		int r;

		if (fstat(copies->fds[i], &st) < 0)
			return error_errno(err, -errno, "volume '%s'", v->source);
		r = mount_hang(copies->fds[i], rootfd, v->destination, !S_ISDIR(st.st_mode), err);
		if (r < 0)
			return error_prefix(err, r, "volume '%s'", v->source);
	}
	return 0;
}

/* ---- the whole ---- */

/* What of it is the same at every address. */
static int build(const struct pod *pod, int rootfd, const struct tree_mount *mounts, struct ct_error *err)
{
	int r = hang_trees(&pod->config, mounts, rootfd, err);

	if (r == 0)
		r = hide_state(pod, rootfd, err);
	return r < 0 ? r : rootfs_own_mounts(rootfd, err);
}

static int complete(const struct pod *pod, int rootfd, const struct tree_mount *mounts,
		    const struct volume_copies *volumes, const struct pod_start *start, struct ct_error *err)
{
	const struct pod_config *config = &pod->config;
	int r = start->restoring ? 0 : rootfs_etc(rootfd, config, err);

	if (r == 0 && start->address_before)
		r = rootfs_etc_moved(rootfd, config, start->address_before, err);
	/* After the own mounts: they may lie in /run or /dev. */
	if (r == 0)
		r = hang_volumes(config, volumes, rootfd, err);
	/* Last: files and mount points were made in the trees until here. */
	for (size_t i = 0; r == 0 && config->read_only && i < config->n_trees; i++)
		if (!config->trees[i].plain)
			r = mount_set(mounts[i].fd, MOUNT_ATTR_RDONLY, false, err);
	return r;
}

static int pivot(int rootfd, struct ct_error *err)
{
	/*
	 * man 2 pivot_root, "pivot_root(".", ".")": the old root ends up on top and is taken
	 * off.
	 */
	if (fchdir(rootfd) < 0 || syscall(SYS_pivot_root, ".", ".") < 0)
		return error_errno(err, -errno, "pivot_root");
	if (umount2(".", MNT_DETACH) < 0)
		return error_errno(err, -errno, "detach the host's tree");
	return chdir("/") < 0 ? error_errno(err, -errno, "chdir '/'") : 0;
}

static int enter(const struct pod *pod, struct tree_mount *mounts, const struct pod_start *start,
		 void (*await)(void *spawn), void *spawn, struct ct_error *err)
{
	__cleanup(volume_copies_release) struct volume_copies volumes = { 0 };
	cleanup_fd int rootfd = -1;
	int r;

	/* A slave, not private: what the host mounts later below a volume appears in it. */
	if (mount("", "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
		return error_errno(err, -errno, "stop the propagation of mounts");
	r = make_trees(pod, mounts, err); /* all, while their layers in pod->dir are in sight */
	if (r == 0)
		r = copy_volumes(&pod->config, &volumes, err);
	if (r < 0)
		return r;
	if (move_mount(mounts[0].fd, "", AT_FDCWD, pod->dir, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return error_errno(err, -errno, "mount the root on '%s'", pod->dir);
	rootfd = open(pod->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (rootfd < 0)
		return error_errno(err, -errno, "open '%s'", pod->dir);
	r = build(pod, rootfd, mounts, err);
	if (r == 0) {
		await(spawn);
		r = complete(pod, rootfd, mounts, &volumes, start, err);
	}
	return r < 0 ? r : pivot(rootfd, err);
}

int rootfs_enter(const struct pod *pod, const struct pod_start *start, void (*await)(void *spawn), void *spawn,
		 struct ct_error *err)
{
	size_t n = pod->config.n_trees;
	cleanup_free struct tree_mount *mounts = calloc(n ? n : 1, sizeof(*mounts));
	int r;

	if (!mounts)
		return error_errno(err, -ENOMEM, "mount the root");
	if (!n || strcmp(pod->config.trees[0].at, "/") || pod->config.trees[0].plain)
		return error_set(err, -EINVAL, "the pod has no tree for '/'");
	for (size_t i = 0; i < n; i++)
		mounts[i].fd = -1;
	r = enter(pod, mounts, start, await, spawn, err);
	for (size_t i = 0; i < n; i++)
		fd_close(mounts[i].fd);
	return r;
}
