/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pod's cgroup, on every hierarchy the host has: pure v2, pure v1, or both side by side (v2
 * mounted without controllers for the processes' grouping, v1 for the limits).
 *
 * Freezing and killing use v2 wherever it is mounted, controllers or not; the v1 freezer else.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "libct/base/error.h"
#include "libct/base/io.h"
#include "libct/base/sys.h"
#include "libct/pod/cgroup-impl.h"
#include "libct/pod/pod.h"

#define CGROUP_FILE_MAX (64u << 20)

void cgroup_host_release(struct cgroup_host *host)
{
	mountinfo_release(&host->mounts);
}

int cgroup_host_read(struct cgroup_host *ret, struct ct_error *err)
{
	cleanup_cgroup_host struct cgroup_host host = { 0 };
	int r = mountinfo_read("/proc/self/mountinfo", &host.mounts);

	if (r < 0)
		return error_errno(err, r, "read '/proc/self/mountinfo'");
	for (size_t i = 0; i < host.mounts.n; i++) {
		struct mount_entry *e = &host.mounts.entries[i];
		struct cgroup_hierarchy *h = &host.hierarchies[host.n];
		bool v2 = !strcmp(e->type, "cgroup2");
		bool seen = false;

		if ((!v2 && strcmp(e->type, "cgroup")) || strcmp(e->root, "/"))
			continue;
		for (size_t k = 0; k < host.n; k++)
			seen |= v2 ? host.hierarchies[k].v2
				   : !strcmp(host.hierarchies[k].options, e->super_options);
		if (seen)
			continue; /* the same hierarchy mounted twice */
		if (host.n == CGROUP_HIERARCHIES_MAX)
			return error_set(err, -E2BIG, "more than %d cgroup hierarchies are mounted",
					 CGROUP_HIERARCHIES_MAX);
		*h = (struct cgroup_hierarchy){ e->at, e->super_options, v2 };
		host.n++;
	}
	if (!host.n)
		return error_set(err, -ENOSYS,
				 "no cgroup hierarchy is mounted; mount cgroup2 on /sys/fs/cgroup");
	*ret = host;
	host = (struct cgroup_host){ 0 };
	return 0;
}

const struct cgroup_hierarchy *cgroup_v2(const struct cgroup_host *host)
{
	for (size_t i = 0; i < host->n; i++)
		if (host->hierarchies[i].v2)
			return &host->hierarchies[i];
	return NULL;
}

const struct cgroup_hierarchy *cgroup_v1(const struct cgroup_host *host, const char *controller)
{
	for (size_t i = 0; i < host->n; i++)
		if (!host->hierarchies[i].v2 &&
		    mount_option(host->hierarchies[i].options, controller))
			return &host->hierarchies[i];
	return NULL;
}

int cgroup_path(const struct cgroup_hierarchy *h, const char *cgroup, const char *file,
		char ret[PATH_MAX])
{
	int n = snprintf(ret, PATH_MAX, "%s%s%s%s", h->mount, cgroup, *file ? "/" : "", file);

	return n < PATH_MAX ? 0 : -ENAMETOOLONG;
}

int cgroup_write(const struct cgroup_hierarchy *h, const char *cgroup, const char *file,
		 const char *value, struct ct_error *err)
{
	char path[PATH_MAX];
	int r = cgroup_path(h, cgroup, file, path);

	if (r == 0)
		r = io_write_file(AT_FDCWD, path, value);
	return r < 0 ? error_errno(err, r, "write '%s' to '%s%s/%s'", value, h->mount, cgroup, file)
		     : 0;
}

ssize_t cgroup_read(const struct cgroup_hierarchy *h, const char *cgroup, const char *file,
		    char **ret)
{
	char path[PATH_MAX];
	int r = cgroup_path(h, cgroup, file, path);

	return r < 0 ? r : io_read_file(AT_FDCWD, path, CGROUP_FILE_MAX, ret);
}

/* Is `path` the cgroup itself or below it? */
static bool within(const char *path, const char *cgroup)
{
	size_t len = strlen(cgroup);

	return !strncmp(path, cgroup, len) && (path[len] == '/' || path[len] == '\0');
}

/* Does the process whose cgroup file this is live in the pod's cgroup, on any hierarchy? */
static int check_outside(const char *file, const char *who, const char *cgroup, struct ct_error *err)
{
	cleanup_free char *text = NULL;
	char *rest, *line;
	ssize_t n = io_read_file(AT_FDCWD, file, CGROUP_FILE_MAX, &text);

	if (n < 0)
		return error_errno(err, (int)n, "read '%s'", file);
	rest = text;
	while ((line = strsep(&rest, "\n"))) {
		/* "4:memory:/path" */
		char *path = strchr(line, ':');

		path = path ? strchr(path + 1, ':') : NULL;
		if (path && within(path + 1, cgroup))
			return error_set(err, -EPERM, "cgroup '%s' holds %s: not touched", cgroup,
					 who);
	}
	return 0;
}

/*
 * The one check that stands before everything that freezes, kills or removes: a pod's own cgroup,
 * with neither us nor the host's PID 1 in it.
 */
static int check_own(const char *cgroup, struct ct_error *err)
{
	const char *name = cgroup + strlen(CGROUP_PARENT "/");
	int r;

	if (strncmp(cgroup, CGROUP_PARENT "/", strlen(CGROUP_PARENT "/")) || !*name ||
	    strchr(name, '/') || !strcmp(name, ".") || !strcmp(name, ".."))
		return error_set(err, -EPERM, "'%s' is not a pod's cgroup: not touched", cgroup);
	r = check_outside("/proc/self/cgroup", "podckpt itself", cgroup, err);
	if (r == 0)
		r = check_outside("/proc/1/cgroup", "the host's PID 1", cgroup, err);
	return r;
}

int cgroup_open_own(const char *cgroup, struct cgroup_host *ret, struct ct_error *err)
{
	int r = check_own(cgroup, err);

	return r < 0 ? r : cgroup_host_read(ret, err);
}

/* ---- making ---- */

/* A v1 cpuset begins empty and takes no process until it has CPUs and memory nodes. */
static int fill_cpuset(const struct cgroup_hierarchy *h, const char *parent, const char *cgroup,
		       struct ct_error *err)
{
	static const char *const files[] = { "cpuset.cpus", "cpuset.mems" };

	for (size_t i = 0; i < 2; i++) {
		cleanup_free char *own = NULL, *from = NULL;
		ssize_t n = cgroup_read(h, cgroup, files[i], &own);
		int r;

		if (n > 1)
			continue;
		n = cgroup_read(h, parent, files[i], &from);
		if (n < 0)
			return error_errno(err, (int)n, "read '%s%s/%s'", h->mount, parent,
					   files[i]);
		r = cgroup_write(h, cgroup, files[i], from, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int make_one(const struct cgroup_hierarchy *h, const char *parent, const char *cgroup,
		    bool exclusive, struct ct_error *err)
{
	char path[PATH_MAX];
	int r = cgroup_path(h, cgroup, "", path);

	if (r == 0 && mkdir(path, 0755) < 0 && (errno != EEXIST || exclusive))
		r = -errno;
	if (r < 0)
		return error_errno(err, r, "make cgroup '%s%s'", h->mount, cgroup);
	if (!h->v2 && mount_option(h->options, "cpuset"))
		return fill_cpuset(h, parent, cgroup, err);
	return 0;
}

static int make_in(const struct cgroup_hierarchy *h, const char *cgroup, struct ct_error *err)
{
	int r = 0;

	/* The parent goes when the last pod goes, which may be between our two steps. */
	for (int attempt = 0; attempt < 100; attempt++) {
		r = make_one(h, "", CGROUP_PARENT, false, err);
		if (r == 0)
			r = make_one(h, CGROUP_PARENT, cgroup, true, err);
		if (r != -ENOENT)
			break;
	}
	return r;
}

int cgroup_make(const char *cgroup, const struct pod_config *limits, struct ct_error *err)
{
	cleanup_cgroup_host struct cgroup_host host = { 0 };
	int r = cgroup_open_own(cgroup, &host, err);

	for (size_t i = 0; r == 0 && i < host.n; i++) {
		r = make_in(&host.hierarchies[i], cgroup, err);
		if (r == -EEXIST)
			return r; /* somebody else's: not ours to remove */
		if (r < 0)
			break;
	}
	if (r == 0)
		r = cgroup_set_limits(&host, cgroup, limits, err);
	if (r == 0)
		r = cgroup_set_devices(&host, cgroup, limits, err);
	if (r < 0)
		cgroup_remove(cgroup, NULL);
	return r;
}

/*
 * To move another process, or one with threads, the kernel holds up every fork and exit of the host, and for that waits a grace
 * period, some 10 ms. Not so for one thread that moves itself, which v1 knows by "tasks".
 */
int cgroup_enter(const char *cgroup, bool born, struct ct_error *err)
{
	cleanup_cgroup_host struct cgroup_host host = { 0 };
	int r;

	/* No check_own(): that we are in it is the very purpose. */
	r = cgroup_host_read(&host, err);
	for (size_t i = 0; r == 0 && i < host.n; i++) {
		const struct cgroup_hierarchy *h = &host.hierarchies[i];

		if (!h->v2 || !born)
			r = cgroup_write(h, cgroup, h->v2 ? "cgroup.procs" : "tasks", "0", err);
	}
	return r;
}

int cgroup_open_v2(const char *cgroup, struct ct_error *err)
{
	cleanup_cgroup_host struct cgroup_host host = { 0 };
	const struct cgroup_hierarchy *v2;
	char path[PATH_MAX];
	int fd, r = cgroup_host_read(&host, err);

	if (r < 0)
		return r;
	v2 = cgroup_v2(&host);
	if (!v2)
		return -ENOENT;
	r = cgroup_path(v2, cgroup, "", path);
	fd = r < 0 ? r : SYS_RET(open(path, O_PATH | O_DIRECTORY | O_CLOEXEC));
	return fd < 0 ? error_errno(err, fd, "open cgroup '%s%s'", v2->mount, cgroup) : fd;
}
