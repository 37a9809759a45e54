/* SPDX-License-Identifier: Apache-2.0 */
#include "libct/doors.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "libct/base/cleanup.h"
#include "libct/base/clock.h"
#include "libct/base/error.h"
#include "libct/base/sys.h"
#include "libct/kind/tcp.h"
#include "libct/pod/pod.h"
#include "netns/sockdiag.h"
#include "netns/tcp-door.h"

#define SETTLE_US 500000
#define DOORS_MAX 256 /* the monitor has each of them, too */

struct listeners {
	struct sockdiag_inet *of;
	size_t n;
};

/* Takes it off the list: one descriptor of it is enough. */
static bool is_listener(struct listeners *l, ino_t ino)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->of[i].state == TCP_STATE_LISTENING && l->of[i].ino == (uint32_t)ino) {
			l->of[i].ino = 0;
			return true;
		}
	return false;
}

static int shut_one(struct doors *doors, int pidfd, int number, struct guard *guard, struct ct_error *err)
{
	cleanup_fd int fd = sys_pidfd_getfd(pidfd, number);
	struct stat st;
	int r;

	/* Closed meanwhile, or another. */
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISSOCK(st.st_mode) || doors->n == DOORS_MAX)
		return 0;
	r = guard_door(guard, fd, err);
	if (r < 0)
		return r;
	if (tcp_door_shut(fd))
		doors->fds[doors->n++] = take_fd(&fd);
	return 0;
}

/* What vanishes meanwhile needs no door. */
static int shut_process(struct doors *doors, pid_t pid, struct listeners *l, struct guard *guard,
			struct ct_error *err)
{
	cleanup_fd int pidfd = sys_pidfd_open(pid, 0);
	char path[64];
	cleanup_dir DIR *dir = NULL;
	struct dirent *e;
	int r = 0;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = pidfd < 0 ? NULL : opendir(path);
	while (r == 0 && dir && (e = readdir(dir))) {
		struct stat st;

		if (e->d_name[0] == '.' || fstatat(dirfd(dir), e->d_name, &st, 0) < 0 ||
		    !S_ISSOCK(st.st_mode) || !is_listener(l, st.st_ino))
			continue;
		r = shut_one(doors, pidfd, atoi(e->d_name), guard, err);
	}
	return r;
}

static bool settled(int netns)
{
	cleanup_free struct sockdiag_inet *list = NULL;
	size_t n = 0;

	if (sockdiag_inet_all(netns, IPPROTO_TCP, &list, &n, NULL) < 0)
		return true;
	for (size_t i = 0; i < n; i++)
		if (tcp_in_passing(&list[i]))
			return false;
	return true;
}

int doors_shut(const struct pod *pod, struct guard *guard, struct doors *ret, struct ct_error *err)
{
	const int64_t until = monotonic_us() + SETTLE_US;
	__cleanup(doors_open) struct doors doors = { 0 };
	cleanup_free struct sockdiag_inet *list = NULL;
	cleanup_free pid_t *pids = NULL;
	struct listeners listeners = { 0 };
	cleanup_fd int netns = -1;
	char path[64];
	ssize_t n;
	int r;

	if (pod->config.net == CT_NET_HOST)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pod->state.pid1);
	netns = open(path, O_RDONLY | O_CLOEXEC);
	if (netns < 0)
		return error_errno(err, -errno, "open the pod's network namespace");
	r = sockdiag_inet_all(netns, IPPROTO_TCP, &list, &listeners.n, err);
	if (r < 0)
		return r;
	listeners.of = list;
	n = cgroup_processes(pod->state.cgroup, &pids, err);
	if (n < 0)
		return (int)n;
	doors.fds = calloc(DOORS_MAX, sizeof(*doors.fds));
	if (!doors.fds)
		return error_errno(err, -ENOMEM, "listening sockets");
	for (ssize_t i = 0; r == 0 && i < n; i++)
		r = shut_process(&doors, pids[i], &listeners, guard, err);
	if (r < 0)
		return r;
	while (!settled(netns) && monotonic_us() < until)
		nanosleep(&(struct timespec){ .tv_nsec = NSEC_PER_MSEC }, NULL);
	*ret = doors;
	doors = (struct doors){ 0 };
	return 0;
}

void doors_open(struct doors *doors)
{
	for (size_t i = 0; i < doors->n; i++) {
		tcp_door_open(doors->fds[i]);
		fd_close(doors->fds[i]);
	}
	free(take_ptr(doors->fds));
	doors->n = 0;
}
