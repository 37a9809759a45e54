/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pod's own tmpfs mounts (/run, /dev/shm, and /dev with the nodes that the pod made there). What
 * is in them goes into the image as files. On restore it waits in a spool, since the image is read in one
 * pass and the mounts are there only later.
 *
 * Not carried: a mount's size limit where the pod changed it (the limits are those that run gives).
 */
#include <archive.h>
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

/* ---- restore: the spool ---- */

struct spooled {
	unsigned int mount;
	char *rel, *link;
	struct archive_entry *entry;
	off_t at, size; /* of its data in the file */
};

struct tmpfs_spool {
	struct spooled *list;
	size_t n, max;
	int fd;
	off_t end;
};

void tmpfs_spool_free(struct tmpfs_spool *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n; i++) {
		free(s->list[i].rel);
		free(s->list[i].link);
		archive_entry_free(s->list[i].entry);
	}
	free(s->list);
	fd_close(s->fd);
	free(s);
}

static int spool_open(struct restore *r, struct ct_error *err)
{
	if (r->spool)
		return 0;
	r->spool = calloc(1, sizeof(*r->spool));
	if (!r->spool)
		return error_errno(err, -ENOMEM, "files");
	r->spool->fd = openat(r->pod->dirfd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	return r->spool->fd < 0 ? error_errno(err, -errno, "make a file in '%s'", r->pod->dir) : 0;
}

/* Holes of the file are holes of the spool. */
static int spool_data(struct tmpfs_spool *s, struct spooled *f, struct archive *files, struct ct_error *err)
{
	const void *bytes;
	size_t len;
	off_t at;
	int e;

	while ((e = tree_data_archive(files, &bytes, &len, &at, err)) > 0) {
		if (at < 0 || at > f->size || (off_t)len > f->size - at)
			return error_set(err, -EBADMSG, "data behind its end");
		e = io_pwrite_all(s->fd, bytes, len, f->at + at);
		if (e < 0)
			return error_errno(err, e, "write");
	}
	return e;
}

int tmpfs_spool_put(struct restore *r, unsigned int mount, const char *rel, const char *link,
		    struct archive_entry *entry, struct archive *files, struct ct_error *err)
{
	int e = spool_open(r, err);
	struct tmpfs_spool *s = r->spool;
	struct spooled *f;

	if (e < 0)
		return e;
	if (s->n == s->max) {
		size_t max = s->max ? s->max * 2 : 64;

		f = reallocarray(s->list, max, sizeof(*f));
		if (!f)
			return error_errno(err, -ENOMEM, "files");
		s->list = f;
		s->max = max;
	}
	f = &s->list[s->n];
	*f = (struct spooled){ mount, strdup(rel), link ? strdup(link) : NULL, archive_entry_clone(entry),
			       s->end, archive_entry_size(entry) };
	s->n++;
	if (!f->rel || !f->entry || (link && !f->link))
		return error_errno(err, -ENOMEM, "files");
	if (f->size < 0 || __builtin_add_overflow(s->end, f->size, &s->end))
		return error_set(err, -EBADMSG, "a file of no possible size");
	return spool_data(s, f, files, err);
}

/* ---- restore: into the mounts ---- */

struct reading {
	int fd;
	off_t at, begin, end;
	char buffer[65536];
};

/* The data of a spooled file, holes left out. */
static int read_spool(void *context, const void **ret, size_t *ret_len, off_t *ret_at, struct ct_error *err)
{
	struct reading *in = context;
	off_t data = lseek(in->fd, in->at, SEEK_DATA);
	ssize_t n;

	if ((data < 0 && errno == ENXIO) || data >= in->end)
		return 0;
	if (data < 0)
		return error_errno(err, -errno, "read it back");
	n = pread(in->fd, in->buffer,
		  in->end - data < (off_t)sizeof(in->buffer) ? (size_t)(in->end - data) : sizeof(in->buffer),
		  data);
	if (n <= 0)
		return n < 0 ? error_errno(err, -errno, "read it back") : 0;
	*ret = in->buffer;
	*ret_len = (size_t)n;
	*ret_at = data - in->begin;
	in->at = data + n;
	return 1;
}

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

static int clean_mount(struct restore *r, unsigned int mount, int root, struct ct_error *err)
{
	struct tmpfs_spool *s = r->spool;
	cleanup_free char **names = calloc(s->n + 1, sizeof(*names));
	struct stat st;
	size_t n = 0;
	int fd;

	if (!names || fstat(root, &st) < 0)
		return error_errno(err, -ENOMEM, "files");
	for (size_t i = 0; i < s->n; i++)
		if (s->list[i].mount == mount)
			names[n++] = s->list[i].rel;
	qsort(names, n, sizeof(*names), compare_names);
	fd = openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? error_errno(err, -errno, "open") : remove_others(fd, "", names, n, st.st_dev, err);
}

static int fill_mount(struct restore *r, unsigned int mount, const char *at, struct ct_error *err)
{
	__cleanup(tree_extract_release) struct tree_extract x = TREE_EXTRACT_NONE;
	cleanup_free struct reading *in = malloc(sizeof(*in));
	struct statfs fs;
	int e = 0;

	if (!in)
		return error_errno(err, -ENOMEM, "files");
	x.inside = x.merge = true;
	x.tame = !(r->pod->config.capabilities & UINT64_C(1) << CAP_MKNOD);
	x.root = sys_openat2(AT_FDCWD, at, O_RDONLY | O_DIRECTORY, 0, RESOLVE_NO_SYMLINKS);
	if (x.root < 0 || fstatfs(x.root, &fs) < 0)
		return error_errno(err, x.root < 0 ? x.root : -errno, "open");
	if (fs.f_type != TMPFS_MAGIC || !pod_path_own_mount(r->pod, at))
		return error_set(err, -EBADMSG, "not a tmpfs that pods have");
	e = clean_mount(r, mount, x.root, err);
	for (size_t i = 0; e == 0 && i < r->spool->n; i++) {
		struct spooled *f = &r->spool->list[i];

		if (f->mount != mount)
			continue;
		in->fd = r->spool->fd;
		in->at = in->begin = f->at;
		in->end = f->at + f->size;
		e = tree_extract(&x, f->rel, f->link, f->entry, read_spool, in, err);
		if (e < 0)
			error_prefix(err, e, "%s", f->rel);
	}
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

		if (e == 0 && !r->spool)
			e = error_set(err, -EBADMSG, "the image has no files for it");
		if (e == 0)
			e = fill_mount(r, (unsigned int)i, at, err);
		if (e < 0)
			return error_prefix(err, e, "%s", at);
	}
	tmpfs_spool_free(r->spool);
	r->spool = NULL;
	return 0;
}

const struct kind kind_tmpfs = {
	.name = "tmpfs",
	.carries = "what is in /run, /dev/shm and /dev",
	.victims = "tmpfs",
	.pod_dump = tmpfs_pod_dump,
	.pod_restore = tmpfs_pod_restore,
};
