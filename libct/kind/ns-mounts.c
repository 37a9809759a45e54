/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pod's mounts: its trees and volumes, those that every pod has, and what the host has mounted
 * below its volumes. All of them are made afresh by a restore, from the pod's configuration.
 *
 * Not carried: what a program of the pod has mounted, or has unmounted.
 */
#include <string.h>

#include "libct/kind/file.h"

/* What is below a directory: "" for itself, "/x" below, else NULL. */
static const char *below(const char *path, const char *directory)
{
	size_t len = strlen(directory);

	if (!strcmp(directory, "/"))
		return path;
	if (strncmp(path, directory, len) || (path[len] && path[len] != '/'))
		return NULL;
	return path + len;
}

/* Is it the copy of what the host has mounted at the same place below a volume's source? */
static bool is_volumes(struct dump *d, const struct mount_entry *m)
{
	const struct pod_config *config = &d->pod->config;
	const struct mountinfo *host = file_host_mounts(d);

	for (size_t i = 0; i < config->n_volumes; i++) {
		const char *rest = below(m->at, config->volumes[i].destination);
		cleanup_free char *source = NULL;

		if (!rest || !*rest || asprintf(&source, "%s%s", config->volumes[i].source, rest) < 0)
			continue;
		for (size_t k = 0; k < host->n; k++) {
			const struct mount_entry *h = &host->entries[k];

			if (!strcmp(h->at, source) && h->major == m->major && h->minor == m->minor)
				return true;
		}
	}
	return false;
}

/* How many mounts podckpt put on that place. */
static size_t expected_at(const struct pod *pod, const char *at)
{
	size_t n = pod_path_own_mount(pod, at);

	for (size_t i = 0; i < pod->config.n_trees; i++)
		n += !strcmp(pod->config.trees[i].at, at);
	for (size_t i = 0; i < pod->config.n_volumes; i++)
		n += !strcmp(pod->config.volumes[i].destination, at);
	return n;
}

static size_t mounted_at(const struct mountinfo *mounts, const char *at)
{
	size_t n = 0;

	for (size_t i = 0; i < mounts->n; i++)
		n += !strcmp(mounts->entries[i].at, at);
	return n;
}

/* Once for each place: where there are several, at the last. */
static bool is_last_at(const struct mountinfo *mounts, size_t index)
{
	for (size_t i = index + 1; i < mounts->n; i++)
		if (!strcmp(mounts->entries[i].at, mounts->entries[index].at))
			return false;
	return true;
}

static int mounts_pod_dump(struct dump *d, struct node *n, struct ct_error *err)
{
	const struct pod_config *config = &d->pod->config;
	const struct mountinfo *mounts = file_mounts(d);

	if (!mounts->n)
		return error_set(err, -ESRCH, "cannot read the pod's mounts");
	for (size_t i = 0; i < mounts->n; i++) {
		const struct mount_entry *m = &mounts->entries[i];

		if (!is_last_at(mounts, i) || is_volumes(d, m) ||
		    mounted_at(mounts, m->at) <= expected_at(d->pod, m->at))
			continue;
		dump_refuse(d, "the mount of %s on '%s' was made inside the pod and is not carried; unmount it first",
			    m->type, m->at);
	}
	for (size_t i = 0; i < config->n_trees; i++)
		if (!config->trees[i].plain && !mounted_at(mounts, config->trees[i].at))
			dump_refuse(d, "'%s' was unmounted inside the pod, which is not carried",
				    config->trees[i].at);
	for (size_t i = 0; i < config->n_volumes; i++)
		if (!mounted_at(mounts, config->volumes[i].destination))
			dump_refuse(d, "the volume '%s' was unmounted inside the pod, which is not carried",
				    config->volumes[i].destination);
	return 0;
}

const struct kind kind_mounts = {
	.name = "mounts",
	.carries = "the pod's trees and volumes, and the mounts that every pod has",
	.refuses = "what a program of the pod has mounted or unmounted",
	.victims = "mount-inside refused-covered",
	.pod_dump = mounts_pod_dump,
};
