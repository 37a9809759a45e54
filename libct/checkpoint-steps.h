/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The steps of one pod's checkpoint, for their conductor (checkpoint.c), which takes each for all pods of a set before
 * the next. Whatever a step did to the pod is undone by checkpoint_let_go() and checkpoint_release().
 */
#pragma once
#include "libct/dump-steps.h"
#include "libct/image-file.h"

struct archive_writer;
struct rootfs_early;

/* A checkpoint that is a part of something greater: a migration. `index`: of the pod, in their order. */
struct checkpoint_hooks {
	void *context;
	/* The descriptor that the image is to be written to; the owner's. */
	int (*open)(void *context, size_t index, struct ct_error *err);
	/* It is about to be written. */
	int (*begin)(void *context, size_t index, struct ct_error *err);
	/* The image is whole, every process still stopped and traced. Fails: the pods run on. */
	int (*whole)(void *context, size_t index, const char digest[33], struct ct_error *err);
	/*
	 * Nobody traces the pods any more, they are frozen. 0: they have left, and what is here ends. Else they run on,
	 * unless they were handed over (guard_hand_over()).
	 */
	int (*leave)(void *context, struct ct_error *err);
};

struct checkpoint {
	struct ct *ct;
	const char *name, *path; /* path NULL: options->fd */
	const struct ct_checkpoint_options *options;
	const struct checkpoint_hooks *hooks; /* NULL: none */
	size_t index; /* of several */
	struct pod *pod;
	struct dump *found; /* by the look at the running pod */
	struct image_file file;
	struct archive_writer *w;
	struct rootfs_early *early;
	struct guard guard;
	struct dump *dump;
	int64_t began; /* the stop, us */
	struct ct_stats stats;
};
#define CHECKPOINT_NONE { .file = IMAGE_FILE_NONE, .guard = { -1, -1 } }

/* The pods that are stopped together, mostly one. */
struct checkpoints {
	struct checkpoint *of;
	size_t n;
	const char *const *names;
	const struct ct_checkpoint_options *options;
	const struct checkpoint_hooks *hooks; /* NULL: none */
};

/*
 * ct_checkpoint_set() in two parts: opens and locks running pods that can be carried, then carries them. `options` and `hooks` may
 * be completed in between; of them, checkpoints_open() uses dry_run only. `names` and `options` stay the caller's.
 * Released in every case.
 */
int checkpoints_open(struct checkpoints *s, struct ct *ct, const char *const *names,
		     const char *const *paths, size_t n, const struct ct_checkpoint_options *options,
		     struct ct_error *err);
int checkpoints_take(struct checkpoints *s, struct ct_error *err);
void checkpoints_release(struct checkpoints *s);

/*
 * What passes by itself in a running pod (a child of vfork(2) that has not executed its program yet, an error that waits
 * to be read) is mostly gone within a millisecond. What is there at every look for so long is refused.
 */
#define PASSING_US 1500000
/* What does not pass is refused when a look at the running pod has found the same so often. */
#define ENOUGH_LOOKS 3
void checkpoint_pause(void);

/* A running pod, and its lock. */
int checkpoint_open(struct checkpoint *c, struct ct_error *err);
/* A look at it while it runs: -EOPNOTSUPP with all findings. */
int checkpoint_preflight(struct checkpoint *c, struct ct_error *err);
/* The file, and what of the pod's files can be taken while it runs. */
int checkpoint_prepare(struct checkpoint *c, struct ct_error *err);
int checkpoint_guard(struct checkpoint *c, struct ct_error *err);
int checkpoint_hold(struct checkpoint *c, struct ct_error *err);
int checkpoint_freeze(struct checkpoint *c, struct ct_error *err);
/* Stops it under ptrace; all but the contents of memory is found out. */
int checkpoint_describe(struct checkpoint *c, struct ct_error *err);
/* Manifest, files and memory; fails also where nobody would have set the pod going. */
int checkpoint_write(struct checkpoint *c, struct ct_error *err);
/* The processes go on, unless they are frozen. */
void checkpoint_let_go(struct checkpoint *c);
/* The rest of the image, onto the disk; it has no name yet. */
int checkpoint_finish(struct checkpoint *c, struct ct_error *err);
/* The hook of that name. */
int checkpoint_whole(struct checkpoint *c, struct ct_error *err);
/* The pod will end as it is: none of its processes runs on when they are let go. */
int checkpoint_freeze_again(struct checkpoint *c, struct ct_error *err);
int checkpoint_end(struct checkpoint *c, enum guard_outcome outcome, struct ct_error *err);
void checkpoint_release(struct checkpoint *c);
