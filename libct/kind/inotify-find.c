/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From an inode to a name. Handles cannot be opened on overlays, and nothing else leads back, so names
 * are tried: where inode numbers agree, a watch of our own on the candidate must show the same line.
 */
#include "libct/kind/inotify.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/sysmacros.h>

#include "libct/base/cleanup.h"
#include "libct/base/sys.h"

#define MAX_DIRECTORIES 2000000

struct search {
	struct dump *d;
	int root; /* of the pod */
	struct inotify_watch *list;
	size_t n, left;
	char **queue; /* directories to look into */
	size_t first, last, max;
};

static void search_release(struct search *s)
{
	for (size_t i = s->first; i < s->last; i++)
		free(s->queue[i]);
	free(s->queue);
	fd_close(s->root);
}

int inotify_parse(const char *fdinfo, struct inotify_watch **ret, size_t *ret_n)
{
	struct inotify_watch *list = NULL, *grown;
	const char *at = fdinfo;
	size_t n = 0;

	for (; (at = strstr(at, "inotify wd:")); at++) {
		struct inotify_watch w = { 0 };
		unsigned int dev;

		if (sscanf(at, "inotify wd:%x ino:%" SCNx64 " sdev:%x mask:%x ignored_mask:%*x %299[^\n]",
			   (unsigned int *)&w.wd, &w.inode, &dev, &w.mask, w.handle) < 4) {
			free(list);
			return -ENOSYS;
		}
		w.major = dev >> 20;
		w.minor = dev & 0xfffff;
		grown = realloc(list, sizeof(*list) * (n + 1));
		if (!grown) {
			free(list);
			return -ENOMEM;
		}
		list = grown;
		list[n++] = w;
	}
	*ret = list;
	*ret_n = n;
	return 0;
}

void inotify_watches_free(struct inotify_watch *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(list[i].path);
	free(list);
}

static int open_in_pod(struct search *s, const char *path, int flags)
{
	return sys_openat2(s->root, path, (uint64_t)flags, 0, RESOLVE_IN_ROOT);
}

/* What a watch of ours on an O_PATH descriptor shows. */
static int look(struct search *s, int fd, struct inotify_watch *ret)
{
	cleanup_fd int scratch = inotify_init1(IN_CLOEXEC);
	cleanup_free char *info = NULL;
	struct inotify_watch *list;
	char name[64];
	size_t n;
	int r;

	if (scratch < 0)
		return -errno;
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	if (inotify_add_watch(scratch, name, IN_DELETE_SELF) < 0)
		return -errno;
	snprintf(name, sizeof(name), "fdinfo/%d", scratch);
	if (proc_read(s->d->proc, getpid(), name, &info) < 0)
		return -EIO;
	r = inotify_parse(info, &list, &n);
	if (r == 0 && n == 1)
		*ret = list[0];
	if (r == 0)
		inotify_watches_free(list, n);
	return r < 0 ? r : n == 1 ? 0 : -EIO;
}

static void try_path(struct search *s, const char *path)
{
	cleanup_fd int fd = open_in_pod(s, path, O_PATH | O_NOFOLLOW);
	struct inotify_watch seen = { 0 };
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return;
	for (size_t i = 0; i < s->n; i++) {
		struct inotify_watch *w = &s->list[i];

		if (w->path || w->inode != st.st_ino)
			continue;
		if (!seen.inode && look(s, fd, &seen) < 0)
			return;
		if (seen.inode != w->inode || seen.major != w->major || seen.minor != w->minor ||
		    strcmp(seen.handle, w->handle))
			continue;
		w->path = strdup(path);
		if (w->path)
			s->left--;
	}
}

/* A path and everything above it. */
static void try_up(struct search *s, const char *link)
{
	cleanup_free char *path = *link == '/' ? strdup(link) : NULL;
	char *slash;

	if (!path)
		return;
	while (s->left && (slash = strrchr(path, '/')) && slash != path) {
		try_path(s, path);
		*slash = '\0';
	}
	try_path(s, "/");
}

/* Programs watch what they work with: working directories, programs, open files. */
static void try_processes(struct search *s)
{
	static const char *const links[] = { "cwd", "root", "exe" };
	uint32_t id = 0;
	char name[64];
	pid_t pid;
	int fd;

	for (size_t i = 0; s->left && i < s->d->n_processes; i++)
		for (size_t k = 0; s->left && k < sizeof(links) / sizeof(links[0]); k++) {
			cleanup_free char *link = NULL;

			if (proc_readlink(s->d->proc, s->d->processes[i].pid, links[k], &link) == 0)
				try_up(s, link);
		}
	for (; s->left && dump_descriptor_holder(s->d, id, &pid, &fd); id++) {
		cleanup_free char *link = NULL;

		snprintf(name, sizeof(name), "fd/%d", fd);
		if (proc_readlink(s->d->proc, pid, name, &link) == 0)
			try_up(s, link);
	}
}

static int push(struct search *s, char *path)
{
	char **grown;

	if (!path)
		return -ENOMEM;
	if (s->last == s->max) {
		grown = realloc(s->queue, sizeof(*grown) * (s->max = s->max ? s->max * 2 : 1024));
		if (!grown) {
			free(path);
			return -ENOMEM;
		}
		s->queue = grown;
	}
	s->queue[s->last++] = path;
	return 0;
}

static bool wanted(const struct search *s, ino_t inode)
{
	for (size_t i = 0; i < s->n; i++)
		if (!s->list[i].path && s->list[i].inode == inode)
			return true;
	return false;
}

/* Is it on one of the file systems that are searched? Mounts below are searched by themselves. */
static bool on_device(const struct search *s, dev_t dev)
{
	for (size_t i = 0; i < s->n; i++)
		if (!s->list[i].path && dev == makedev(s->list[i].major, s->list[i].minor))
			return true;
	return false;
}

static int search_directory(struct search *s, const char *path)
{
	int fd = open_in_pod(s, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
	cleanup_dir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	struct stat st;

	if (!dir) {
		fd_close(fd);
		return 0; /* gone meanwhile */
	}
	while (s->left && (e = readdir(dir))) {
		cleanup_free char *below = NULL;
		bool directory = e->d_type == DT_DIR;

		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		/* d_ino of a directory on an overlay may be that of a layer. */
		if (directory && (fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
				  !on_device(s, st.st_dev)))
			continue;
		if (!directory && !wanted(s, e->d_ino))
			continue;
		if (asprintf(&below, "%s/%s", path[1] ? path : "", e->d_name) < 0)
			return -ENOMEM;
		if (!directory || wanted(s, st.st_ino))
			try_path(s, below);
		if (directory) {
			int r = push(s, take_ptr(below));

			if (r < 0)
				return r;
		}
	}
	return 0;
}

/* Mount points of the file systems in question, as the pod sees them. */
static int push_mounts(struct search *s)
{
	cleanup_free char *text = NULL;
	ssize_t n = proc_read(s->d->proc, s->d->pod->state.pid1, "mountinfo", &text);
	char *save, *line;

	if (n < 0)
		return (int)n;
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		unsigned int major, minor;
		char at[4096];
		int r;

		if (sscanf(line, "%*d %*d %u:%u %*s %4095s", &major, &minor, at) != 3 ||
		    !on_device(s, makedev(major, minor)))
			continue;
		try_path(s, at);
		r = push(s, strdup(at));
		if (r < 0)
			return r;
	}
	return 0;
}

int inotify_find(struct dump *d, struct inotify_watch *list, size_t n, struct ct_error *err)
{
	__cleanup(search_release) struct search s = { .d = d, .list = list, .n = n, .left = n };
	int r;

	s.root = proc_open(d->proc, d->pod->state.pid1, "root", O_PATH | O_DIRECTORY);
	if (s.root < 0)
		return error_errno(err, s.root, "open the pod's root");
	try_processes(&s);
	r = s.left ? push_mounts(&s) : 0;
	while (r == 0 && s.left && s.first < s.last && s.first < MAX_DIRECTORIES) {
		cleanup_free char *path = s.queue[s.first++];

		r = search_directory(&s, path);
	}
	return r < 0 ? error_errno(err, r, "look for what inotify watches") : 0;
}
