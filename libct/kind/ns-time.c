/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The time namespace: man 7 time_namespaces. What CLOCK_MONOTONIC and CLOCK_BOOTTIME of the pod
 * said at the dump is in "clocks" of the manifest; the restore makes the new namespace (whose
 * offsets can only be set before a process is in it) such that both go on from there. The time
 * that a pod spends as an image does not pass for it; only the wall clock tells.
 *
 * When processes were started (/proc/PID/stat) is not carried: it is the time of the restore.
 */
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "libct/kind.h"

/* The offset of a clock in the namespace of `pid`, from lines such as "monotonic  -5  0". */
static int64_t offset(const char *text, const char *clock)
{
	const char *line = strstr(text, clock);
	int64_t seconds, nanoseconds;

	if (!line || sscanf(line + strlen(clock), "%" SCNd64 " %" SCNd64, &seconds, &nanoseconds) != 2)
		return 0;
	return seconds * 1000000000 + nanoseconds;
}

static int64_t now(clockid_t clock)
{
	struct timespec t = { 0 };

	clock_gettime(clock, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* In a kernel without time namespaces the pod has the host's clocks. */
static int pod_dump(struct dump *d, struct node *n, struct ct_error *err)
{
	cleanup_free char *pods = NULL, *own = NULL;
	const char *theirs = "", *ours = "";
	struct node *clocks;

	if (proc_read(d->proc, d->pod->state.pid1, "timens_offsets", &pods) > 0 &&
	    proc_read(d->proc, getpid(), "timens_offsets", &own) > 0) {
		theirs = pods;
		ours = own;
	}
	clocks = node_put_object(d->root, "clocks");
	node_put_i64(clocks, "monotonic",
		     now(CLOCK_MONOTONIC) + offset(theirs, "monotonic") - offset(ours, "monotonic"));
	node_put_i64(clocks, "boottime",
		     now(CLOCK_BOOTTIME) + offset(theirs, "boottime") - offset(ours, "boottime"));
	return 0;
}

const struct kind kind_time = {
	.name = "time",
	.carries = "the pod's monotonic and boot-time clocks, which go on without a jump",
	.victims = "time-clocks",
	.pod_dump = pod_dump,
};
