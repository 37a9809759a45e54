/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A name in a directory of the pod, taken for a moment: a deleted file is made there, opened, and
 * deleted again, so that /proc/PID/fd names it as before. The pod's tree looks afterwards as it did.
 */
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "libct/base/error.h"
#include "libct/base/sys.h"
#include "libct/kind/file.h"

static int open_directory(const char *path)
{
	return sys_openat2(AT_FDCWD, *path ? path : "/", O_RDONLY | O_DIRECTORY, 0,
			   RESOLVE_NO_SYMLINKS);
}

/* Makes the directories of `path` behind its first `have` bytes, counting them. */
static int make_directories(const char *path, size_t have, size_t *ret_n)
{
	char part[PATH_MAX];

	for (const char *at = path + have; *at; at = strchrnul(at + 1, '/')) {
		size_t len = (size_t)(strchrnul(at + 1, '/') - path);

		memcpy(part, path, len);
		part[len] = '\0';
		if (mkdir(part, 0700) < 0)
			return -errno;
		(*ret_n)++;
	}
	return open_directory(path);
}

static void remove_directories(char *path, size_t n)
{
	for (; n; n--) {
		rmdir(path);
		*strrchr(path, '/') = '\0';
	}
}

/* Would moving what is there copy a file of the host into the pod? Only what the pod wrote is moved. */
static bool may_move(struct restore *r, const char *path)
{
	cleanup_fd int upper = -1, fd = -1;
	const char *below;
	char name[64];
	size_t tree;

	if (!pod_path_tree(&r->pod->config, path, &tree, &below))
		return true;
	snprintf(name, sizeof(name), "upper/%zu/data", tree);
	upper = openat(r->pod->dirfd, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (upper < 0)
		return false;
	fd = sys_openat2(upper, *below ? below : ".", O_PATH | O_NOFOLLOW, 0,
			 RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
	return fd >= 0;
}

/* Frees the name; where that cannot be, another one beside it is used. */
static void clear_name(struct restore *r, const char *path, uint32_t id, struct file_spot *s)
{
	struct stat st;

	if (fstatat(s->parent, s->name, &st, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
		return;
	snprintf(s->aside, sizeof(s->aside), ".podckpt-aside-%u", id);
	if (may_move(r, path) && renameat2(s->parent, s->name, s->parent, s->aside, RENAME_NOREPLACE) == 0)
		return;
	s->aside[0] = '\0';
	snprintf(s->name, sizeof(s->name), ".podckpt-deleted-%u", id);
}

int spot_find(struct restore *r, const char *path, uint32_t id, struct file_spot *ret,
	      struct ct_error *err)
{
	cleanup_spot struct file_spot s = SPOT_NONE;
	const char *slash = strrchr(path, '/');
	cleanup_free char *base = NULL;
	struct stat st;

	if (!slash || !slash[1] || strlen(slash + 1) >= sizeof(s.name) ||
	    slash - path >= PATH_MAX)
		return error_set(err, -EBADMSG, "'%s' is no path of a file", path);
	s.path = strndup(path, (size_t)(slash - path));
	base = strndup(path, (size_t)(slash - path));
	if (!s.path || !base)
		return error_errno(err, -ENOMEM, "'%s'", path);
	/* The nearest directory that is there; where something else is in the way, it must do. */
	for (;;) {
		s.keeper = open_directory(base);
		if ((s.keeper != -ENOENT && s.keeper != -ENOTDIR && s.keeper != -ELOOP) || !*base)
			break;
		if (s.keeper != -ENOENT)
			*strrchr(s.path, '/') = '\0';
		*strrchr(base, '/') = '\0';
		if (strlen(s.path) < strlen(base))
			*(base + strlen(s.path)) = '\0';
	}
	if (s.keeper < 0 || fstat(s.keeper, &st) < 0)
		return error_errno(err, s.keeper < 0 ? s.keeper : -errno,
				   "make the deleted file '%s' again: its directory", path);
	s.times[0] = st.st_atim;
	s.times[1] = st.st_mtim;
	if (strlen(base) < strlen(s.path))
		s.parent = make_directories(s.path, strlen(base), &s.n_made);
	else
		s.parent = open_directory(s.path);
	if (s.parent < 0)
		return error_errno(err, s.parent, "make the deleted file '%s' again: its directory", path);
	strcpy(s.name, slash + 1);
	clear_name(r, path, id, &s);
	*ret = s;
	s = SPOT_NONE;
	return 0;
}

void spot_leave(struct file_spot *s)
{
	if (s->parent >= 0 && s->taken)
		unlinkat(s->parent, s->name, s->directory ? AT_REMOVEDIR : 0);
	if (s->parent >= 0 && *s->aside)
		renameat2(s->parent, s->aside, s->parent, s->name, RENAME_NOREPLACE);
	if (s->path)
		remove_directories(s->path, s->n_made);
	if (s->keeper >= 0)
		futimens(s->keeper, s->times);
	fd_close(s->parent);
	fd_close(s->keeper);
	free(s->path);
	*s = SPOT_NONE;
}
