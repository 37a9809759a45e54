// SPDX-License-Identifier: Apache-2.0
/*
 * What is left of a pod when its name is free again. Its directory then bears a name with a dot in front, and is
 * locked by whoever removes it; what one that was killed has left is removed when the next pod is made.
 */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "libct/base/error.h"
#include "libct/base/io.h"
#include "libct/pod/pod.h"
#include "libct/pod/state.h"

#define GONE ".gone-"
#define GONE_MAX 32

static void gone_name(const struct stat *st, char ret[GONE_MAX])
{
	snprintf(ret, GONE_MAX, GONE "%llx", (unsigned long long)st->st_ino);
}

/* 1; 0: the pod has no name any more, or a new owner has it. */
static int name_give_up(struct pod *pod, struct ct_error *err)
{
	cleanup_fd int podsfd = pods_open(pod->ct, true, err);
	struct stat ours, named;
	char gone[GONE_MAX];

	if (podsfd < 0)
		return podsfd;
	if (fstat(pod->dirfd, &ours) < 0)
		return error_errno(err, -errno, "'%s'", pod->dir);
	if (fstatat(podsfd, pod->name, &named, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : error_errno(err, -errno, "'%s'", pod->dir);
	if (ours.st_ino != named.st_ino || ours.st_dev != named.st_dev)
		return 0;
	gone_name(&ours, gone);
	/* Tells it from what a killed remover has left; released with the last copy of dirfd. */
	flock(pod->dirfd, LOCK_EX | LOCK_NB);
	if (renameat(podsfd, pod->name, podsfd, gone) < 0)
		return error_errno(err, -errno, "remove '%s'", pod->dir);
	return 1;
}

int pod_give_up_name(struct pod *pod, struct ct_error *err)
{
	int r = name_give_up(pod, err);

	return r < 0 ? r : 0;
}

int pod_remove_remains(struct pod *pod, struct ct_error *err)
{
	/* Without the lock: a big tree takes its time. */
	cleanup_fd int podsfd = pods_open(pod->ct, false, err);
	char gone[GONE_MAX];
	struct stat st;
	int r;

	if (podsfd < 0)
		return podsfd;
	if (fstat(pod->dirfd, &st) < 0)
		return error_errno(err, -errno, "'%s'", pod->dir);
	gone_name(&st, gone);
	r = io_remove_tree(podsfd, gone);
	return r < 0 ? error_errno(err, r, "remove '%s/pods/%s'", pod->ct->root, gone) : 0;
}

int pod_remove_directory(struct pod *pod, struct ct_error *err)
{
	int r = name_give_up(pod, err);

	return r <= 0 ? r : pod_remove_remains(pod, err);
}

/* Its link and its cgroup may be there still. */
static void sweep(struct ct *ct, int podsfd, const char *name)
{
	__cleanup(pod_free_cleanup) struct pod *pod = NULL;
	int r = pod_new(ct, name, &pod, NULL);

	if (r < 0)
		return;
	pod->dirfd = openat(podsfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (pod->dirfd < 0 || flock(pod->dirfd, LOCK_EX | LOCK_NB) < 0)
		return;
	if (pod_state_load(pod, &pod->state, NULL) == 0) {
		r = pod->state.link[0] ? net_detach(pod->state.link, NULL) : 0;
		if (r == 0 && pod->state.cgroup[0])
			r = cgroup_remove(pod->state.cgroup, NULL);
	}
	if (r == 0)
		io_remove_tree(podsfd, name);
}

void pods_sweep(struct ct *ct, int podsfd)
{
	cleanup_dir DIR *dir = io_open_dir(podsfd);
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		if (!strncmp(entry->d_name, GONE, strlen(GONE)))
			sweep(ct, podsfd, entry->d_name);
}
