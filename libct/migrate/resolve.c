/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What becomes of a pod that was handed over to another host, which has not confirmed it. Pods that were handed over together run
 * there all or none of them, so they have one fate: before the first is settled it is noted of the others what became of
 * it, and a user who says otherwise of one of them is refused. Only the other host knows better.
 */
#include <string.h>

#include "libct/base/error.h"
#include "libct/migrate/leaving.h"
#include "libct/migrate/send.h"

#define PATIENCE_MS 10000

/* By what the other side says. A user's own decision is taken where that says nothing. */
static int decide(const char *host, enum ct_resolve what, bool asked, enum arrival arrival, bool *ret_keep,
		  struct ct_error *err)
{
	bool there = asked && (arrival == ARRIVAL_RUNNING || arrival == ARRIVAL_ENDED);
	bool gone = asked && arrival == ARRIVAL_GONE;

	if (asked && arrival == ARRIVAL_BUILDING)
		return error_set(err, -EINPROGRESS, "it is still being built on '%s', which may yet set it going; ask again",
				 host);
	if (what == CT_RESOLVE_KEEP && there)
		return error_set(err, -EBUSY, "'%s' says that it has run there; drop it here, or it would be there twice",
				 host);
	if (what == CT_RESOLVE_DROP && gone)
		return error_set(err, -EBUSY, "'%s' says that it never ran there; keep it, or it would be nowhere", host);
	if (what == CT_RESOLVE_ASK && !there && !gone)
		return error_set(err, -EINPROGRESS, "'%s' cannot tell whether the pod ran there; find out, then say keep or "
						    "drop",
				 host);
	*ret_keep = what == CT_RESOLVE_KEEP || (what == CT_RESOLVE_ASK && gone);
	return 0;
}

static int settle(struct pod *pod, bool keep, struct ct_error *err)
{
	__cleanup(guard_release) struct guard guard = { -1, -1 };
	int r = guard_take_up(pod, &guard, err);

	if (r == 0)
		r = guard_end(pod, &guard, keep ? GUARD_CONTINUE : GUARD_CHECKPOINTED, err);
	if (r == 0 && keep)
		leaving_forget(pod);
	return r;
}

/* ---- those that were handed over together ---- */

struct other {
	struct pod *pod; /* locked; NULL: it is settled already */
	struct leaving note;
};

struct others {
	struct other *v;
	size_t n;
};

static void others_release(struct others *o)
{
	for (size_t i = 0; i < o->n; i++) {
		leaving_release(&o->v[i].note);
		pod_free(o->v[i].pod);
	}
	free(o->v);
	*o = (struct others){ 0 };
}

/* Whoever has that name now may be another pod, or have moved again. */
static int open_other(struct ct *ct, const struct node *of, struct other *ret, struct ct_error *err)
{
	const char *name = node_str(of, "pod");
	struct ct_error why = { 0 };
	int r = pod_open(ct, name, &ret->pod, &why);

	if (r == -ENOENT)
		return 0;
	if (r == 0)
		r = pod_lock(ret->pod, &why);
	if (r == 0 && ret->pod->state.status == CT_MIGRATING)
		r = leaving_read(ret->pod, &ret->note, &why);
	if (r < 0)
		return error_set(err, r, "'%s', which was handed over together with it: %s", name, why.text);
	if (!ret->note.id || strcmp(ret->note.id, node_str(of, "id"))) {
		leaving_release(&ret->note);
		pod_free(take_ptr(ret->pod));
	}
	return 0;
}

static int others_open(struct ct *ct, const struct leaving *l, struct others *ret, struct ct_error *err)
{
	size_t n = node_count(l->with);
	int r = 0;

	ret->v = calloc(n + 1, sizeof(*ret->v));
	if (!ret->v)
		return error_errno(err, -ENOMEM, "migration");
	for (; r == 0 && ret->n < n; ret->n++)
		r = open_other(ct, node_at(l->with, ret->n), &ret->v[ret->n], err);
	return r;
}

/* What was settled of another one binds a user, as long as there is one that is settled. */
static int check_others(const struct leaving *l, const struct others *o, enum ct_resolve what, struct ct_error *err)
{
	for (size_t i = 0; i < o->n; i++) {
		if (o->v[i].pod)
			continue;
		if (l->resolved && what != CT_RESOLVE_ASK && !strcmp(l->resolved, "keep") != (what == CT_RESOLVE_KEEP))
			return error_set(err, -EBUSY, "'%s', which was handed over together with it, was %s; %s it, too",
					 node_str(node_at(l->with, i), "pod"),
					 what == CT_RESOLVE_KEEP ? "dropped here" : "kept here", l->resolved);
	}
	return 0;
}

static int note_others(const struct others *o, bool keep, struct ct_error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < o->n; i++)
		if (o->v[i].pod)
			r = leaving_resolve(o->v[i].pod, &o->v[i].note, keep ? "keep" : "drop", err);
	return r;
}

static int ask(const struct pod *pod, const struct leaving *l, struct ct_remote_options *to, enum ct_resolve what,
	       enum arrival *ret, struct ct_error *err)
{
	int r = sender_ask(to, l->id, what == CT_RESOLVE_ASK ? PATIENCE_MS : 0, ret, err);

	/* So long ago that the other side may have forgotten. */
	if (*ret == ARRIVAL_GONE && leaving_days(pod) > JOURNAL_DAYS_SURE)
		*ret = ARRIVAL_UNKNOWN;
	return r;
}

static int open_all(struct ct *ct, const char *name, struct pod **ret, struct leaving *note, struct others *others,
		    struct ct_error *err)
{
	int r = pod_open(ct, name, ret, err);

	if (r == 0)
		r = pod_lock(*ret, err);
	if (r == 0 && (*ret)->state.status != CT_MIGRATING)
		r = error_set(err, -EINVAL, "it is %s: nothing is to be resolved", ct_status_name((*ret)->state.status));
	if (r == 0)
		r = leaving_read(*ret, note, err);
	return r < 0 ? r : others_open(ct, note, others, err);
}

int ct_migrate_resolve(struct ct *ct, const char *name, enum ct_resolve what,
		       const struct ct_remote_options *remote, bool *ret_kept, struct ct_error *err)
{
	__cleanup(pod_free_cleanup) struct pod *pod = NULL;
	__cleanup(leaving_release) struct leaving note = { 0 };
	__cleanup(others_release) struct others others = { 0 };
	enum arrival arrival = ARRIVAL_UNKNOWN;
	struct ct_remote_options to;
	bool keep = false;
	int asked, r = open_all(ct, name, &pod, &note, &others, err);

	if (r < 0)
		return r;
	to = note.to;
	to.host = remote->host ? remote->host : to.host;
	to.rsh = remote->rsh ? remote->rsh : to.rsh;
	to.remote_podckpt = remote->remote_podckpt ? remote->remote_podckpt : to.remote_podckpt;
	to.words = remote->words;
	to.context = remote->context;
	asked = ask(pod, &note, &to, what, &arrival, err);
	if (asked < 0 && what == CT_RESOLVE_ASK)
		return asked;
	r = decide(to.host, what, asked == 0, arrival, &keep, err);
	/* Where the other host has said it, that is the truth. */
	if (r == 0 && (asked < 0 || arrival == ARRIVAL_UNKNOWN))
		r = check_others(&note, &others, what, err);
	if (r == 0)
		r = note_others(&others, keep, err);
	if (r == 0)
		r = settle(pod, keep, err);
	if (r < 0)
		return r;
	if (asked == 0 && !keep)
		sender_settle(&to, note.id);
	*ret_kept = keep;
	return 0;
}
