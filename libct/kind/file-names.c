/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The other names of files that were deleted under one: every regular file of a mount is listed once, when
 * the first such file is met.
 *
 * In an overlay it is the upper tree that is listed, where inodes have other numbers than in the pod's
 * view. An entry of the same size and times looks like the file; the pod's view of that path decides.
 */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

#include "libct/base/cleanup.h"
#include "libct/kind/file.h"

struct name {
	ino_t ino;
	off_t size;
	struct timespec modified, changed;
	char *path; /* below the mount, from its slash on */
};

struct file_names {
	struct file_names *next;
	char *at;   /* the mount point in the pod */
	bool upper; /* the list is of an upper tree */
	struct name *list;
	size_t n, max;
};

void file_names_free(struct file_names *names)
{
	while (names) {
		struct file_names *next = names->next;

		for (size_t i = 0; i < names->n; i++)
			free(names->list[i].path);
		free(names->list);
		free(names->at);
		free(names);
		names = next;
	}
}

static int add(struct file_names *names, const struct stat *st, const char *path)
{
	struct name *n;

	if (names->n == names->max) {
		size_t max = names->max ? names->max * 2 : 256;

		n = reallocarray(names->list, max, sizeof(*n));
		if (!n)
			return -ENOMEM;
		names->list = n;
		names->max = max;
	}
	n = &names->list[names->n];
	*n = (struct name){ st->st_ino, st->st_size, st->st_mtim, st->st_ctim, strdup(path) };
	if (!n->path)
		return -ENOMEM;
	names->n++;
	return 0;
}

/* `path` has room for PATH_MAX bytes. What vanishes meanwhile is no longer a name. */
static int list_below(struct file_names *names, int dirfd, char *path, dev_t dev)
{
	cleanup_dir DIR *dir = fdopendir(dirfd);
	size_t len = strlen(path);
	struct dirent *e;
	struct stat st;
	int r = 0;

	if (!dir) {
		fd_close(dirfd);
		return -ENOMEM;
	}
	while (r == 0 && (e = readdir(dir))) {
		int fd;

		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		if (len + strlen(e->d_name) + 2 > PATH_MAX ||
		    fstatat(dirfd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_dev != dev)
			continue;
		sprintf(path + len, "/%s", e->d_name);
		if (S_ISDIR(st.st_mode)) {
			fd = openat(dirfd, e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
			r = fd < 0 ? 0 : list_below(names, fd, path, dev);
		} else if (S_ISREG(st.st_mode)) {
			r = add(names, &st, path);
		}
		path[len] = '\0';
	}
	return r;
}

/* The directory to list: the upper one of an overlay, else the mount itself. */
static int open_list(struct dump *d, const struct mount_entry *mount, bool *ret_upper)
{
	const char *below;
	char name[64];
	size_t tree;

	*ret_upper = !strcmp(mount->type, "overlay") &&
		     pod_path_tree(&d->pod->config, mount->at, &tree, &below) && !*below;
	if (*ret_upper) {
		snprintf(name, sizeof(name), "upper/%zu/data", tree);
		return openat(d->pod->dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	} else {
		cleanup_fd int at = file_open_path(d, mount->at);

		return at < 0 ? at : openat(at, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
}

static int names_of(struct dump *d, const struct mount_entry *mount, struct file_names **ret)
{
	struct file_names **head = file_names(d), *names;
	cleanup_free char *path = NULL;
	struct stat st;
	int fd;

	for (names = *head; names; names = names->next)
		if (!strcmp(names->at, mount->at)) {
			*ret = names;
			return 0;
		}
	names = calloc(1, sizeof(*names));
	path = calloc(1, PATH_MAX);
	if (!names || !path) {
		free(names);
		return -ENOMEM;
	}
	names->next = *head;
	*head = *ret = names;
	names->at = strdup(mount->at);
	if (!names->at)
		return -ENOMEM;
	fd = open_list(d, mount, &names->upper);
	if (fd < 0)
		return 0; /* nothing to be found there */
	if (fstat(fd, &st) < 0) {
		fd_close(fd);
		return 0;
	}
	return list_below(names, fd, path, st.st_dev);
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

int file_other_name(struct dump *d, const struct fd_view *v, const struct mount_entry *mount, char **ret)
{
	struct file_names *names;
	int r = names_of(d, mount, &names);

	for (size_t i = 0; r == 0 && i < names->n; i++) {
		const struct name *n = &names->list[i];
		cleanup_free char *path = NULL;

		if (names->upper ? n->size != v->st.st_size || !same_time(&n->changed, &v->st.st_ctim) ||
					   !same_time(&n->modified, &v->st.st_mtim)
				 : n->ino != v->st.st_ino)
			continue;
		if (asprintf(&path, "%s%s", strcmp(mount->at, "/") ? mount->at : "", n->path) < 0)
			return -ENOMEM;
		if (file_is_at(d, path, &v->st)) {
			*ret = take_ptr(path);
			return 0;
		}
	}
	return r < 0 ? r : -ENOENT;
}
