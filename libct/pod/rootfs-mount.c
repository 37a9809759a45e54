/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mounts as descriptors (man 2 fsopen, open_tree, move_mount, mount_setattr): paths of any length
 * with any byte in them, and words of the kernel where it refuses.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>

#include "libct/base/error.h"
#include "libct/base/sys.h"
#include "libct/pod/inside.h"

/* What the kernel logged about the refusal, e.g. "overlay: ..."; "" when nothing. */
static void kernel_words(int fs, char *buf, size_t size)
{
	ssize_t n = read(fs, buf, size - 1);

	if (n < 0)
		n = 0;
	while (n > 0 && (buf[n - 1] == '\n' || buf[n - 1] == '.'))
		n--;
	buf[n] = '\0';
	if (n > 2 && buf[1] == ' ') /* "e ", "w ", "i ": how grave it is */
		memmove(buf, buf + 2, (size_t)n - 1);
}

static int refused(int fs, const char *type, int code, struct ct_error *err)
{
	char words[256];

	kernel_words(fs, words, sizeof(words));
	if (*words)
		return error_errno(err, code, "mount %s: %s", type, words);
	return error_errno(err, code, "mount %s", type);
}

int mount_new(const char *type, const struct mount_param *params, size_t n, unsigned int attributes,
	      struct ct_error *err)
{
	cleanup_fd int fs = fsopen(type, FSOPEN_CLOEXEC);
	int fd;

	if (fs < 0)
		return error_errno(err, -errno, "mount %s", type);
	for (size_t i = 0; i < n; i++)
		if (fsconfig(fs, params[i].value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG,
			     params[i].key, params[i].value, 0) < 0)
			return refused(fs, type, -errno, err);
	if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return refused(fs, type, -errno, err);
	fd = fsmount(fs, FSMOUNT_CLOEXEC, attributes);
	return fd < 0 ? refused(fs, type, -errno, err) : fd;
}

int mount_copy(int dirfd, const char *path, bool recursive, struct ct_error *err)
{
	int fd = open_tree(dirfd, path,
			   OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (recursive ? AT_RECURSIVE : 0));

	return fd < 0 ? error_errno(err, -errno, "bind '%s'", path) : fd;
}

int mount_set(int mount_fd, unsigned int attributes, bool recursive, struct ct_error *err)
{
	struct mount_attr attr = { .attr_set = attributes };

	if (mount_setattr(mount_fd, "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0), &attr,
			  sizeof(attr)) < 0)
		return error_errno(err, -errno, "set the flags of a mount");
	return 0;
}

int mount_hang(int mount_fd, int rootfd, const char *path, bool file, struct ct_error *err)
{
	cleanup_fd int at = root_make(rootfd, path, file);

	if (at < 0)
		return error_errno(err, at, "make the mount point '%s' in the pod", path);
	if (move_mount(mount_fd, "", at, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		return error_errno(err, -errno, "mount on '%s' in the pod", path);
	return 0;
}

int mount_overlay(int lower_fd, int upper_fd, int work_fd, unsigned int attributes,
		  struct ct_error *err)
{
	char lower[32], upper[32], work[32];
	/*
	 * Descriptors instead of paths: ':' and ',' in a path would be separators. redirect_dir,
	 * metacopy and index have defaults that distributions change; an image must mean the same
	 * everywhere, and an upper tree holds whole files only.
	 */
	const struct mount_param params[] = {
		{ "source", "podckpt" },	{ "lowerdir", lower }, { "upperdir", upper },
		{ "workdir", work },		{ "index", "off" },    { "metacopy", "off" },
		{ "redirect_dir", "nofollow" },
	};

	snprintf(lower, sizeof(lower), "/proc/self/fd/%d", lower_fd);
	snprintf(upper, sizeof(upper), "/proc/self/fd/%d", upper_fd);
	snprintf(work, sizeof(work), "/proc/self/fd/%d", work_fd);
	return mount_new("overlay", params, sizeof(params) / sizeof(*params), attributes, err);
}
