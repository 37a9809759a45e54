/* SPDX-License-Identifier: Apache-2.0 */
/* What is asked about files during a dump: the pod's mounts, its root, and which files have no name. */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "libct/base/sys.h"
#include "libct/kind/file.h"

struct nameless {
	dev_t dev;
	ino_t ino;
	uint32_t id;
};

struct file_context {
	struct mountinfo mounts, host;
	int root; /* the pod's, O_PATH */
	struct nameless *nameless;
	size_t n, max;
};

void file_context_free(struct file_context *files)
{
	if (!files)
		return;
	mountinfo_release(&files->mounts);
	mountinfo_release(&files->host);
	fd_close(files->root);
	free(files->nameless);
	free(files);
}

struct file_context *file_context_new(int proc, pid_t pid1)
{
	struct file_context *files = calloc(1, sizeof(*files));
	char path[64];

	if (!files)
		return NULL;
	snprintf(path, sizeof(path), "%d/root", pid1);
	files->root = openat(proc, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	snprintf(path, sizeof(path), "%d/mountinfo", pid1);
	mountinfo_read_at(proc, path, &files->mounts);
	mountinfo_read_at(proc, "self/mountinfo", &files->host);
	return files;
}

const struct mountinfo *file_mounts(struct dump *d)
{
	return &d->files->mounts;
}

const struct mountinfo *file_host_mounts(struct dump *d)
{
	return &d->files->host;
}

const struct mount_entry *file_mount(struct dump *d, unsigned int mnt_id)
{
	for (size_t i = 0; i < d->files->mounts.n; i++)
		if ((unsigned int)d->files->mounts.entries[i].id == mnt_id)
			return &d->files->mounts.entries[i];
	return NULL;
}

int file_open_path(struct dump *d, const char *path)
{
	while (*path == '/')
		path++;
	return sys_openat2(d->files->root, *path ? path : ".", O_PATH | O_NOFOLLOW, 0,
			   RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS);
}

bool file_is_at(struct dump *d, const char *path, const struct stat *st)
{
	cleanup_fd int fd = file_open_path(d, path);
	struct stat there;

	return fd >= 0 && fstat(fd, &there) == 0 && there.st_dev == st->st_dev &&
	       there.st_ino == st->st_ino;
}

int file_first(struct dump *d, const struct fd_view *v, uint32_t *ret)
{
	struct file_context *files = d->files;
	struct nameless *grown;

	for (size_t i = 0; i < files->n; i++)
		if (files->nameless[i].dev == v->st.st_dev && files->nameless[i].ino == v->st.st_ino) {
			*ret = files->nameless[i].id;
			return 0;
		}
	if (files->n == files->max) {
		grown = reallocarray(files->nameless, files->max ? files->max * 2 : 16, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		files->nameless = grown;
		files->max = files->max ? files->max * 2 : 16;
	}
	files->nameless[files->n++] = (struct nameless){ v->st.st_dev, v->st.st_ino, v->id };
	*ret = v->id;
	return 0;
}

/* ---- hard links ---- */

struct search {
	struct dump *d;
	const struct stat *st; /* of the file, as the pod sees it */
	const char *at;	       /* where the directory that is walked appears in the pod */
	bool upper;	       /* it is the upper layer of an overlay: numbers of inodes differ from those */
	dev_t dev;
	char path[PATH_MAX];   /* below */
	char *found;
};

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* Is the entry the file? In an upper layer it only looks like it; the pod's view decides. */
static void consider(struct search *s, const struct stat *st)
{
	char *path;

	if (!S_ISREG(st->st_mode))
		return;
	if (s->upper && (st->st_size != s->st->st_size || !same_time(&st->st_ctim, &s->st->st_ctim) ||
			 !same_time(&st->st_mtim, &s->st->st_mtim)))
		return;
	if (!s->upper && st->st_ino != s->st->st_ino)
		return;
	if (asprintf(&path, "%s%s", strcmp(s->at, "/") ? s->at : "", s->path) < 0)
		return;
	if (file_is_at(s->d, path, s->st))
		s->found = path;
	else
		free(path);
}

static int search_below(struct search *s, int dirfd)
{
	cleanup_dir DIR *dir = fdopendir(dirfd);
	size_t len = strlen(s->path);
	struct dirent *e;
	struct stat st;

	if (!dir) {
		fd_close(dirfd);
		return -ENOMEM;
	}
	while (!s->found && (e = readdir(dir))) {
		int r, fd;

		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		if (len + strlen(e->d_name) + 2 > sizeof(s->path) ||
		    fstatat(dirfd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_dev != s->dev)
			continue;
		sprintf(s->path + len, "/%s", e->d_name);
		if (S_ISDIR(st.st_mode)) {
			fd = openat(dirfd, e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
			r = fd < 0 ? 0 : search_below(s, fd);
			if (r < 0)
				return r;
		} else {
			consider(s, &st);
		}
		s->path[len] = '\0';
	}
	return 0;
}

int file_other_name(struct dump *d, const struct fd_view *v, const struct mount_entry *mount, char **ret)
{
	struct search *s = calloc(1, sizeof(*s));
	const char *below;
	char upper[64];
	struct stat st;
	size_t tree;
	int fd, r;

	if (!s)
		return -ENOMEM;
	*s = (struct search){ .d = d, .st = &v->st, .at = mount->at };
	s->upper = !strcmp(mount->type, "overlay") &&
		   pod_path_tree(&d->pod->config, mount->at, &tree, &below) && !*below;
	if (s->upper) {
		snprintf(upper, sizeof(upper), "upper/%zu/data", tree);
		fd = openat(d->pod->dirfd, upper, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	} else {
		cleanup_fd int at = file_open_path(d, mount->at);

		fd = at < 0 ? at : openat(at, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	r = fd < 0 || fstat(fd, &st) < 0 ? -ENOENT : 0;
	if (r == 0) {
		s->dev = st.st_dev;
		r = search_below(s, fd);
	} else {
		fd_close(fd);
	}
	*ret = s->found;
	r = r < 0 ? r : s->found ? 0 : -ENOENT;
	free(s);
	return r;
}
