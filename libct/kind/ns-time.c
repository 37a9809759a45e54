/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The time namespace: man 7 time_namespaces. What CLOCK_MONOTONIC and CLOCK_BOOTTIME of the pod
 * said at the dump is in "clocks" of the manifest; the restore makes the new namespace (whose
 * offsets can only be set before a process is in it) such that both go on from there. The time
 * that a pod spends as an image does not pass for it; only the wall clock tells.
 *
 * When processes were started (/proc/PID/stat) is not carried: it is the time of the restore.
 */
#include "libct/kind.h"
#include "libct/kind/clock.h"

static int put_clock(struct dump *d, struct node *clocks, const char *key, clockid_t clock,
		     struct ct_error *err)
{
	int64_t offset;
	int r = clock_offset(d->proc, d->pod->state.pid1, clock, &offset, err);

	if (r == 0)
		node_put_i64(clocks, key, clock_now(clock) + offset);
	return r;
}

static int pod_dump(struct dump *d, struct node *n, struct ct_error *err)
{
	struct node *clocks = node_put_object(d->root, "clocks");
	int r = put_clock(d, clocks, "monotonic", CLOCK_MONOTONIC, err);

	return r < 0 ? r : put_clock(d, clocks, "boottime", CLOCK_BOOTTIME, err);
}

const struct kind kind_time = {
	.name = "time",
	.carries = "the pod's monotonic and boot-time clocks, which go on without a jump",
	.victims = "time-clocks",
	.pod_dump = pod_dump,
};
