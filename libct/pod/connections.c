/* SPDX-License-Identifier: Apache-2.0 */
/* The TCP connections of a restored pod whose maker was killed before it could let them hear and speak again. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "libct/base/cleanup.h"
#include "libct/base/sys.h"
#include "libct/pod/monitor-impl.h"
#include "netns/tcp.h"

static bool is_tcp(int fd)
{
	int type = 0, protocol = 0;
	socklen_t len = sizeof(int);

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM &&
	       getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &len) == 0 && protocol == IPPROTO_TCP;
}

static void release_one(int fd)
{
	socklen_t len = sizeof(int);
	int reuse = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &reuse, &len) == 0)
		tcp_release_unknown(fd, reuse, NULL);
}

static void release(int pidfd, int number)
{
	cleanup_fd int fd = sys_pidfd_getfd(pidfd, number);

	if (fd >= 0 && is_tcp(fd))
		release_one(fd);
}

static void release_of(pid_t pid)
{
	cleanup_fd int pidfd = sys_pidfd_open(pid, 0);
	cleanup_dir DIR *dir = NULL;
	struct dirent *entry;
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = pidfd < 0 ? NULL : opendir(path);
	while (dir && (entry = readdir(dir))) {
		struct stat st;

		if (entry->d_name[0] != '.' && fstatat(dirfd(dir), entry->d_name, &st, 0) == 0 && S_ISSOCK(st.st_mode))
			release(pidfd, atoi(entry->d_name));
	}
}

void connections_release(struct monitor *m)
{
	cleanup_free pid_t *pids = NULL;
	ssize_t n = cgroup_processes(m->pod->state.cgroup, &pids, NULL);

	for (ssize_t i = 0; i < n; i++)
		release_of(pids[i]);
	for (size_t i = 0; i < m->n_orphans; i++)
		release_one(m->orphans[i]);
}

void connections_keep(struct monitor *m, int fd)
{
	int *grown = fd < 0 ? NULL : realloc(m->orphans, (m->n_orphans + 1) * sizeof(*grown));

	if (!grown) {
		fd_close(fd);
		return;
	}
	m->orphans = grown;
	m->orphans[m->n_orphans++] = fd;
}

void connections_let_go(struct monitor *m)
{
	for (size_t i = 0; i < m->n_orphans; i++)
		fd_close(m->orphans[i]);
	free(take_ptr(m->orphans));
	m->n_orphans = 0;
}
