/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Freezing a pod's cgroup: by v2 wherever it is mounted, controllers or not; by the v1 freezer
 * else.
 */
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <time.h>

#include "libct/base/clock.h"
#include "libct/base/error.h"
#include "libct/pod/cgroup-impl.h"
#include "libct/pod/pod.h"

#define THAW_TIMEOUT_MS 1000
#define LOST_EVENT_MS 20

/* Where freezing happens on this host. */
static int find_freezer(const struct cgroup_host *host, const struct cgroup_hierarchy **ret,
			struct ct_error *err)
{
	const struct cgroup_hierarchy *h = cgroup_v2(host);

	if (!h)
		h = cgroup_v1(host, "freezer");
	if (!h)
		return error_set(err, -ENOSYS,
				 "this host has neither cgroup v2 nor the v1 freezer mounted");
	*ret = h;
	return 0;
}

/* The kernel reports a change of the file as POLLPRI. */
int cgroup_wait_event(const struct cgroup_hierarchy *h, const char *cgroup, const char *line,
		      unsigned int timeout_ms, struct ct_error *err)
{
	int64_t end = monotonic_ms() + timeout_ms;
	cleanup_fd int fd = -1;
	char path[PATH_MAX];
	int r = cgroup_path(h, cgroup, "cgroup.events", path);

	if (r < 0)
		return error_errno(err, r, "cgroup '%s'", cgroup);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return error_errno(err, -errno, "open '%s'", path);
	for (;;) {
		struct pollfd poll_fd = { .fd = fd, .events = POLLPRI };
		int64_t now = monotonic_ms();
		char text[256];
		ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

		if (n < 0)
			return error_errno(err, -errno, "read '%s'", path);
		text[n] = '\0';
		if (strstr(text, line))
			return 0;
		if (now >= end)
			return -ETIMEDOUT;
		/*
		 * The kernel tells of changes at most every 10 ms, later ones by a timer that goes with the
		 * cgroup: of one that somebody removes meanwhile it never tells.
		 */
		poll(&poll_fd, 1, end - now < LOST_EVENT_MS ? (int)(end - now) : LOST_EVENT_MS);
	}
}

/* The v1 freezer has no notification, and asking is what makes it go on. */
static int wait_v1_frozen(const struct cgroup_hierarchy *h, const char *cgroup,
			  unsigned int timeout_ms, struct ct_error *err)
{
	int64_t end = monotonic_ms() + timeout_ms;

	for (;;) {
		cleanup_free char *state = NULL;
		ssize_t n = cgroup_read(h, cgroup, "freezer.state", &state);

		if (n < 0)
			return error_errno(err, (int)n, "read '%s%s/freezer.state'", h->mount, cgroup);
		if (!strcmp(state, "FROZEN\n"))
			return 0;
		if (monotonic_ms() >= end)
			return -ETIMEDOUT;
		poll(NULL, 0, 1);
	}
}

int cgroup_freeze(const char *cgroup, unsigned int timeout_ms, struct ct_error *err)
{
	cleanup_cgroup_host struct cgroup_host host = { 0 };
	const struct cgroup_hierarchy *h = NULL;
	int r = cgroup_open_own(cgroup, &host, err);

	if (r == 0)
		r = find_freezer(&host, &h, err);
	if (r < 0)
		return r;
	if (h->v2) {
		r = cgroup_write(h, cgroup, "cgroup.freeze", "1", err);
		if (r == 0)
			r = cgroup_wait_event(h, cgroup, "frozen 1\n", timeout_ms, err);
	} else {
		r = cgroup_write(h, cgroup, "freezer.state", "FROZEN", err);
		if (r == 0)
			r = wait_v1_frozen(h, cgroup, timeout_ms, err);
	}
	if (r < 0)
		cgroup_thaw(cgroup, NULL);
	if (r == -ETIMEDOUT)
		error_set(err, r, "cgroup '%s' did not freeze within %u ms", cgroup, timeout_ms);
	return r;
}

int cgroup_thaw(const char *cgroup, struct ct_error *err)
{
	cleanup_cgroup_host struct cgroup_host host = { 0 };
	const struct cgroup_hierarchy *h = NULL;
	int r = cgroup_open_own(cgroup, &host, err);

	if (r == 0)
		r = find_freezer(&host, &h, err);
	if (r < 0)
		return r;
	return h->v2 ? cgroup_write(h, cgroup, "cgroup.freeze", "0", err)
		     : cgroup_write(h, cgroup, "freezer.state", "THAWED", err);
}

/* 1: frozen, as the file `ret` of the cgroup says; 0; negative errno. */
static int frozen_by(const struct cgroup_host *host, const char *cgroup, char ret[PATH_MAX])
{
	const struct cgroup_hierarchy *v2 = cgroup_v2(host), *v1 = cgroup_v1(host, "freezer");
	cleanup_free char *asked = NULL, *events = NULL, *state = NULL;

	if (v2) {
		ssize_t n = cgroup_read(v2, cgroup, "cgroup.freeze", &asked);

		if (n >= 0)
			n = cgroup_read(v2, cgroup, "cgroup.events", &events);
		if (n < 0)
			return (int)n;
		if (asked[0] == '1' || strstr(events, "frozen 1\n"))
			return cgroup_path(v2, cgroup, "cgroup.freeze", ret) < 0 ? -ENAMETOOLONG : 1;
	}
	if (v1) { /* another tool may have used this one although there is v2 */
		ssize_t n = cgroup_read(v1, cgroup, "freezer.state", &state);

		if (n < 0)
			return (int)n;
		if (strcmp(state, "THAWED\n"))
			return cgroup_path(v1, cgroup, "freezer.state", ret) < 0 ? -ENAMETOOLONG : 1;
	}
	return 0;
}

int cgroup_check_thawed(const char *cgroup, struct ct_error *err)
{
	cleanup_cgroup_host struct cgroup_host host = { 0 };
	int64_t end = monotonic_ms() + THAW_TIMEOUT_MS;
	char path[PATH_MAX];
	int r = cgroup_open_own(cgroup, &host, err);

	if (r < 0)
		return r;
	/* What has just been thawed says so when the last of its tasks runs. */
	while ((r = frozen_by(&host, cgroup, path)) == 1 && monotonic_ms() < end)
		poll(NULL, 0, 5);
	if (r == 1)
		return error_set(err, -EBUSY,
				 "somebody has frozen the pod ('%s'); it has to be thawed there first", path);
	return r < 0 ? error_errno(err, r == -ENOENT ? -ESRCH : r, "cgroup '%s'", cgroup) : 0;
}
