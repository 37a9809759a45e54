/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pod's own tmpfs mounts (/run, /dev/shm, and /dev with the nodes that the pod made there). What
 * is in them goes into the image as files, behind all others, since the mounts are made after the trees.
 *
 * Not carried: a mount's size limit where the pod changed it (the limits are those that run gives).
 */
#include <archive_entry.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/vfs.h>

#include "images/archive.h"
#include "libct/base/io.h"
#include "libct/base/sys.h"
#include "libct/kind/file.h"
#include "libct/kind/rootfs.h"
#include "libct/kind/tree.h"

/* ---- dump ---- */

/* Empty read-only ones, and binds of /dev/null, are masks over something of the host. */
static bool is_carried(const struct dump *d, const struct mount_entry *m)
{
	return !strcmp(m->type, "tmpfs") && !strcmp(m->root, "/") && !mount_option(m->options, "ro") &&
	       pod_path_own_mount(d->pod, m->at);
}

static int tmpfs_pod_dump(struct dump *d, struct node *n, struct ct_error *err)
{
	const struct mountinfo *mounts = file_mounts(d);
	struct node *list = node_put_array(n, "mounts");

	for (size_t i = 0; i < mounts->n; i++)
		if (is_carried(d, &mounts->entries[i]))
			node_put_str(list, NULL, mounts->entries[i].at);
	return 0;
}

int tmpfs_dump(struct dump *d, struct tree_dump *t, struct ct_error *err)
{
	const struct mountinfo *mounts = file_mounts(d);
	unsigned int n = 0;

	for (size_t i = 0; i < mounts->n; i++) {
		const struct mount_entry *m = &mounts->entries[i];
		cleanup_fd int fd = -1;
		char prefix[64];
		int r;

		if (!is_carried(d, m))
			continue;
		fd = file_open_path(d, m->at);
		if (fd < 0)
			return error_errno(err, fd, "open '%s' of the pod", m->at);
		snprintf(prefix, sizeof(prefix), "rootfs/tmpfs/%u", n++);
		r = tree_dump(t, fd, prefix, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- restore ---- */

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Takes away what a new mount has and the old one had not. Mounts on it stay. */
static int remove_others(int dirfd, const char *prefix, char *const *names, size_t n, dev_t dev,
			 struct ct_error *err)
{
	cleanup_dir DIR *dir = fdopendir(dirfd);
	struct dirent *e;

	if (!dir) {
		fd_close(dirfd);
		return error_errno(err, -ENOMEM, "files");
	}
	while ((e = readdir(dir))) {
		cleanup_free char *path = NULL;
		struct stat st;
		int fd, r;

		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		if (asprintf(&path, "%s%s%s", prefix, *prefix ? "/" : "", e->d_name) < 0)
			return error_errno(err, -ENOMEM, "files");
		if (fstatat(dirfd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_dev != dev)
			continue;
		if (!bsearch(&path, names, n, sizeof(*names), compare_names)) {
			r = io_remove_tree(dirfd, e->d_name);
			if (r < 0 && r != -EBUSY && r != -EXDEV)
				return error_errno(err, r, "remove '%s'", path);
		} else if (S_ISDIR(st.st_mode)) {
			fd = openat(dirfd, e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
			r = fd < 0 ? error_errno(err, -errno, "open '%s'", path)
				   : remove_others(fd, path, names, n, dev, err);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

/* The paths of one mount that the image has. */
struct paths {
	char **list;
	size_t n, max;
};

static void paths_release(struct paths *p)
{
	for (size_t i = 0; i < p->n; i++)
		free(p->list[i]);
	free(p->list);
}

static int add_path(struct paths *p, const char *rel)
{
	if (p->n == p->max) {
		size_t max = p->max ? p->max * 2 : 64;
		char **grown = reallocarray(p->list, max, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		p->list = grown;
		p->max = max;
	}
	p->list[p->n] = strdup(rel);
	if (!p->list[p->n])
		return -ENOMEM;
	p->n++;
	return 0;
}

static int clean_mount(struct paths *paths, int root, struct ct_error *err)
{
	struct stat st;
	int fd;

	if (fstat(root, &st) < 0)
		return error_errno(err, -errno, "stat");
	if (paths->n)
		qsort(paths->list, paths->n, sizeof(*paths->list), compare_names);
	fd = openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? error_errno(err, -errno, "open")
		      : remove_others(fd, "", paths->list, paths->n, st.st_dev, err);
}

/* The entries of one mount, which are what the image's files go on with. */
static int extract_mount(struct restore *r, size_t mount, struct tree_extract *x, struct paths *paths,
			 struct ct_error *err)
{
	const char *rel, *link;
	size_t number;
	int e = 0;

	while (e == 0 && r->entry) {
		cleanup_free char *path = NULL;

		e = rootfs_tmpfs_entry(r, &path, &number, &rel, &link, err);
		if (e < 0 || number != mount)
			break;
		e = add_path(paths, rel);
		if (e < 0)
			return error_errno(err, e, "files");
		e = tree_extract(x, rel, link, r->entry, tree_data_archive, r->files, err);
		if (e < 0)
			return error_prefix(err, e, "%s", rel);
		e = rootfs_next_entry(r, err);
	}
	return e;
}

static int fill_mount(struct restore *r, size_t mount, const char *at, struct ct_error *err)
{
	__cleanup(tree_extract_release) struct tree_extract x = TREE_EXTRACT_NONE;
	__cleanup(paths_release) struct paths paths = { 0 };
	struct statfs fs;
	int e;

	x.inside = x.merge = true;
	x.tame = !(r->pod->config.capabilities & UINT64_C(1) << CAP_MKNOD);
	x.root = sys_openat2(AT_FDCWD, at, O_RDONLY | O_DIRECTORY, 0, RESOLVE_NO_SYMLINKS);
	if (x.root < 0 || fstatfs(x.root, &fs) < 0)
		return error_errno(err, x.root < 0 ? x.root : -errno, "open");
	if (fs.f_type != TMPFS_MAGIC || !pod_path_own_mount(r->pod, at))
		return error_set(err, -EBADMSG, "not a tmpfs that pods have");
	e = extract_mount(r, mount, &x, &paths, err);
	if (e == 0 && !paths.n)
		e = error_set(err, -EBADMSG, "the image lacks rootfs/tmpfs/%zu", mount);
	if (e == 0)
		e = clean_mount(&paths, x.root, err);
	if (e == 0)
		e = tree_extract_end(&x, err);
	/* Where it was for the attributes' sake must not keep the mount busy. */
	if (chdir("/") < 0 && e == 0)
		e = error_errno(err, -errno, "chdir '/'");
	return e;
}

static int tmpfs_pod_restore(struct restore *r, const struct node *n, struct ct_error *err)
{
	const struct node *list = node_array(n, "mounts");
	size_t count = node_count(list);

	for (size_t i = 0; i < count; i++) {
		const char *at = node_at_str(list, i);
		int e = doc_check(r->doc, err);

		if (e == 0)
			e = fill_mount(r, i, at, err);
		if (e < 0)
			return error_prefix(err, e, "%s", at);
	}
	if (r->entry)
		return error_set(err, -EBADMSG, "%s: not where the manifest says",
				 archive_entry_pathname(r->entry));
	return 0;
}

const struct kind kind_tmpfs = {
	.name = "tmpfs",
	.carries = "what is in /run, /dev/shm and /dev",
	.victims = "tmpfs",
	.pod_dump = tmpfs_pod_dump,
	.pod_restore = tmpfs_pod_restore,
};
