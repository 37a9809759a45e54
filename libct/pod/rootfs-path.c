/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paths below the root that a pod is going to have. Everything is looked up with that root as the
 * end of the world (man 2 openat2, RESOLVE_IN_ROOT): neither a symlink in the tree nor a path of an
 * image leads out of it.
 */
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "libct/base/sys.h"
#include "libct/pod/inside.h"

int root_open(int rootfd, const char *path, int flags)
{
	while (*path == '/')
		path++;
	return sys_openat2(rootfd, *path ? path : ".", (uint64_t)flags, 0, RESOLVE_IN_ROOT);
}

/* Makes the last component of `path`; its parent exists. */
static int make_last(int rootfd, const char *path, bool file)
{
	const char *slash = strrchr(path, '/');
	cleanup_fd int parent = -1, made = -1;
	char up[PATH_MAX];

	snprintf(up, sizeof(up), "%.*s", (int)(slash - path), path);
	parent = root_open(rootfd, up, O_PATH | O_DIRECTORY);
	if (parent < 0)
		return parent;
	if (!file)
		return mkdirat(parent, slash + 1, 0755) < 0 && errno != EEXIST ? -errno : 0;
	made = openat(parent, slash + 1, O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY | O_CLOEXEC, 0644);
	return made < 0 && errno != EEXIST ? -errno : 0;
}

int root_make(int rootfd, const char *path, bool file)
{
	int flags = O_PATH | (file ? 0 : O_DIRECTORY);
	int fd = root_open(rootfd, path, flags);
	char part[PATH_MAX];
	size_t len = strlen(path);

	if (fd != -ENOENT)
		return fd;
	if (len >= sizeof(part) || path[0] != '/')
		return -ENAMETOOLONG;
	for (size_t i = 1; i <= len; i++) {
		int r;

		if (path[i] != '/' && path[i] != '\0')
			continue;
		memcpy(part, path, i);
		part[i] = '\0';
		fd = root_open(rootfd, part, O_PATH);
		if (fd >= 0) {
			close(fd);
			continue;
		}
		r = fd == -ENOENT ? make_last(rootfd, part, file && path[i] == '\0') : fd;
		if (r < 0)
			return r;
	}
	return root_open(rootfd, path, flags);
}
