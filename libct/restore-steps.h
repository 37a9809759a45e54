/* SPDX-License-Identifier: Apache-2.0 */
/* The steps of a restore, for its conductor (restore.c). */
#pragma once
#include "libct/restore.h"

/* At r->tape_area in every process: a page for the stub, the tape, and behind it room for the vdso to pass through. */
#define TAPE_AREA_SIZE (4UL << 20)
#define TAPE_HOLE_SIZE (TAPE_AREA_SIZE + (1UL << 20))
#define TAPE_ENTRIES 8192

/* A pod that comes from another host: its restore is the other end of a migration. */
struct restore_hooks {
	const char *name;
	const struct ct_restore_options *options;
	/* The name was taken before: by pod_reserve(), for the configuration of restore_config(). Taken over. */
	struct pod *pod;
	void *context;
	/* The image may come: a descriptor to read it from, which stays the owner's. */
	int (*begin)(void *context, struct ct_error *err);
	/* Everything is there and verified, nothing moves. 0: go on. */
	int (*built)(void *context, const char digest[33], struct ct_error *err);
	/* All pods are: shall they run? Called for the first of several. */
	int (*go)(void *context, struct ct_error *err);
	/* In another process, the pod's monitor: it runs from here on. */
	void (*taken)(void *context, const struct pod *pod);
};

/* ct_restore_set() of pods that come one after the other. */
int restore_incoming(struct ct *ct, struct restore_hooks *hooks, size_t n, struct ct_error *err);

/*
 * The configuration of a restored pod: "pod" of its manifest and what the user wants otherwise. Whatever it has that
 * was not granted is refused when the image is read. A volume that the pod has not is refused, but with `several`: it may
 * be another pod's.
 */
int restore_config(const struct node *pod, const struct ct_restore_options *options, bool several,
		   struct pod_config *ret, struct ct_error *err);

#define RESTORE_NONE { .proc = -1, .file = -1, .stream = { -1, -1, -1 }, .init = { .pidfd = -1, .mem = -1, .uffd = -1 } }

/*
 * The steps of one pod's restore, each of which restore.c takes for all pods before the next (but see there
 * for those that come from another host).
 * Open: the image and its manifest. Check: takes name and address, and refuses what can be refused; nothing is made yet.
 * Build: everything is there and, with verify, was read back; nothing moves, packets are held back. Built: the hook of that name, where there are hooks.
 * Then restore_start() and restore_release_tasks(). Ready: nothing is left to do but what the monitor does at a word,
 * which is given to all of them at once. Release: packets flow. Then tcp_release_all(), and go: the processes run.
 */
int restore_open(struct restore *r, struct ct_error *err);
int restore_check(struct restore *r, struct ct_error *err);
int restore_build(struct restore *r, struct ct_error *err);
int restore_built(struct restore *r, struct ct_error *err);
int restore_ready(struct restore *r, struct ct_error *err);
int restore_release(struct restore *r, struct ct_error *err);
int restore_go(struct restore *r, struct ct_error *err);
/*
 * What a step that failed with `e` is to be told as. A value that is not what it should be explains all that came of it.
 * And what the kernel said of a pod under way is no word about the command line, the name or the
 * caller, which some codes stand for.
 */
int restore_explain(struct restore *r, int e, struct ct_error *err);
/* Frees what is held; where it failed, ends and removes whatever there is of the pod, running or not. */
void restore_close(struct restore *r, bool failed);
/* The pod's name, which the caller frees; the figures. */
int restore_told(struct restore *r, char **ret_name, struct ct_error *err);
void restore_take_stats(struct restore *r, struct ct_stats *ret);

/* Reads processes, threads and areas of the manifest: what the tree needs. */
int restore_parse(struct restore *r, struct ct_error *err);
/* Finds out which descriptions belong together. -ENOMEM. */
int restore_link_descriptors(struct restore *r);
int memory_parse(struct restore_process *p, struct ct_error *err);
/* Has every kind look for rights that processes and threads would need: process_asks, thread_asks. */
void restore_process_asks(struct restore_process *p);

/* Seizes PID 1 in front of its work and maps the tape's area in it. */
int restore_seize_init(struct restore *r, struct ct_error *err);

/*
 * Makes every process of the tree, stopped, small, in its session; but for those that inherit memory.
 * These (and what is below them) are made by restore_heirs() of their parent when its memory is
 * whole. restore_tree_end(): process groups. restore_tree_settle(): zombies and stand-ins end; until
 * then they can do something for us.
 */
int restore_tree(struct restore *r, struct ct_error *err);
int restore_heirs(struct restore *r, struct restore_process *p, struct ct_error *err);
int restore_tree_end(struct restore *r, struct ct_error *err);
int restore_tree_settle(struct restore *r, struct ct_error *err);
/* One process, a child of the executing thread. */
int restore_birth(struct restore_thread *creator, struct restore_process *p, struct ct_error *err);
/* A process that is in no image: with this PID, a child of `parent`, at whose end that one gets no signal. */
int restore_make_helper(struct restore *r, struct restore_process *parent, pid_t vpid,
			struct restore_process **ret, struct ct_error *err);
/* Runs the tape in its main thread, which ends by it, and waits until it is a zombie of its parent. */
int restore_end_task(struct restore_process *p, struct ct_error *err);
/* Ends the helper made last, reaps it, forgets it. */
int restore_end_helper(struct restore *r, struct restore_process *parent, struct ct_error *err);
/* All threads but the main one, stopped, where they do not exist yet. */
int restore_make_threads(struct restore_process *p, struct ct_error *err);
/* Makes `p`, which has just been born or found, ready for tapes. */
int restore_process_init(struct restore_process *p, struct ct_error *err);

/* Descriptor tables, attributes and threads of every process. */
int restore_tasks(struct restore *r, struct ct_error *err);

/* Gives every thread its registers; the tapes are gone then. */
int restore_registers(struct restore *r, struct ct_error *err);
/* Has a process threads to be put back into calls they slept in? Does it; `room` is memory of the process to use. */
bool restore_enters(const struct restore_process *p);
int restore_enter(struct restore_process *p, uint64_t room, struct ct_error *err);
/* Sets timers and the like going, right before the release. */
int restore_start(struct restore *r, struct ct_error *err);
/* Lets go of all of them, frozen: pod_set_going() sets them going. */
int restore_release_tasks(struct restore *r, struct ct_error *err);
/* After a failure: ends and reaps every task that was made. What else there is of the pod is left to pod_destroy(). */
void restore_abandon(struct restore *r);

/* Makes every description of the manifest. */
int restore_descriptors(struct restore *r, struct ct_error *err);
int restore_descriptors_late(struct restore *r, struct ct_error *err);

/* Like restore_run(), but leaves results and data on the tape for the caller to read and clear. */
int restore_run_keep(struct restore_process *p, struct ct_error *err);

void restore_process_release(struct restore_process *p);
