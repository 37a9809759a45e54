/* SPDX-License-Identifier: Apache-2.0 */
/* The pod's files into the image: see rootfs.h. */
#include "libct/kind/rootfs.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <xxhash.h>

#include "images/archive.h"
#include "libct/base/sys.h"
#include "libct/kind/file.h"
#include "libct/kind/tree.h"

#define HASH_BUFFER (1u << 20)

/* ---- files of the lower trees ---- */

/* Is there anything of that path in the upper tree? */
static bool in_upper(struct dump *d, size_t tree, const char *below)
{
	cleanup_fd int upper = -1, fd = -1;
	char name[64];

	snprintf(name, sizeof(name), "upper/%zu/data", tree);
	upper = openat(d->pod->dirfd, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (upper < 0)
		return false;
	fd = sys_openat2(upper, below, O_PATH | O_NOFOLLOW, 0, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
	return fd >= 0;
}

static bool is_lower(struct dump *d, const struct node *n, struct lower_file *ret)
{
	if (strcmp(node_str(n, "kind"), "file") || strcmp(node_str(n, "home"), "path") ||
	    strcmp(node_str(n, "type"), "regular"))
		return false;
	ret->path = node_str(n, "path");
	return pod_path_tree(&d->pod->config, ret->path, &ret->tree, &ret->below) && *ret->below &&
	       !in_upper(d, ret->tree, ret->below);
}

static int compare_lower(const void *a, const void *b)
{
	const struct lower_file *x = a, *y = b;

	if (x->tree != y->tree)
		return x->tree < y->tree ? -1 : 1;
	return strcmp(x->below, y->below);
}

/* Every lower file that a description leads to, once. */
ssize_t rootfs_find_lower(struct dump *d, struct lower_file **ret, struct ct_error *err)
{
	const struct node *list = node_array(d->root, "descriptors");
	size_t total = node_count(list), n = 0, unique = 0;
	cleanup_free struct lower_file *files = calloc(total + 1, sizeof(*files));

	if (!files)
		return error_errno(err, -ENOMEM, "files");
	for (size_t i = 0; i < total; i++)
		n += is_lower(d, node_at(list, i), &files[n]);
	qsort(files, n, sizeof(*files), compare_lower);
	for (size_t i = 0; i < n; i++)
		if (!unique || compare_lower(&files[unique - 1], &files[i]))
			files[unique++] = files[i];
	*ret = take_ptr(files);
	return (ssize_t)unique;
}

int rootfs_digest(int fd, uint64_t *ret_size, uint64_t *ret_digest)
{
	XXH3_state_t *state = XXH3_createState();
	char *buffer = malloc(HASH_BUFFER);
	ssize_t n = state && buffer ? 0 : -ENOMEM;

	*ret_size = 0;
	if (n == 0)
		XXH3_64bits_reset(state);
	while (n == 0) {
		n = pread(fd, buffer, HASH_BUFFER, (off_t)*ret_size);
		if (n < 0 && errno == EINTR) {
			n = 0;
			continue;
		}
		if (n <= 0) {
			n = n < 0 ? -errno : 1;
			break;
		}
		XXH3_64bits_update(state, buffer, (size_t)n);
		*ret_size += (uint64_t)n;
		n = 0;
	}
	if (n > 0)
		*ret_digest = XXH3_64bits_digest(state);
	XXH3_freeState(state);
	free(buffer);
	return n < 0 ? (int)n : 0;
}

int rootfs_open_lower(struct dump *d, const struct lower_file *file, struct ct_error *err)
{
	cleanup_fd int at = file_open_path(d, file->path);
	char name[64];
	int fd;

	if (at < 0)
		return error_errno(err, at, "open '%s'", file->path);
	snprintf(name, sizeof(name), "%d/fd/%d", getpid(), at);
	fd = openat(d->proc, name, O_RDONLY | O_NOATIME | O_CLOEXEC);
	return fd < 0 ? error_errno(err, -errno, "open '%s'", file->path) : fd;
}

int rootfs_describe(struct dump *d, struct ct_error *err)
{
	struct node *list = node_put_array(d->root, "embedded");
	cleanup_free struct lower_file *files = NULL;
	ssize_t n = rootfs_find_lower(d, &files, err);

	rootfs_early_stopped(d->early);
	for (ssize_t i = 0; i < n; i++) {
		cleanup_fd int fd = rootfs_open_lower(d, &files[i], err);
		struct node *o = node_put_object(list, NULL);
		uint64_t size, digest;
		int r = 0;

		if (fd < 0)
			return fd;
		if (!rootfs_early_digest(d->early, files[i].path, fd, &size, &digest))
			r = rootfs_digest(fd, &size, &digest);
		if (r < 0)
			return error_errno(err, r, "read '%s'", files[i].path);
		node_put_u64(o, "tree", files[i].tree);
		node_put_str(o, "path", files[i].below);
		node_put_u64(o, "size", size);
		node_put_hex(o, "digest", digest);
	}
	return n < 0 ? (int)n : 0;
}

/* ---- members ---- */

static int dump_uppers(struct dump *d, struct tree_dump *t, struct ct_error *err)
{
	for (size_t i = 0; i < d->pod->config.n_trees; i++) {
		cleanup_fd int fd = -1;
		char name[64], prefix[64];
		int r;

		if (d->pod->config.trees[i].plain)
			continue;
		snprintf(name, sizeof(name), "upper/%zu/data", i);
		snprintf(prefix, sizeof(prefix), "rootfs/%zu", i);
		fd = openat(d->pod->dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0)
			return error_errno(err, -errno, "open '%s/%s'", d->pod->dir, name);
		t->upper = true;
		r = tree_dump(t, fd, prefix, err);
		t->upper = false;
		if (r < 0)
			return r;
	}
	return 0;
}

static int dump_embedded(struct dump *d, struct tree_dump *t, struct ct_error *err)
{
	cleanup_free struct lower_file *files = NULL;
	ssize_t n = rootfs_find_lower(d, &files, err);

	for (ssize_t i = 0; i < n; i++) {
		cleanup_free char *parent = strdup(files[i].path), *member = NULL;
		cleanup_fd int fd = -1;
		char *name;
		int r;

		if (!parent || asprintf(&member, "rootfs/embedded/%zu/%s", files[i].tree,
					files[i].below) < 0)
			return error_errno(err, -ENOMEM, "files");
		name = strrchr(parent, '/');
		*name++ = '\0';
		fd = file_open_path(d, parent);
		if (fd < 0)
			return error_errno(err, fd, "open '%s'", parent);
		r = tree_dump_file(t, fd, name, member, err);
		if (r < 0)
			return r;
	}
	return n < 0 ? (int)n : 0;
}

/* What the pod wrote so far; absent with a terminal that nobody has written to. */
static int dump_log(struct dump *d, struct tree_dump *t, struct ct_error *err)
{
	if (faccessat(d->pod->dirfd, "log", F_OK, 0) < 0 && errno == ENOENT)
		return 0;
	return tree_dump_file(t, d->pod->dirfd, "log", "log/output", err);
}

int rootfs_dump_trees(struct dump *d, struct tree_dump *t, struct ct_error *err)
{
	int r = dump_uppers(d, t, err);

	return r < 0 ? r : dump_embedded(d, t, err);
}

static int dump_all(struct dump *d, struct tree_dump *t, struct ct_error *err)
{
	int r = rootfs_dump_trees(d, t, err);

	if (r == 0)
		r = dump_log(d, t, err);
	/* Last: they are extracted when the rest has made the pod. */
	return r < 0 ? r : tmpfs_dump(d, t, err);
}

static int dump_straight(struct dump *d, struct archive_writer *w, struct ct_error *err)
{
	__cleanup(tree_dump_release) struct tree_dump t = { .w = w };
	int r = archive_files_begin(w, &t.a, err);

	if (r == 0)
		r = dump_all(d, &t, err);
	return r < 0 ? r : archive_files_end(w, err);
}

/* Changes are added to what was taken early; all of it goes into the image when there is time. */
static int dump_staged(struct dump *d, struct tree_pieces *p, struct archive_writer *w,
		       struct ct_error *err)
{
	__cleanup(tree_dump_release) struct tree_dump t = { .pieces = p };
	int r;

	p->early = false;
	r = dump_all(d, &t, err);
	return r < 0 ? r : archive_files_gap(w, p->size, err);
}

int rootfs_dump(struct dump *d, struct archive_writer *w, struct ct_error *err)
{
	struct tree_pieces *p = rootfs_early_pieces(d->early);
	int r = p ? dump_staged(d, p, w, err) : dump_straight(d, w, err);

	if (!p || archive_stage_check(p->stage, NULL) == 0)
		return r;
	/* The state directory is full, which the image need not be concerned with. */
	tree_pieces_release(p);
	return dump_straight(d, w, err);
}

int rootfs_dump_late(struct rootfs_early *e, struct archive_writer *w, struct ct_error *err)
{
	struct tree_pieces *p = rootfs_early_pieces(e);

	return p ? archive_files_fill(w, p->stage, p->list, p->n, err) : 0;
}
