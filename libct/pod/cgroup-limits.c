/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The limits of a pod: memory, CPU time, number of processes. A controller is on v2 or on v1, never
 * on both, and a limit that no controller here can enforce is refused rather than ignored.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "libct/base/error.h"
#include "libct/pod/cgroup-impl.h"
#include "libct/pod/pod.h"

#define CPU_PERIOD 100000      /* microseconds; the kernel's default */
#define CPU_PERIOD_MAX 1000000 /* the kernel's longest */
#define CPU_QUOTA_MIN 1000     /* the kernel's least */

static bool has_word(const char *list, const char *word)
{
	size_t len = strlen(word);

	for (; list; list = strchr(list, ' ')) {
		list += *list == ' ';
		if (!strncmp(list, word, len) && strchr(" \n", list[len]))
			return true;
	}
	return false;
}

/* v2: a controller works in a cgroup once every ancestor hands it down. */
static int hand_down(const struct cgroup_hierarchy *v2, const char *cgroup, const char *controller,
		     struct ct_error *err)
{
	cleanup_free char *enabled = NULL;
	char text[32];

	if (cgroup_read(v2, cgroup, "cgroup.subtree_control", &enabled) >= 0 &&
	    has_word(enabled, controller))
		return 0;
	snprintf(text, sizeof(text), "+%s", controller);
	return cgroup_write(v2, cgroup, "cgroup.subtree_control", text, err);
}

/* The hierarchy that has the controller, enabled for the pod's cgroup. */
static int find(const struct cgroup_host *host, const char *controller,
		const struct cgroup_hierarchy **ret, struct ct_error *err)
{
	const struct cgroup_hierarchy *h = cgroup_v2(host);
	cleanup_free char *there = NULL;
	int r;

	if (h && cgroup_read(h, "", "cgroup.controllers", &there) >= 0 &&
	    has_word(there, controller)) {
		r = hand_down(h, "", controller, err);
		if (r == 0)
			r = hand_down(h, CGROUP_PARENT, controller, err);
		*ret = h;
		return r;
	}
	*ret = cgroup_v1(host, controller);
	return *ret ? 0
		    : error_set(err, -ENOSYS,
				"this host has no cgroup controller '%s' to enforce the limit",
				controller);
}

/* Writes a number to a file that a host without swap accounting does not have. */
static int write_optional(const struct cgroup_hierarchy *h, const char *cgroup, const char *file,
			  const char *value, struct ct_error *err)
{
	cleanup_free char *old = NULL;

	if (cgroup_read(h, cgroup, file, &old) == -ENOENT)
		return 0;
	return cgroup_write(h, cgroup, file, value, err);
}

/* As much swap as memory on top of it, as container engines do. */
static int limit_memory(const struct cgroup_host *host, const char *cgroup, uint64_t bytes,
			struct ct_error *err)
{
	const struct cgroup_hierarchy *h;
	char memory[24], swap[24];
	int r = find(host, "memory", &h, err);

	if (r < 0)
		return r;
	snprintf(memory, sizeof(memory), "%" PRIu64, bytes);
	if (h->v2) {
		r = cgroup_write(h, cgroup, "memory.max", memory, err);
		return r < 0 ? r : write_optional(h, cgroup, "memory.swap.max", memory, err);
	}
	snprintf(swap, sizeof(swap), "%" PRIu64, bytes * 2);
	r = cgroup_write(h, cgroup, "memory.limit_in_bytes", memory, err);
	return r < 0 ? r : write_optional(h, cgroup, "memory.memsw.limit_in_bytes", swap, err);
}

static int limit_cpu(const struct cgroup_host *host, const char *cgroup, uint64_t micros_per_second,
		     struct ct_error *err)
{
	uint64_t period = CPU_PERIOD, quota = micros_per_second / (1000000 / CPU_PERIOD);
	const struct cgroup_hierarchy *h;
	char text[64];
	int r = find(host, "cpu", &h, err);

	if (r < 0)
		return r;
	if (quota < CPU_QUOTA_MIN) {
		period = CPU_PERIOD_MAX;
		quota = micros_per_second;
	}
	if (h->v2) {
		snprintf(text, sizeof(text), "%" PRIu64 " %" PRIu64, quota, period);
		return cgroup_write(h, cgroup, "cpu.max", text, err);
	}
	snprintf(text, sizeof(text), "%" PRIu64, period);
	r = cgroup_write(h, cgroup, "cpu.cfs_period_us", text, err);
	if (r < 0)
		return r;
	snprintf(text, sizeof(text), "%" PRIu64, quota);
	return cgroup_write(h, cgroup, "cpu.cfs_quota_us", text, err);
}

static int limit_pids(const struct cgroup_host *host, const char *cgroup, uint64_t pids,
		      struct ct_error *err)
{
	const struct cgroup_hierarchy *h;
	char text[24];
	int r = find(host, "pids", &h, err);

	if (r < 0)
		return r;
	snprintf(text, sizeof(text), "%" PRIu64, pids);
	return cgroup_write(h, cgroup, "pids.max", text, err);
}

int cgroup_set_limits(const struct cgroup_host *host, const char *cgroup,
		      const struct pod_config *limits, struct ct_error *err)
{
	int r = 0;

	if (limits->memory)
		r = limit_memory(host, cgroup, limits->memory, err);
	if (r == 0 && limits->cpu_micros)
		r = limit_cpu(host, cgroup, limits->cpu_micros, err);
	if (r == 0 && limits->pids)
		r = limit_pids(host, cgroup, limits->pids, err);
	return r;
}

/* ---- reading ---- */

/* The hierarchy that enforces a controller's limits on the pod's cgroup; NULL: there is none. */
static const struct cgroup_hierarchy *enforcing(const struct cgroup_host *host, const char *cgroup,
						const char *controller)
{
	const struct cgroup_hierarchy *h = cgroup_v2(host);
	cleanup_free char *there = NULL;

	if (h && cgroup_read(h, cgroup, "cgroup.controllers", &there) >= 0 &&
	    has_word(there, controller))
		return h;
	return cgroup_v1(host, controller);
}

/* The first number of a file; 0 for "max", v1's largest numbers and where there is none. */
static uint64_t number(const struct cgroup_hierarchy *h, const char *cgroup, const char *file,
		       uint64_t *ret_second)
{
	cleanup_free char *text = NULL;
	char *end;
	int64_t n;

	if (!h || cgroup_read(h, cgroup, file, &text) < 0)
		return 0;
	n = strtoll(text, &end, 10);
	if (ret_second)
		*ret_second = strtoull(end + strspn(end, " max"), NULL, 10);
	return n > 0 && n < INT64_MAX - 65536 ? (uint64_t)n : 0;
}

int cgroup_get_limits(const char *cgroup, struct pod_config *limits, struct ct_error *err)
{
	cleanup_cgroup_host struct cgroup_host host = { 0 };
	const struct cgroup_hierarchy *h;
	uint64_t n, period = 0;
	int r = cgroup_host_read(&host, err);

	if (r < 0)
		return r;
	h = enforcing(&host, cgroup, "memory");
	n = number(h, cgroup, h && h->v2 ? "memory.max" : "memory.limit_in_bytes", NULL);
	/* The kernel rounds to pages, and a quota to microseconds: what was set says more. */
	if (n != (limits->memory & ~4095UL))
		limits->memory = n;
	h = enforcing(&host, cgroup, "cpu");
	if (h && h->v2) {
		n = number(h, cgroup, "cpu.max", &period);
	} else {
		n = number(h, cgroup, "cpu.cfs_quota_us", NULL);
		period = number(h, cgroup, "cpu.cfs_period_us", NULL);
	}
	n = period ? n * 1000000 / period : 0;
	if (n / 10 != limits->cpu_micros / 10)
		limits->cpu_micros = n;
	limits->pids = number(enforcing(&host, cgroup, "pids"), cgroup, "pids.max", NULL);
	return 0;
}
