/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of a pod that was handed over to another host, which has not confirmed it. */
#include <string.h>

#include "libct/base/error.h"
#include "libct/migrate/leaving.h"
#include "libct/migrate/send.h"

#define PATIENCE_MS 10000

DEFINE_CLEANUP(struct doc *, doc_free)

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

int ct_migrate_resolve(struct ct *ct, const char *name, enum ct_resolve what,
		       const struct ct_remote_options *remote, bool *ret_kept, struct ct_error *err)
{
	__cleanup(pod_free_cleanup) struct pod *pod = NULL;
	__cleanup(doc_free_cleanup) struct doc *doc = NULL;
	CT_OPTIONS(ct_remote_options, to);
	enum arrival arrival = ARRIVAL_UNKNOWN;
	const char *id = NULL;
	bool keep = false;
	int asked, r = pod_open(ct, name, &pod, err);

	if (r == 0)
		r = pod_lock(pod, err);
	if (r == 0 && pod->state.status != CT_MIGRATING)
		r = error_set(err, -EINVAL, "it is %s: nothing is to be resolved", ct_status_name(pod->state.status));
	if (r == 0)
		r = leaving_read(pod, &doc, &to, &id, err);
	if (r < 0)
		return r;
	to.host = remote->host ? remote->host : to.host;
	to.rsh = remote->rsh ? remote->rsh : to.rsh;
	to.remote_podckpt = remote->remote_podckpt ? remote->remote_podckpt : to.remote_podckpt;
	to.words = remote->words;
	to.context = remote->context;
	asked = sender_ask(&to, id, what == CT_RESOLVE_ASK ? PATIENCE_MS : 0, &arrival, err);
	if (asked < 0 && what == CT_RESOLVE_ASK)
		return asked;
	/* So long ago that the other side may have forgotten. */
	if (arrival == ARRIVAL_GONE && leaving_days(pod) > JOURNAL_DAYS_SURE)
		arrival = ARRIVAL_UNKNOWN;
	r = decide(to.host, what, asked == 0, arrival, &keep, err);
	if (r == 0)
		r = settle(pod, keep, err);
	if (r < 0)
		return r;
	if (asked == 0 && !keep)
		sender_settle(&to, id);
	*ret_kept = keep;
	return 0;
}
