/* SPDX-License-Identifier: Apache-2.0 */
/* The pod's files out of the image, before the pod is there: see rootfs.h. */
#include "libct/kind/rootfs.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/xattr.h>

#include "libct/base/io.h"
#include "libct/base/sys.h"
#include "libct/kind/tree.h"

struct files {
	struct restore *r;
	struct tree_extract *trees; /* by number */
	bool *seen; /* the root of each */
	size_t n_trees;
	bool *embedded; /* by index in the manifest: was there */
	size_t n_embedded;
	struct archive *archive;
};

/* ---- upper trees ---- */

static int open_tree_root(struct files *f, size_t tree, struct ct_error *err)
{
	int dirfd = f->r->pod->dirfd;
	char name[64];

	if (f->trees[tree].root >= 0)
		return 0;
	if (mkdirat(dirfd, "upper", 0755) < 0 && errno != EEXIST)
		return error_errno(err, -errno, "make '%s/upper'", f->r->pod->dir);
	snprintf(name, sizeof(name), "upper/%zu", tree);
	if (mkdirat(dirfd, name, 0700) < 0 && errno != EEXIST)
		return error_errno(err, -errno, "make '%s/%s'", f->r->pod->dir, name);
	snprintf(name, sizeof(name), "upper/%zu/data", tree);
	if (mkdirat(dirfd, name, 0755) < 0 && errno != EEXIST)
		return error_errno(err, -errno, "make '%s/%s'", f->r->pod->dir, name);
	f->trees[tree].upper = true;
	f->trees[tree].root = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return f->trees[tree].root < 0 ? error_errno(err, -errno, "open '%s'", name) : 0;
}

/*
 * "<number>" or "<number>/<rest>": the rest, NULL where it is neither. Numbers are written in one way only.
 */
static const char *parse_number(const char *text, size_t *ret)
{
	char *end;
	unsigned long v = strtoul(text, &end, 10);

	if (end == text || *text < '0' || *text > '9' || (*text == '0' && end > text + 1) ||
	    v > 1000000 || (*end && *end != '/'))
		return NULL;
	*ret = v;
	return *end ? end + 1 : end;
}

/* What a hard link's target is below the same prefix. */
static int link_below(const char *path, const char *rel, const char *link, const char **ret,
		      struct ct_error *err)
{
	size_t prefix = (size_t)(rel - path);

	*ret = NULL;
	if (!link)
		return 0;
	if (strncmp(link, path, prefix) || !link[prefix])
		return error_set(err, -EBADMSG, "a hard link to '%s', which is elsewhere", link);
	*ret = link + prefix;
	return 0;
}

static int extract_upper(struct files *f, size_t tree, const char *rel, const char *link,
			 struct archive_entry *entry, struct ct_error *err)
{
	int e;

	if (tree >= f->n_trees || f->r->pod->config.trees[tree].plain)
		return error_set(err, -EBADMSG, "the pod has no such tree");
	if (!*rel)
		f->seen[tree] = true;
	e = open_tree_root(f, tree, err);
	return e < 0 ? e : tree_extract(&f->trees[tree], rel, link, entry, tree_data_archive, f->archive, err);
}

/* ---- embedded files ---- */

static const struct node *find_embedded(struct files *f, size_t tree, const char *rel)
{
	const struct node *list = node_array(f->r->root, "embedded");

	for (size_t i = 0; i < f->n_embedded; i++) {
		const struct node *n = node_at(list, i);

		if (node_u64(n, "tree", f->n_trees) == tree && !strcmp(node_str(n, "path"), rel)) {
			f->embedded[i] = true;
			return n;
		}
	}
	return NULL;
}

int rootfs_open_host(const struct pod_config *config, size_t tree, const char *rel, uint64_t size)
{
	cleanup_fd int lower = -1, fd = -1;
	struct stat st;

	if (tree >= config->n_trees || !tree_path_valid(rel))
		return -ENOENT;
	lower = open(config->trees[tree].lower, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (lower < 0)
		return -errno;
	fd = sys_openat2(lower, rel, O_PATH | O_NOFOLLOW, 0, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size != size)
		return -ENOENT;
	fd_close(fd);
	fd = sys_openat2(lower, rel, O_RDONLY | O_NOFOLLOW, 0, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
	return take_fd(&fd);
}

bool rootfs_host_has(const struct pod_config *config, size_t tree, const char *rel, uint64_t size,
		     uint64_t digest)
{
	cleanup_fd int fd = rootfs_open_host(config, tree, rel, size);
	uint64_t there;

	return fd >= 0 && rootfs_digest(fd, &size, &there) == 0 && there == digest;
}

/* A directory of the upper tree that lies over one of the host, or over nothing. */
static int make_directory(struct files *f, size_t tree, const char *rel, struct ct_error *err)
{
	cleanup_fd int lower = open(f->r->pod->config.trees[tree].lower, O_PATH | O_DIRECTORY | O_CLOEXEC);
	cleanup_fd int upper = -1, theirs = -1;
	int root = f->trees[tree].root;
	struct timespec times[2];
	struct stat st;

	upper = sys_openat2(root, rel, O_PATH | O_DIRECTORY, 0, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
	if (upper != -ENOENT)
		return upper < 0 ? error_errno(err, upper, "open '%s'", rel) : 0;
	theirs = lower < 0 ? -ENOENT
			   : sys_openat2(lower, rel, O_PATH | O_NOFOLLOW, 0,
					 RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
	if (theirs >= 0 && (fstat(theirs, &st) < 0 || !S_ISDIR(st.st_mode)))
		return error_set(err, -ENOSYS,
				 "the pod has a file in '/%s', which on this host is no directory; restore with "
				 "--rootfs over a tree like that of the other host",
				 rel);
	if (mkdirat(root, rel, 0755) < 0)
		return error_errno(err, -errno, "make '%s'", rel);
	if (theirs < 0)
		return 0;
	times[0] = st.st_atim;
	times[1] = st.st_mtim;
	if (fchownat(root, rel, st.st_uid, st.st_gid, 0) < 0 ||
	    fchmodat(root, rel, st.st_mode & 07777, 0) < 0 || utimensat(root, rel, times, 0) < 0)
		return error_errno(err, -errno, "make '%s'", rel);
	return 0;
}

static int make_parents(struct files *f, size_t tree, const char *rel, struct ct_error *err)
{
	char part[PATH_MAX];

	for (const char *slash = strchr(rel, '/'); slash; slash = strchr(slash + 1, '/')) {
		size_t len = (size_t)(slash - rel);
		int e;

		if (len >= sizeof(part))
			return error_set(err, -ENAMETOOLONG, "'%s'", rel);
		memcpy(part, rel, len);
		part[len] = '\0';
		e = make_directory(f, tree, part, err);
		if (e < 0)
			return e;
	}
	return 0;
}

static int extract_embedded(struct files *f, size_t tree, const char *rel, struct archive_entry *entry,
			    struct ct_error *err)
{
	const struct node *n;
	int e;

	if (tree >= f->n_trees || f->r->pod->config.trees[tree].plain || !*rel ||
	    !tree_path_valid(rel) || archive_entry_filetype(entry) != AE_IFREG ||
	    archive_entry_hardlink(entry))
		return error_set(err, -EBADMSG, "no file of a lower tree");
	n = find_embedded(f, tree, rel);
	if (!n)
		return error_set(err, -EBADMSG, "the manifest does not know it");
	if ((uint64_t)archive_entry_size(entry) != node_u64(n, "size", INT64_MAX))
		return error_set(err, -EBADMSG, "another size than the manifest says");
	e = doc_check(f->r->doc, err);
	if (e < 0 || rootfs_host_has(&f->r->pod->config, tree, rel, node_u64(n, "size", INT64_MAX),
				     node_hex(n, "digest")))
		return e;
	e = open_tree_root(f, tree, err);
	if (e == 0)
		e = make_parents(f, tree, rel, err);
	return e < 0 ? e : tree_extract(&f->trees[tree], rel, NULL, entry, tree_data_archive, f->archive, err);
}

/* ---- the whole ---- */

static int extract_log(struct files *f, struct archive_entry *entry, struct ct_error *err)
{
	cleanup_fd int fd = openat(f->r->pod->dirfd, "log", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	const void *bytes;
	size_t len;
	off_t at;
	int e;

	if (fd < 0)
		return error_errno(err, -errno, "make '%s/log'", f->r->pod->dir);
	while ((e = tree_data_archive(f->archive, &bytes, &len, &at, err)) > 0) {
		e = io_pwrite_all(fd, bytes, len, at);
		if (e < 0)
			return error_errno(err, e, "write '%s/log'", f->r->pod->dir);
	}
	return e;
}

static int extract(struct files *f, const char *path, struct archive_entry *entry, struct ct_error *err)
{
	const char *link = archive_entry_hardlink(entry), *rel, *target;
	size_t number;
	int e;

	if (!strcmp(path, "log/output"))
		return extract_log(f, entry, err);
	if (!strncmp(path, "rootfs/embedded/", 16)) {
		rel = parse_number(path + 16, &number);
		if (rel)
			return extract_embedded(f, number, rel, entry, err);
	} else if (!strncmp(path, "rootfs/", 7)) {
		rel = parse_number(path + 7, &number);
		e = rel ? link_below(path, rel, link, &target, err) : 0;
		if (rel)
			return e < 0 ? e : extract_upper(f, number, rel, target, entry, err);
	}
	return error_set(err, -EBADMSG, "not a member that this version knows");
}

int rootfs_next_entry(struct restore *r, struct ct_error *err)
{
	struct archive_entry *entry;
	int e = archive_read_next_header(r->files, &entry);

	r->entry = NULL;
	if (e != ARCHIVE_OK && e != ARCHIVE_EOF)
		return error_set(err, -EBADMSG, "files: %s", archive_error_string(r->files));
	if (e == ARCHIVE_OK && !archive_entry_pathname(entry))
		return error_set(err, -EBADMSG, "a member without a name");
	if (e == ARCHIVE_OK)
		r->entry = entry;
	return 0;
}

/* Tar marks directories by a slash at the end. */
static char *entry_path(struct archive_entry *entry)
{
	char *path = strdup(archive_entry_pathname(entry));
	size_t len = path ? strlen(path) : 0;

	if (len && path[len - 1] == '/')
		path[len - 1] = '\0';
	return path;
}

static bool is_tmpfs(const char *path)
{
	return !strncmp(path, "rootfs/tmpfs/", 13);
}

int rootfs_tmpfs_entry(struct restore *r, char **ret_path, size_t *ret_mount, const char **ret_rel,
		       const char **ret_link, struct ct_error *err)
{
	char *path = entry_path(r->entry);
	int e;

	if (!path)
		return error_errno(err, -ENOMEM, "files");
	*ret_path = path;
	*ret_rel = is_tmpfs(path) ? parse_number(path + 13, ret_mount) : NULL;
	if (!*ret_rel)
		return error_set(err, -EBADMSG, "%s: a member out of order", path);
	e = link_below(path, *ret_rel, archive_entry_hardlink(r->entry), ret_link, err);
	return e < 0 ? error_prefix(err, e, "%s", path) : 0;
}

static int extract_all(struct files *f, struct ct_error *err)
{
	struct restore *r = f->r;
	int e = rootfs_next_entry(r, err);

	while (e == 0 && r->entry) {
		cleanup_free char *path = entry_path(r->entry);

		if (!path)
			return error_errno(err, -ENOMEM, "files");
		if (is_tmpfs(path))
			break;
		e = extract(f, path, r->entry, err);
		if (e < 0)
			return error_prefix(err, e, "%s", path);
		e = rootfs_next_entry(r, err);
	}
	return e;
}

static int finish(struct files *f, struct ct_error *err)
{
	for (size_t i = 0; i < f->n_trees; i++) {
		int e;

		if (!f->r->pod->config.trees[i].plain && !f->seen[i])
			return error_set(err, -EBADMSG, "the image lacks rootfs/%zu, a tree of the pod", i);
		e = f->trees[i].root < 0 ? 0 : tree_extract_end(&f->trees[i], err);
		if (e < 0)
			return error_prefix(err, e, "rootfs/%zu", i);
	}
	for (size_t i = 0; i < f->n_embedded; i++)
		if (!f->embedded[i])
			return error_set(err, -EBADMSG, "the image lacks embedded file %zu of its manifest", i);
	return 0;
}

int rootfs_restore(struct restore *r, struct archive *files, struct ct_error *err)
{
	struct files f = { .r = r, .archive = files, .n_trees = r->pod->config.n_trees };
	int e = 0;

	r->files = files;
	f.n_embedded = node_count(node_array(r->root, "embedded"));
	f.trees = calloc(f.n_trees + 1, sizeof(*f.trees));
	f.seen = calloc(f.n_trees + 1, sizeof(*f.seen));
	f.embedded = calloc(f.n_embedded + 1, sizeof(*f.embedded));
	if (!f.trees || !f.seen || !f.embedded)
		e = error_errno(err, -ENOMEM, "files");
	for (size_t i = 0; f.trees && i < f.n_trees; i++)
		f.trees[i] = TREE_EXTRACT_NONE;
	if (e == 0)
		e = doc_check(r->doc, err);
	if (e == 0)
		e = extract_all(&f, err);
	if (e == 0)
		e = finish(&f, err);
	for (size_t i = 0; f.trees && i < f.n_trees; i++)
		tree_extract_release(&f.trees[i]);
	free(f.trees);
	free(f.seen);
	free(f.embedded);
	return e;
}
