/* SPDX-License-Identifier: Apache-2.0 */
/* The conductor of a restore: of one pod, or of several that are released together. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "libct/base/descriptors.h"
#include "libct/base/error.h"
#include "libct/kind/tcp.h"
#include "libct/restore-steps.h"
#include "libct/set-mark.h"
#include "libct/set-options.h"

struct restores {
	struct restore *of;
	struct set_mark *marks;
	size_t n;
	const struct ct_restore_options *options;
	struct pod_word *word; /* shared with the monitors */
	bool released, failed;
};

/* What it is told as; of several it is to be said which. */
static int which(const struct restores *s, size_t i, int e, struct ct_error *err)
{
	e = restore_explain(&s->of[i], e, err);
	return s->n > 1 ? error_prefix(err, e, "%s", s->of[i].path ? s->of[i].path : s->of[i].hooks->name) : e;
}

static int each(struct restores *s, int (*step)(struct restore *, struct ct_error *),
		struct ct_error *err)
{
	for (size_t i = 0; i < s->n; i++) {
		int e = step(&s->of[i], err);

		if (e < 0)
			return which(s, i, e, err);
	}
	return 0;
}

static void release(struct restores *s)
{
	/* While we live it can be taken back: nothing moves yet. */
	if (s->word && s->failed)
		s->word->given = false;
	for (size_t i = 0; s->of && i < s->n; i++)
		restore_close(&s->of[i], s->failed);
	free(s->of);
	free(s->marks);
	if (s->word)
		munmap(s->word, sizeof(*s->word));
}

static int open_one(struct restores *s, size_t i, struct ct_error *err)
{
	int e = restore_open(&s->of[i], err);

	if (e == 0) {
		set_mark_get(s->of[i].root, &s->marks[i]);
		e = doc_check(s->of[i].doc, err);
	}
	return e < 0 ? which(s, i, e, err) : 0;
}

static int check_sets(struct restores *s, struct ct_error *err)
{
	int e = 0;

	for (size_t i = 0; i < s->n && e == 0; i++) {
		e = set_mark_check(s->marks, s->n, i, s->options->alone, err);
		if (e < 0)
			return which(s, i, e, err);
	}
	return e;
}

/* The rights that each of them asks for are told at once. */
static int check(struct restores *s, struct ct_error *err)
{
	struct ct_error one = { 0 }, all = { 0 };

	for (size_t i = 0; i < s->n; i++) {
		int e = restore_check(&s->of[i], &one);

		if (e == 0)
			continue;
		e = which(s, i, e, &one);
		if (e != -EKEYREJECTED)
			all = (struct ct_error){ 0 };
		error_add(&all, &one);
		if (e != -EKEYREJECTED)
			break;
	}
	if (all.code < 0 && err)
		*err = all;
	return all.code;
}

static int check_options(const struct restores *s, struct ct_error *err)
{
	cleanup_free const struct pod_config **configs = calloc(s->n, sizeof(*configs));

	if (!configs)
		return error_errno(err, -ENOMEM, "restore");
	for (size_t i = 0; i < s->n; i++)
		configs[i] = &s->of[i].pod->config;
	return s->n > 1 ? set_check_options(configs, s->n, s->options, err) : 0;
}

/* All that can be refused is refused before anything of any is made. */
static int build_all(struct restores *s, struct ct_error *err)
{
	int e = 0;

	for (size_t i = 0; i < s->n && e == 0; i++)
		e = open_one(s, i, err);
	if (e == 0)
		e = check_sets(s, err);
	if (e == 0)
		e = check(s, err);
	if (e == 0)
		e = check_options(s, err);
	return e < 0 ? e : each(s, restore_build, err);
}

/* From another host one image comes after the other: what can be refused was so when they were offered. */
static int build_as_they_come(struct restores *s, struct ct_error *err)
{
	for (size_t i = 0; i < s->n; i++) {
		int e = open_one(s, i, err);

		if (e < 0)
			return e;
		e = restore_check(&s->of[i], err);
		if (e == 0)
			e = restore_build(&s->of[i], err);
		if (e == 0)
			e = restore_built(&s->of[i], err);
		if (e < 0)
			return which(s, i, e, err);
	}
	return check_sets(s, err);
}

static int restore(struct restores *s, struct ct_error *err)
{
	struct restore_hooks *hooks = s->of[0].hooks;
	int e = hooks ? build_as_they_come(s, err) : build_all(s, err);

	if (e == 0 && hooks)
		e = hooks->go(hooks->context, err);
	if (e == 0)
		e = each(s, restore_start, err);
	if (e == 0)
		e = each(s, restore_release_tasks, err);
	if (e == 0)
		e = each(s, restore_ready, err);
	/* The point of no return. Killed before it we leave nothing, killed after it we leave pods that all run. */
	if (e == 0)
		s->word->given = true;
	if (e == 0)
		e = each(s, restore_release, err);
	s->released = e == 0;
	/* Packets flow everywhere before the first connection speaks, and these before anybody could answer. */
	if (e == 0)
		e = each(s, tcp_release_all, err);
	return e < 0 ? e : each(s, restore_go, err);
}

static int begin(struct restores *s, struct ct *ct, struct ct_error *err)
{
	if (geteuid() != 0)
		return error_set(err, -EPERM, "this needs root");
	if (!s->n)
		return error_set(err, -EINVAL, "no image is named");
	s->of = calloc(s->n, sizeof(*s->of));
	s->marks = calloc(s->n, sizeof(*s->marks));
	if (!s->of || !s->marks)
		return error_errno(err, -ENOMEM, "restore");
	s->word = mmap(NULL, sizeof(*s->word), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (s->word == MAP_FAILED) {
		s->word = NULL;
		return error_errno(err, -errno, "restore");
	}
	for (size_t i = 0; i < s->n; i++) {
		s->of[i] = (struct restore)RESTORE_NONE;
		s->of[i].ct = ct;
		s->of[i].options = s->options;
		s->of[i].word = s->word;
		s->of[i].grants.several = s->n > 1;
	}
	return 0;
}

static int finish(struct restores *s, char **ret_names, struct ct_stats *stats, struct ct_error *err)
{
	int e = 0;

	memset(ret_names, 0, s->n * sizeof(*ret_names));
	for (size_t i = 0; i < s->n && e == 0; i++)
		e = restore_told(&s->of[i], &ret_names[i], err);
	for (size_t i = 0; i < s->n && e < 0; i++)
		free(take_ptr(ret_names[i]));
	for (size_t i = 0; stats && i < s->n; i++)
		restore_take_stats(&s->of[i], &stats[i]);
	return e;
}

static int restore_paths(struct ct *ct, const char *const *paths, size_t n,
			 const struct ct_restore_options *options, char **ret_names,
			 struct ct_stats *stats, struct ct_error *err)
{
	cleanup_descriptor_room struct descriptor_room room = descriptor_room_make();
	/* A caller built against an older header gave less: the rest is the default. */
	CT_OPTIONS(ct_restore_options, given);
	__cleanup(release) struct restores s = { .n = n, .options = &given, .failed = true };
	int e;

	memcpy(&given, options, options->size < sizeof(given) ? options->size : sizeof(given));
	if (n > 1 && (given.name || given.ip || given.mac))
		return error_set(err, -EINVAL, "several pods have no common name or address");
	e = begin(&s, ct, err);
	for (size_t i = 0; e == 0 && i < n; i++)
		s.of[i].path = paths[i];
	if (e == 0)
		e = restore(&s, err);
	if (e == 0)
		e = finish(&s, ret_names, stats, err);
	s.failed = e < 0;
	return e;
}

int ct_restore_set(struct ct *ct, const char *const *paths, size_t n,
		   const struct ct_restore_options *options, char **ret_names,
		   struct ct_stats *stats, struct ct_error *err)
{
	for (size_t i = 0; i < n; i++)
		if (!paths[i])
			return error_set(err, -EINVAL, "each of several is a file");
	return restore_paths(ct, paths, n, options, ret_names, stats, err);
}

int restore_incoming(struct ct *ct, struct restore_hooks *hooks, size_t n, struct ct_error *err)
{
	cleanup_descriptor_room struct descriptor_room room = descriptor_room_make();
	__cleanup(release) struct restores s = { .n = n, .options = hooks->options, .failed = true };
	int e = begin(&s, ct, err);

	for (size_t i = 0; e == 0 && i < n; i++) {
		s.of[i].hooks = &hooks[i];
		s.of[i].options = hooks[i].options;
	}
	if (e == 0)
		e = restore(&s, err);
	/* No other copy may go on now: its monitor does what we could not. */
	if (e < 0 && s.released)
		e = 0;
	s.failed = e < 0;
	return e;
}

int ct_restore(struct ct *ct, const struct ct_restore_options *options, char **ret_name,
	       struct ct_stats *stats, struct ct_error *err)
{
	return restore_paths(ct, &options->path, 1, options, ret_name, stats, err);
}
