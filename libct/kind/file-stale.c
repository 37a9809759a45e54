/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mappings that an overlay has left behind: a file of the lower tree was mapped, then somebody wrote to it,
 * so that it was copied to the upper tree. The mapping shows the lower file for ever, everybody else the
 * upper one. No file system call tells; the bytes do.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/xattr.h>

#include "libct/base/sys.h"
#include "libct/kind/file.h"

#define PAGE 4096

/* Both layers of a file that was copied up; false: it was not. */
static bool open_layers(struct dump *d, const char *path, int *ret_upper, int *ret_lower)
{
	const struct pod_config *config = &d->pod->config;
	cleanup_fd int upper_root = -1, lower_root = -1, upper = -1, lower = -1;
	const char *below;
	char name[64];
	size_t tree;

	if (!pod_path_tree(config, path, &tree, &below) || !*below)
		return false;
	snprintf(name, sizeof(name), "upper/%zu/data", tree);
	upper_root = openat(d->pod->dirfd, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	upper = upper_root < 0 ? -1
			       : sys_openat2(upper_root, below, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0,
					     RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
	if (upper < 0 || fgetxattr(upper, "trusted.overlay.origin", NULL, 0) < 0)
		return false;
	lower_root = open(config->trees[tree].lower, O_PATH | O_DIRECTORY | O_CLOEXEC);
	lower = lower_root < 0 ? -1
			       : sys_openat2(lower_root, below, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0,
					     RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
	if (lower < 0)
		return false;
	*ret_upper = take_fd(&upper);
	*ret_lower = take_fd(&lower);
	return true;
}

/* A page of a file, zeros behind its end; false: not there at all. */
static bool read_page(int fd, uint64_t at, char page[PAGE])
{
	ssize_t n = pread(fd, page, PAGE, (off_t)at);

	if (n <= 0)
		return false;
	memset(page + n, 0, PAGE - (size_t)n);
	return true;
}

bool file_mapping_is_stale(struct dump *d, const struct dump_process *p, const struct vma *v)
{
	cleanup_fd int upper = -1, lower = -1;
	char now[PAGE], before[PAGE], mapped[PAGE];

	if (v->name[0] != '/' || !open_layers(d, v->name, &upper, &lower))
		return false;
	for (uint64_t at = 0; at < v->end - v->start; at += PAGE) {
		bool has_now = read_page(upper, v->offset + at, now);
		bool had = read_page(lower, v->offset + at, before);

		if (!has_now && !had)
			return false;
		if (has_now && had && !memcmp(now, before, PAGE))
			continue;
		if (!read_page(p->mem, v->start + at, mapped)) /* behind the end of what is mapped */
			return has_now;
		if (has_now && !memcmp(mapped, now, PAGE))
			return false;
		if (had && !memcmp(mapped, before, PAGE))
			return true;
		/* The program has a private copy of this page: look at the next. */
	}
	return false;
}
