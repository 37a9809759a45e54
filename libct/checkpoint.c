/* SPDX-License-Identifier: Apache-2.0 */
/* The conductor of a checkpoint: of one pod, or of several that are stopped together. */
#include <stdio.h>
#include <string.h>

#include "libct/base/clock.h"
#include "libct/base/descriptors.h"
#include "libct/base/error.h"
#include "libct/checkpoint-steps.h"
#include "libct/pod/pod.h"
#include "libct/set-mark.h"

/* Of several it is to be said which. */
static int which(const struct checkpoints *s, const struct checkpoint *c, int r, struct ct_error *err)
{
	return s->n > 1 ? error_prefix(err, r, "%s", c->name) : r;
}

static int each(struct checkpoints *s, int (*step)(struct checkpoint *, struct ct_error *),
		struct ct_error *err)
{
	for (size_t i = 0; i < s->n; i++) {
		int r = step(&s->of[i], err);

		if (r < 0)
			return which(s, &s->of[i], r, err);
	}
	return 0;
}

static void let_go(struct checkpoints *s)
{
	for (size_t i = 0; s->of && i < s->n; i++)
		checkpoint_let_go(&s->of[i]);
}

void checkpoints_release(struct checkpoints *s)
{
	/* First all go on: what one sends finds the others there. */
	let_go(s);
	for (size_t i = 0; s->of && i < s->n; i++)
		checkpoint_release(&s->of[i]);
	free(take_ptr(s->of));
}

/* What is found in each of them is told at once. */
static int look(struct checkpoints *s, struct ct_error *err)
{
	struct ct_error one = { 0 }, all = { 0 };

	for (size_t i = 0; i < s->n; i++) {
		int r = checkpoint_preflight(&s->of[i], &one);

		if (r == 0)
			continue;
		which(s, &s->of[i], r, &one);
		if (r != -EOPNOTSUPP)
			all = (struct ct_error){ 0 };
		error_add(&all, &one);
		if (r != -EOPNOTSUPP)
			break;
	}
	if (all.code < 0 && err)
		*err = all;
	return all.code;
}

static bool passes(const struct checkpoints *s, int r)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->of[i].dump && dump_passes(s->of[i].dump, r))
			return true;
	return false;
}

/* Looks again at what passes by itself. In between the pods go on, as if nothing had been asked of them. */
static int stop(struct checkpoints *s, struct ct_error *err)
{
	const int64_t began = monotonic_us();

	for (;;) {
		int r = each(s, checkpoint_hold, err);

		/* All of them stand still before the first is looked at: no message is in one and not yet in another. */
		if (r == 0)
			r = each(s, checkpoint_freeze, err);
		if (r == 0)
			r = each(s, checkpoint_describe, err);
		if (r == 0 || !passes(s, r) || monotonic_us() >= began + PASSING_US)
			return r;
		let_go(s);
		for (size_t i = 0; i < s->n; i++) {
			r = checkpoint_end(&s->of[i], GUARD_CONTINUE, err);
			if (r < 0)
				return which(s, &s->of[i], r, err);
		}
		checkpoint_pause();
		r = each(s, checkpoint_guard, err);
		if (r < 0)
			return r;
	}
}

/* In each image, whose others there are: it is of no use to restore it beside what they became since. */
static int mark(struct checkpoints *s, struct ct_error *err)
{
	char id[33];
	int r = s->n > 1 ? set_mark_new_id(id, err) : 0;

	for (size_t i = 0; r == 0 && s->n > 1 && i < s->n; i++)
		set_mark_put(s->of[i].dump->root, id, s->names, s->n, i);
	return r;
}

/* All get their names, or none. */
static int commit(struct checkpoints *s, struct ct_error *err)
{
	int r = 0;

	for (size_t i = 0; i < s->n; i++) {
		r = s->of[i].path ? image_file_commit(&s->of[i].file, s->n > 1, err) : 0;
		if (r == 0)
			continue;
		for (size_t k = 0; k <= i; k++)
			image_file_revoke(&s->of[k].file);
		return which(s, &s->of[i], r, err);
	}
	return r;
}

/* For all of them, whatever becomes of one. */
static int end(struct checkpoints *s, enum guard_outcome outcome, struct ct_error *err)
{
	int first = 0;

	for (size_t i = 0; i < s->n; i++) {
		int r = checkpoint_end(&s->of[i], outcome, first ? NULL : err);

		if (r < 0 && !first)
			first = which(s, &s->of[i], r, err);
	}
	return first;
}

/* A pod that stays goes on as soon as its state has been read. */
static int write_and_go_on(struct checkpoints *s, struct ct_error *err)
{
	int r = each(s, checkpoint_write, err);

	if (r == 0)
		let_go(s);
	return r < 0 ? r : each(s, checkpoint_finish, err);
}

/* One that ends is stopped until all images are safe. Another host takes one image after the other. */
static int write_all(struct checkpoints *s, struct ct_error *err)
{
	for (size_t i = 0; i < s->n; i++) {
		struct checkpoint *c = &s->of[i];
		int r = checkpoint_write(c, err);

		if (r == 0)
			r = checkpoint_finish(c, err);
		if (r == 0)
			r = checkpoint_whole(c, err);
		if (r < 0)
			return which(s, c, r, err);
	}
	return 0;
}

int checkpoints_take(struct checkpoints *s, struct ct_error *err)
{
	const bool stays = s->options->leave_running;
	int r;

	for (size_t i = 0; i < s->n; i++)
		s->of[i].hooks = s->hooks;
	r = each(s, checkpoint_prepare, err);
	if (r == 0)
		r = each(s, checkpoint_guard, err);
	if (r == 0)
		r = stop(s, err);
	if (r == 0)
		r = mark(s, err);
	if (r == 0)
		r = stays ? write_and_go_on(s, err) : write_all(s, err);
	/* What can fail comes before an image has its name. */
	if (r == 0 && !stays)
		r = each(s, checkpoint_freeze_again, err);
	if (r == 0)
		r = commit(s, err);
	if (r < 0)
		return r;
	/* The point of no return: the images are whole and on the disk. */
	let_go(s);
	r = s->hooks ? s->hooks->leave(s->hooks->context, err) : 0;
	return r < 0 ? r : end(s, stays ? GUARD_CONTINUE : GUARD_CHECKPOINTED, err);
}

int checkpoints_open(struct checkpoints *s, struct ct *ct, const char *const *names,
		     const char *const *paths, size_t n, const struct ct_checkpoint_options *options,
		     struct ct_error *err)
{
	int r;

	*s = (struct checkpoints){ .n = n, .names = names, .options = options };
	if (geteuid() != 0)
		return error_set(err, -EPERM, "this needs root");
	if (!n)
		return error_set(err, -EINVAL, "no pod is named");
	s->of = calloc(n, sizeof(*s->of));
	if (!s->of)
		return error_errno(err, -ENOMEM, "checkpoint");
	for (size_t i = 0; i < n; i++) {
		s->of[i] = (struct checkpoint)CHECKPOINT_NONE;
		s->of[i].ct = ct;
		s->of[i].name = names[i];
		s->of[i].path = paths[i];
		s->of[i].options = options;
		s->of[i].index = i;
		for (size_t k = 0; k < i; k++)
			if (!strcmp(names[i], names[k]))
				return error_set(err, -EINVAL, "%s: named twice", names[i]);
	}
	r = each(s, checkpoint_open, err);
	return r < 0 ? r : look(s, err);
}

/* What the system said of a file is not what libct.h says of a pod. */
static int not_of_the_pod(int r, struct ct_error *err)
{
	if (r != -ENOENT && r != -EPERM && r != -EEXIST)
		return r;
	if (err)
		err->code = -EIO;
	return -EIO;
}

int ct_checkpoint_set(struct ct *ct, const char *const *names, const char *const *paths, size_t n,
		      const struct ct_checkpoint_options *options, struct ct_stats *stats,
		      struct ct_error *err)
{
	cleanup_descriptor_room struct descriptor_room room = descriptor_room_make();
	__cleanup(checkpoints_release) struct checkpoints s = { 0 };
	/* A caller built against an older header gave less: the rest is the default. */
	CT_OPTIONS(ct_checkpoint_options, given);
	int r;

	memcpy(&given, options, options->size < sizeof(given) ? options->size : sizeof(given));
	for (size_t i = 0; n > 1 && i < n && !given.dry_run; i++)
		if (!paths[i])
			return error_set(err, -EINVAL, "%s: each of several needs a file", names[i]);
	r = checkpoints_open(&s, ct, names, paths, n, &given, err);
	if (r == 0 && !given.dry_run)
		r = not_of_the_pod(checkpoints_take(&s, err), err);
	for (size_t i = 0; stats && s.of && i < n; i++)
		stats[i] = s.of[i].dump ? s.of[i].dump->stats : s.of[i].stats;
	return r;
}

int ct_checkpoint(struct ct *ct, const char *name, const struct ct_checkpoint_options *options,
		  struct ct_stats *stats, struct ct_error *err)
{
	return ct_checkpoint_set(ct, &name, &options->path, 1, options, stats, err);
}
