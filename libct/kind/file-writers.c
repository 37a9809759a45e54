/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which files of the upper trees does a running pod have open for writing? Descriptions and shared mappings are
 * found in /proc, and followed by their paths, since an overlay's inodes have other numbers than those below it.
 *
 * The pod goes on meanwhile: processes that it makes are looked at in another round, until there are none. What
 * moves just now is looked at again.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "libct/base/sys.h"
#include "libct/kind/file.h"
#include "libct/kind/tree.h"

#define ROUNDS 20
#define LOOKS 5
#define DELETED " (deleted)"

struct search {
	struct dump *d;
	struct file_writers *found;
	size_t max;
	pid_t *known; /* processes that were looked at */
	size_t n_known;
};

static int add(struct search *s, const struct stat *st)
{
	struct file_writers *w = s->found;

	if (w->n == s->max) {
		size_t max = s->max ? s->max * 2 : 64;
		struct tree_inode *grown = reallocarray(w->list, max, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		w->list = grown;
		s->max = max;
	}
	w->list[w->n++] = (struct tree_inode){ st->st_dev, st->st_ino };
	return 0;
}

static int upper_stat(struct dump *d, const char *path, struct stat *ret)
{
	cleanup_fd int upper = -1, fd = -1;
	const char *below;
	char name[64];
	size_t tree;

	if (!pod_path_tree(&d->pod->config, path, &tree, &below) || !*below)
		return -ENOENT;
	snprintf(name, sizeof(name), "upper/%zu/data", tree);
	upper = openat(d->pod->dirfd, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (upper < 0)
		return -errno;
	fd = sys_openat2(upper, below, O_PATH | O_NOFOLLOW, 0, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
	return fd < 0 ? fd : fstat(fd, ret) < 0 ? -errno : 0;
}

static bool is_later(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec > b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec > b->tv_nsec);
}

/*
 * `fd` (O_PATH, from /proc) is of a regular file of the pod that somebody may write to. -EAGAIN: what it is below
 * could not be told.
 */
static int add_file(struct search *s, int fd, const struct stat *st)
{
	cleanup_free char *text = NULL, *path = NULL;
	const struct mount_entry *mount;
	struct stat before, now, after;
	unsigned int mnt_id;
	const char *at;
	char name[64];
	size_t len;
	int r;

	if (!st->st_nlink)
		return 0; /* no tree has it; given a name, it would have a later time */
	snprintf(name, sizeof(name), "fdinfo/%d", fd);
	if (proc_read(s->d->proc, getpid(), name, &text) < 0)
		return -EAGAIN;
	at = strstr(text, "mnt_id:");
	if (!at || sscanf(at, "mnt_id: %u", &mnt_id) != 1)
		return -EAGAIN;
	mount = file_mount(s->d, mnt_id);
	if (!mount)
		return -EAGAIN;
	if (strcmp(mount->type, "overlay"))
		return 0;
	snprintf(name, sizeof(name), "fd/%d", fd);
	r = proc_readlink(s->d->proc, getpid(), name, &path);
	if (r < 0)
		return r == -ENOMEM ? r : -EAGAIN;
	len = strlen(path);
	if (len > strlen(DELETED) && !strcmp(path + len - strlen(DELETED), DELETED)) {
		s->found->hidden = true;
		return 0;
	}
	r = upper_stat(s->d, path, &before);
	/* A shared mapping of a lower file: opened for writing, it would be an upper one. */
	if (r == -ENOENT && file_is_at(s->d, path, st))
		return 0;
	if (r < 0 || fstat(fd, &now) < 0 ||
	    upper_stat(s->d, path, &after) < 0 || before.st_ino != after.st_ino ||
	    is_later(&before.st_ctim, &now.st_ctim) || is_later(&now.st_ctim, &after.st_ctim))
		return -EAGAIN;
	return add(s, &after);
}

/* NAME leads to a file: 0 also where it is gone or none that counts. */
static int look_at(struct search *s, pid_t pid, const char *name)
{
	cleanup_free char *link = NULL;
	int r = -EAGAIN;

	/* Sockets and the like are not opened, nor devices. */
	if (proc_readlink(s->d->proc, pid, name, &link) < 0 || link[0] != '/')
		return 0;
	for (int looks = 0; r == -EAGAIN && looks < LOOKS; looks++) {
		cleanup_fd int fd = proc_open(s->d->proc, pid, name, O_PATH);
		struct stat st;

		if (fd < 0)
			return fd == -ENOENT || fd == -ESRCH ? 0 : fd;
		if (fstat(fd, &st) < 0)
			return -errno;
		if (!S_ISREG(st.st_mode))
			return 0;
		r = add_file(s, fd, &st);
	}
	return r;
}

static int look_at_descriptor(struct search *s, pid_t pid, int number)
{
	cleanup_free char *text = NULL;
	unsigned int flags;
	const char *at;
	char name[64];

	snprintf(name, sizeof(name), "fdinfo/%d", number);
	if (proc_read(s->d->proc, pid, name, &text) < 0)
		return 0; /* closed */
	at = strstr(text, "flags:");
	if (!at || sscanf(at, "flags: %o", &flags) != 1 || (flags & O_ACCMODE) == O_RDONLY)
		return 0;
	snprintf(name, sizeof(name), "fd/%d", number);
	return look_at(s, pid, name);
}

static int look_at_mappings(struct search *s, pid_t pid)
{
	cleanup_free char *text = NULL;
	char *rest, *line;
	int r = proc_read(s->d->proc, pid, "maps", &text) < 0 ? -ESRCH : 0;

	for (rest = text; r == 0 && (line = strsep(&rest, "\n"));) {
		uint64_t start, end;
		char mode[5], name[64];

		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s", &start, &end, mode) != 3 ||
		    mode[3] != 's' || !strchr(line, '/'))
			continue;
		snprintf(name, sizeof(name), "map_files/%" PRIx64 "-%" PRIx64, start, end);
		r = look_at(s, pid, name);
	}
	return r == -ESRCH ? 0 : r;
}

static int look_at_process(struct search *s, pid_t pid)
{
	cleanup_free int *numbers = NULL;
	ssize_t n = proc_numbers(s->d->proc, pid, "fd", &numbers);
	int r = n < 0 && n != -ESRCH && n != -ENOENT ? (int)n : 0;

	for (ssize_t i = 0; r == 0 && i < n; i++)
		r = look_at_descriptor(s, pid, numbers[i]);
	return r < 0 ? r : look_at_mappings(s, pid);
}

/* 1: there were processes that had not been there before. */
static int look_at_all(struct search *s)
{
	cleanup_free pid_t *pids = NULL;
	struct ct_error ignored = { 0 };
	ssize_t n = cgroup_processes(s->d->pod->state.cgroup, &pids, &ignored);
	int r = n < 0 ? (int)n : 0;
	bool found = false;

	for (ssize_t i = 0; r == 0 && i < n; i++) {
		pid_t *grown;
		size_t k = 0;

		while (k < s->n_known && s->known[k] != pids[i])
			k++;
		if (k < s->n_known)
			continue;
		grown = reallocarray(s->known, s->n_known + 1, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		s->known = grown;
		s->known[s->n_known++] = pids[i];
		found = true;
		r = look_at_process(s, pids[i]);
	}
	return r < 0 ? r : found;
}

static int compare(const void *a, const void *b)
{
	const struct tree_inode *x = a, *y = b;

	if (x->dev != y->dev)
		return x->dev < y->dev ? -1 : 1;
	return (x->ino > y->ino) - (x->ino < y->ino);
}

void file_writers_release(struct file_writers *w)
{
	free(w->list);
	*w = (struct file_writers){ 0 };
}

int file_writers_find(struct dump *d, struct file_writers *ret)
{
	__cleanup(file_writers_release) struct file_writers found = { 0 };
	struct search s = { .d = d, .found = &found };
	int r = 1;

	for (int round = 0; r == 1 && round < ROUNDS; round++)
		r = look_at_all(&s);
	free(s.known);
	if (r)
		return r < 0 ? r : -EAGAIN;
	if (found.n)
		qsort(found.list, found.n, sizeof(*found.list), compare);
	*ret = found;
	found = (struct file_writers){ 0 };
	return 0;
}
