/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resource limits: man 2 prlimit64. Asked by the process itself, since prlimit64 on another one
 * wants CAP_SYS_RESOURCE. A hard limit above what the restoring podckpt has can only be given with
 * that capability: without it the restore says so.
 *
 * CPU time begins at zero in a restored process, and RLIMIT_CPU counts from there.
 */
#include <inttypes.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "libct/kind.h"

#define RAISE(name)                                                                                \
	{                                                                                          \
		#name, "raise the hard limit RLIMIT_" #name                                        \
		       " to the image's (start podckpt with a higher one, or with CAP_SYS_RESOURCE)" \
	}
static const struct {
	const char *name, *what;
} limits[] = {
	[RLIMIT_CPU] = RAISE(CPU),	   [RLIMIT_FSIZE] = RAISE(FSIZE),
	[RLIMIT_DATA] = RAISE(DATA),	   [RLIMIT_STACK] = RAISE(STACK),
	[RLIMIT_CORE] = RAISE(CORE),	   [RLIMIT_RSS] = RAISE(RSS),
	[RLIMIT_NPROC] = RAISE(NPROC),	   [RLIMIT_NOFILE] = RAISE(NOFILE),
	[RLIMIT_MEMLOCK] = RAISE(MEMLOCK), [RLIMIT_AS] = RAISE(AS),
	[RLIMIT_LOCKS] = RAISE(LOCKS),	   [RLIMIT_SIGPENDING] = RAISE(SIGPENDING),
	[RLIMIT_MSGQUEUE] = RAISE(MSGQUEUE), [RLIMIT_NICE] = RAISE(NICE),
	[RLIMIT_RTPRIO] = RAISE(RTPRIO),   [RLIMIT_RTTIME] = RAISE(RTTIME),
};
#define N_LIMITS (sizeof(limits) / sizeof(limits[0]))

static int process_ask(struct dump *d, struct dump_process *p, struct tape *tape)
{
	for (size_t i = 0; i < N_LIMITS; i++)
		tape_call(tape, SYS_prlimit64, 0, i, 0, tape_room(tape, sizeof(struct rlimit64)), 0, 0);
	return 0;
}

static int process_dump(struct dump *d, struct dump_process *p, const struct tape *tape,
			struct tape_mark mark, struct node *n, struct ct_error *err)
{
	const struct rlimit64 *now = tape_at(tape, mark.data);

	for (size_t i = 0; i < N_LIMITS; i++) {
		struct node *pair = node_put_array(n, limits[i].name);

		if (tape->entries[mark.entry + i].result < 0)
			return error_errno(err, (int)tape->entries[mark.entry + i].result,
					   "read RLIMIT_%s", limits[i].name);
		node_put_u64(pair, NULL, now[i].rlim_cur);
		node_put_u64(pair, NULL, now[i].rlim_max);
	}
	return 0;
}

/* A new pod has podckpt's own hard limits, and raises none without the capability. */
static void process_asks(struct restore *r, struct restore_process *p, const struct node *n)
{
	for (size_t i = 0; i < N_LIMITS; i++) {
		uint64_t hard = node_at_u64(node_array(n, limits[i].name), 1, UINT64_MAX);
		struct rlimit64 own;

		if (r->grants.capabilities >> CAP_SYS_RESOURCE & 1 || getrlimit64(i, &own) < 0 ||
		    hard <= own.rlim_max)
			continue;
		if (hard == RLIM64_INFINITY)
			grants_refuse(&r->grants, "the pod has no hard limit RLIMIT_%s, podckpt has %" PRIu64
						  " here; start it with none, or grant that with "
						  "--cap-add sys_resource",
				      limits[i].name, own.rlim_max);
		else
			grants_refuse(&r->grants, "the pod has a hard limit RLIMIT_%s of %" PRIu64
						  ", podckpt has %" PRIu64 " here; start it with a higher one, "
						  "or grant that with --cap-add sys_resource",
				      limits[i].name, hard, own.rlim_max);
	}
}

static int process_restore(struct restore *r, struct restore_process *p, const struct node *n,
			   struct tape *tape, struct ct_error *err)
{
	int e = tape_need(tape, N_LIMITS, N_LIMITS * sizeof(struct rlimit64), err);

	if (e < 0)
		return e;
	for (size_t i = 0; i < N_LIMITS; i++) {
		const struct node *pair = node_array(n, limits[i].name);
		struct rlimit64 limit = { node_at_u64(pair, 0, UINT64_MAX),
					  node_at_u64(pair, 1, UINT64_MAX) };

		if (limit.rlim_cur > limit.rlim_max)
			node_complain(pair, "a soft limit above the hard one");
		tape_must(tape, limits[i].what, SYS_prlimit64, 0, i,
			  tape_data(tape, &limit, sizeof(limit)), 0, 0, 0);
	}
	return 0;
}

const struct kind kind_limits = {
	.name = "limits",
	.carries = "resource limits",
	.refuses = "on a host where podckpt may not raise hard limits: hard limits above its own",
	.victims = "limits",
	.process_ask = process_ask,
	.process_dump = process_dump,
	.process_asks = process_asks,
	.process_restore = process_restore,
};
