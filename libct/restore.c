/* SPDX-License-Identifier: Apache-2.0 */
/* The conductor of a restore: of one pod, or of several that are released together. */
#include <stdlib.h>
#include <string.h>

#include "libct/base/descriptors.h"
#include "libct/base/error.h"
#include "libct/kind/tcp.h"
#include "libct/restore-steps.h"
#include "libct/set-mark.h"

struct restores {
	struct restore *of;
	struct set_mark *marks;
	size_t n;
	const struct ct_restore_options *options;
	bool released, failed;
};

/* What it is told as; of several it is to be said which. */
static int which(const struct restores *s, size_t i, int e, struct ct_error *err)
{
	e = restore_explain(&s->of[i], e, err);
	return s->n > 1 ? error_prefix(err, e, "%s", s->of[i].path) : e;
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
	for (size_t i = 0; s->of && i < s->n; i++)
		restore_close(&s->of[i], s->failed);
	free(s->of);
	free(s->marks);
}

static int check_sets(struct restores *s, struct ct_error *err)
{
	int e = 0;

	for (size_t i = 0; i < s->n && e == 0; i++) {
		set_mark_get(s->of[i].root, &s->marks[i]);
		e = doc_check(s->of[i].doc, err);
		if (e < 0)
			return which(s, i, e, err);
	}
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

static bool has_volume(const struct pod_config *config, const char *destination)
{
	for (size_t i = 0; i < config->n_volumes; i++)
		if (!strcmp(config->volumes[i].destination, destination))
			return true;
	return false;
}

/* Each of several takes those of the volumes that it has: none may be left over. */
static int check_volumes(const struct restores *s, struct ct_error *err)
{
	for (size_t i = 0; i < s->options->n_volumes; i++) {
		const char *destination = s->options->volumes[i].destination;
		size_t k = 0;

		while (k < s->n && !has_volume(&s->of[k].pod->config, destination))
			k++;
		if (k == s->n)
			return error_set(err, -EINVAL, "none of the images has a volume at '%s'", destination);
	}
	return 0;
}

static bool publishes(const struct pod_config *config, const struct net_publish *p)
{
	for (size_t i = 0; i < config->n_publish; i++)
		if (config->publish[i].pod == p->pod && config->publish[i].udp == p->udp &&
		    config->publish[i].host == p->host)
			return true;
	return false;
}

/* Likewise the ports that it had published. */
static int check_ports(const struct restores *s, struct ct_error *err)
{
	__cleanup(pod_config_release) struct pod_config given = { .net = CT_NET_BRIDGE };
	int e = s->n > 1 ? pod_config_set_publish(&given, s->options->publish, err) : 0;

	for (size_t i = 0; e == 0 && i < given.n_publish; i++) {
		size_t k = 0;

		while (k < s->n && !publishes(&s->of[k].pod->config, &given.publish[i]))
			k++;
		if (k == s->n)
			e = error_set(err, -EINVAL, "none of the images had port %u (%s) published",
				      given.publish[i].pod, given.publish[i].udp ? "UDP" : "TCP");
	}
	return e;
}

static int restore(struct restores *s, struct ct_error *err)
{
	int e = each(s, restore_open, err);

	if (e == 0)
		e = check_sets(s, err);
	/* All that can be refused is refused before anything of any is made. */
	if (e == 0)
		e = check(s, err);
	if (e == 0)
		e = check_volumes(s, err);
	if (e == 0)
		e = check_ports(s, err);
	if (e == 0)
		e = each(s, restore_build, err);
	if (e == 0)
		e = each(s, restore_built, err);
	if (e == 0)
		e = each(s, restore_start, err);
	if (e == 0)
		e = each(s, restore_release_tasks, err);
	/*
	 * The point of no return: the monitor takes the pod over, and opens its link. Killed before it we leave nothing,
	 * killed after it we leave a pod that runs.
	 */
	if (e == 0)
		e = each(s, restore_release, err);
	s->released = e == 0;
	/* Packets flow everywhere before the first connection speaks, and these before anybody could answer. */
	if (e == 0)
		e = each(s, tcp_release_all, err);
	return e < 0 ? e : each(s, restore_go, err);
}

static int begin(struct restores *s, struct ct *ct, const char *const *paths,
		 struct restore_hooks *hooks, struct ct_error *err)
{
	const struct ct_restore_options *o = s->options;

	if (geteuid() != 0)
		return error_set(err, -EPERM, "this needs root");
	if (!s->n || (s->n > 1 && (o->name || o->ip || o->mac)))
		return error_set(err, -EINVAL, s->n ? "several pods have no common name or address"
						    : "no image is named");
	s->of = calloc(s->n, sizeof(*s->of));
	s->marks = calloc(s->n, sizeof(*s->marks));
	if (!s->of || !s->marks)
		return error_errno(err, -ENOMEM, "restore");
	for (size_t i = 0; i < s->n; i++) {
		s->of[i] = (struct restore)RESTORE_NONE;
		s->of[i].ct = ct;
		s->of[i].path = paths[i];
		s->of[i].options = o;
		s->of[i].hooks = hooks;
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
			 const struct ct_restore_options *options, struct restore_hooks *hooks,
			 char **ret_names, struct ct_stats *stats, struct ct_error *err)
{
	cleanup_descriptor_room struct descriptor_room room = descriptor_room_make();
	/* A caller built against an older header gave less: the rest is the default. */
	CT_OPTIONS(ct_restore_options, given);
	__cleanup(release) struct restores s = { .n = n, .options = &given, .failed = true };
	int e;

	memcpy(&given, options, options->size < sizeof(given) ? options->size : sizeof(given));
	e = begin(&s, ct, paths, hooks, err);
	if (e == 0)
		e = restore(&s, err);
	if (e == 0)
		e = finish(&s, ret_names, stats, err);
	/* Of what came from another host no other copy may go on now: its monitor does what we could not. */
	if (e < 0 && hooks && s.released)
		e = 0;
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
	return restore_paths(ct, paths, n, options, NULL, ret_names, stats, err);
}

int restore_image(struct ct *ct, const struct ct_restore_options *options, struct restore_hooks *hooks,
		  char **ret_name, struct ct_stats *stats, struct ct_error *err)
{
	return restore_paths(ct, &options->path, 1, options, hooks, ret_name, stats, err);
}

int ct_restore(struct ct *ct, const struct ct_restore_options *options, char **ret_name,
	       struct ct_stats *stats, struct ct_error *err)
{
	return restore_image(ct, options, NULL, ret_name, stats, err);
}
