/* SPDX-License-Identifier: Apache-2.0 */
/* What is asked about files during a dump: the pod's mounts, its root, which files have no name. */
#include <fcntl.h>

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
	struct file_names *names;
};

void file_context_free(struct file_context *files)
{
	if (!files)
		return;
	mountinfo_release(&files->mounts);
	mountinfo_release(&files->host);
	fd_close(files->root);
	free(files->nameless);
	file_names_free(files->names);
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
	mountinfo_read_at(proc, "self/mountinfo", &files->host);
	file_context_look(files, proc, pid1);
	return files;
}

void file_context_look(struct file_context *files, int proc, pid_t pid1)
{
	char path[64];

	snprintf(path, sizeof(path), "%d/mountinfo", pid1);
	mountinfo_release(&files->mounts);
	mountinfo_read_at(proc, path, &files->mounts);
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

struct file_names **file_names(struct dump *d)
{
	return &d->files->names;
}
