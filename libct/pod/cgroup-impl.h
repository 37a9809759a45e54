/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the pod's cgroups share: the host's hierarchies and their files. */
#pragma once
#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

#include "libct/base/mountinfo.h"

struct ct_error;
struct pod_config;

#define CGROUP_HIERARCHIES_MAX 24
#define CGROUP_PARENT "/podckpt" /* of every pod's */

struct cgroup_hierarchy {
	const char *mount;
	const char *options; /* v1: its controllers are among them */
	bool v2;
};

/* The hierarchies that are mounted whole. */
struct cgroup_host {
	struct mountinfo mounts; /* holds the strings */
	struct cgroup_hierarchy hierarchies[CGROUP_HIERARCHIES_MAX];
	size_t n;
};

int cgroup_host_read(struct cgroup_host *ret, struct ct_error *err);
void cgroup_host_release(struct cgroup_host *host);
#define cleanup_cgroup_host __cleanup(cgroup_host_release)

/* NULL where the host has none. */
const struct cgroup_hierarchy *cgroup_v2(const struct cgroup_host *host);
const struct cgroup_hierarchy *cgroup_v1(const struct cgroup_host *host, const char *controller);

/*
 * The check before everything that freezes, kills or removes (libct/pod/pod.h), and the
 * hierarchies.
 */
int cgroup_open_own(const char *cgroup, struct cgroup_host *ret, struct ct_error *err);

int cgroup_path(const struct cgroup_hierarchy *h, const char *cgroup, const char *file,
		char ret[PATH_MAX]);
int cgroup_write(const struct cgroup_hierarchy *h, const char *cgroup, const char *file,
		 const char *value, struct ct_error *err);
/* The caller frees *ret. Returns the length or a negative errno, without words. */
ssize_t cgroup_read(const struct cgroup_hierarchy *h, const char *cgroup, const char *file,
		    char **ret);

/* Waits until `line` ("frozen 1\n") is in cgroup.events. -ETIMEDOUT without words. */
int cgroup_wait_event(const struct cgroup_hierarchy *h, const char *cgroup, const char *line,
		      unsigned int timeout_ms, struct ct_error *err);

/* Memory, CPU and process limits; one that nothing here can enforce is -ENOSYS. */
int cgroup_set_limits(const struct cgroup_host *host, const char *cgroup,
		      const struct pod_config *limits, struct ct_error *err);

/* Which devices can be opened inside. */
int cgroup_set_devices(const struct cgroup_host *host, const char *cgroup,
		       const struct pod_config *config, struct ct_error *err);
