/* SPDX-License-Identifier: Apache-2.0 */
/* Who is in a pod's cgroup, and the end of it. */
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>

#include "libct/base/error.h"
#include "libct/base/sys.h"
#include "libct/pod/cgroup-impl.h"
#include "libct/pod/pod.h"

#define KILL_TIMEOUT_MS 30000
#define REMOVE_TIMEOUT_MS 2000
#define CGROUP_DEPTH_MAX 64

struct pids {
	pid_t *pids;
	size_t n, room;
};

static int add_pid(struct pids *list, pid_t pid)
{
	if (list->n == list->room) {
		size_t room = list->room ? list->room * 2 : 64;
		pid_t *grown = reallocarray(list->pids, room, sizeof(pid_t));

		if (!grown)
			return -ENOMEM;
		list->pids = grown;
		list->room = room;
	}
	list->pids[list->n++] = pid;
	return 0;
}

/* Calls `visit` for every cgroup below `cgroup`, deepest first, then for itself. */
static int walk(const struct cgroup_hierarchy *h, const char *cgroup, int depth,
		int (*visit)(const struct cgroup_hierarchy *h, const char *cgroup, void *data),
		void *data)
{
	cleanup_dir DIR *dir = NULL;
	char path[PATH_MAX];
	struct dirent *entry;
	int r = cgroup_path(h, cgroup, "", path);

	if (r < 0)
		return r;
	if (depth > CGROUP_DEPTH_MAX)
		return -ELOOP;
	dir = opendir(path);
	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) {
		char child[PATH_MAX];

		if (entry->d_type != DT_DIR || !strcmp(entry->d_name, ".") ||
		    !strcmp(entry->d_name, ".."))
			continue;
		if (snprintf(child, sizeof(child), "%s/%s", cgroup, entry->d_name) >=
		    (int)sizeof(child))
			return -ENAMETOOLONG;
		r = walk(h, child, depth + 1, visit, data);
		if (r < 0)
			return r;
	}
	return visit(h, cgroup, data);
}

static int collect(const struct cgroup_hierarchy *h, const char *cgroup, void *data)
{
	cleanup_free char *text = NULL;
	char *rest, *line;
	/* Of a threaded cgroup the processes are listed by its domain. */
	ssize_t n = cgroup_read(h, cgroup, "cgroup.procs", &text);
	int r = 0;

	if (n == -EOPNOTSUPP)
		return 0;
	if (n < 0)
		return (int)n;
	rest = text;
	while (r == 0 && (line = strsep(&rest, "\n"))) {
		pid_t pid = atoi(line);

		if (pid > 0)
			r = add_pid(data, pid);
	}
	return r;
}

static int compare(const void *a, const void *b)
{
	pid_t x = *(const pid_t *)a, y = *(const pid_t *)b;

	return (x > y) - (x < y);
}

/* Where the pod's processes are listed: a hierarchy that nothing in the pod can have left. */
static const struct cgroup_hierarchy *find_list(const struct cgroup_host *host)
{
	const struct cgroup_hierarchy *h = cgroup_v2(host);

	if (!h)
		h = cgroup_v1(host, "freezer");
	return h ? h : &host->hierarchies[0];
}

ssize_t cgroup_processes(const char *cgroup, pid_t **ret, struct ct_error *err)
{
	cleanup_cgroup_host struct cgroup_host host = { 0 };
	struct pids list = { 0 };
	size_t n = 0;
	int r = cgroup_open_own(cgroup, &host, err);

	if (r < 0)
		return r;
	r = walk(find_list(&host), cgroup, 0, collect, &list);
	if (r < 0) {
		free(list.pids);
		return error_errno(err, r, "list the processes of cgroup '%s'", cgroup);
	}
	if (list.n)
		qsort(list.pids, list.n, sizeof(pid_t), compare);
	for (size_t i = 0; i < list.n; i++)
		if (!n || list.pids[n - 1] != list.pids[i])
			list.pids[n++] = list.pids[i];
	*ret = list.pids;
	return (ssize_t)n;
}

/* Without v2: one by one, until nobody is left who could have forked meanwhile. */
static int kill_one_by_one(const char *cgroup, struct ct_error *err)
{
	for (int waited = 0; waited < KILL_TIMEOUT_MS; waited++) {
		cleanup_free pid_t *pids = NULL;
		ssize_t n = cgroup_processes(cgroup, &pids, err);

		if (n <= 0)
			return (int)n;
		for (ssize_t i = 0; i < n; i++) {
			cleanup_fd int pidfd = sys_pidfd_open(pids[i], 0);

			if (pidfd >= 0)
				sys_pidfd_send_signal(pidfd, SIGKILL);
		}
		poll(NULL, 0, 1);
	}
	return -ETIMEDOUT;
}

int cgroup_kill(const char *cgroup, struct ct_error *err)
{
	cleanup_cgroup_host struct cgroup_host host = { 0 };
	const struct cgroup_hierarchy *v2, *v1;
	char path[PATH_MAX];
	int r = cgroup_open_own(cgroup, &host, err);

	if (r < 0)
		return r;
	v2 = cgroup_v2(&host);
	v1 = cgroup_v1(&host, "freezer");
	if (cgroup_path(find_list(&host), cgroup, "", path) == 0 && access(path, F_OK) < 0)
		return 0; /* gone already */
	if (v1) /* a task frozen by v1 does not die */
		cgroup_write(v1, cgroup, "freezer.state", "THAWED", NULL);
	if (v2 && cgroup_write(v2, cgroup, "cgroup.kill", "1", NULL) == 0)
		r = cgroup_wait_event(v2, cgroup, "populated 0\n", KILL_TIMEOUT_MS, err);
	else
		r = kill_one_by_one(cgroup, err);
	/* The pod's monitor may remove it as soon as it is empty. */
	if (r == -ENODEV || r == -ENOENT)
		return 0;
	if (r == -ETIMEDOUT)
		error_set(err, r, "the processes of cgroup '%s' did not end within %d s", cgroup,
			  KILL_TIMEOUT_MS / 1000);
	return r;
}

static int remove_one(const struct cgroup_hierarchy *h, const char *cgroup, void *data)
{
	char path[PATH_MAX];
	int r = cgroup_path(h, cgroup, "", path);

	if (r < 0)
		return r;
	/* A task that has just been killed may still be on its way out. */
	for (int waited = 0; waited < REMOVE_TIMEOUT_MS; waited++) {
		if (!rmdir(path) || errno == ENOENT)
			return 0;
		if (errno != EBUSY)
			return -errno;
		poll(NULL, 0, 1);
	}
	return -EBUSY;
}

int cgroup_remove(const char *cgroup, struct ct_error *err)
{
	cleanup_cgroup_host struct cgroup_host host = { 0 };
	int first = 0, r = cgroup_open_own(cgroup, &host, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < host.n; i++) {
		const struct cgroup_hierarchy *h = &host.hierarchies[i];
		char parent[PATH_MAX];

		r = walk(h, cgroup, 0, remove_one, NULL);
		if (r < 0 && r != -ENOENT && first == 0)
			first = error_errno(err, r, "remove cgroup '%s%s'", h->mount, cgroup);
		/* The last pod's leaves nothing behind; with others there it is busy. */
		if (cgroup_path(h, CGROUP_PARENT, "", parent) == 0)
			rmdir(parent);
	}
	return first;
}
