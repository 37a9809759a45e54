/* SPDX-License-Identifier: Apache-2.0 */
#include "libct/tree-plan.h"

#include <errno.h>
#include <stdlib.h>

#include "libct/base/cleanup.h"
#include "libct/base/error.h"

#define MAX_DEPTH 4096 /* of the tree; the walk below is recursive */

/* A plan while it is made: the tree as it would stand by now. */
struct growth {
	struct tree_plan *plan;
	pid_t *now; /* by index: the session it is in; 0: not there yet */
	int depth;
	int who;
	struct ct_error *err;
};

void tree_plan_free(struct tree_plan *plan)
{
	if (!plan)
		return;
	free(plan->tasks);
	free(plan->steps);
	free(plan->heir);
	free(plan->stand_ins);
	free(plan->birth);
	free(plan->first_child);
	free(plan->next_sibling);
	free(plan);
}
DEFINE_CLEANUP(struct tree_plan *, tree_plan_free)

static int slot(const struct tree_plan *plan, int index)
{
	return index == TREE_ROOT ? (int)plan->n_tasks : index;
}

static bool is_leader(const struct tree_plan *plan, int index)
{
	return plan->tasks[index].session == plan->tasks[index].vpid;
}

static int find(const struct tree_plan *plan, pid_t vpid)
{
	for (size_t i = 0; i < plan->n_tasks; i++)
		if (plan->tasks[i].vpid == vpid)
			return (int)i;
	return TREE_ROOT;
}

/* Is `above` an ancestor of `index`, or the same? */
static bool is_above(const struct tree_plan *plan, int above, int index)
{
	/* Parents have smaller indices. */
	while (index > above && index != TREE_ROOT)
		index = plan->tasks[index].parent;
	return index == above;
}

/* ---- where each process is born ---- */

/*
 * Was `p`, the leader of a session of its own, born in `session`, in which it has a child? If not it
 * adopted the child later.
 */
static bool born_in(const struct tree_plan *plan, int p, pid_t session)
{
	int leader = session == 1 ? TREE_ROOT : find(plan, session);
	int common = -2;

	if (session == 1)
		return true;
	if (leader != TREE_ROOT)
		return !is_above(plan, p, leader);
	/* Of a dead leader's session: born in it if members are found elsewhere than below p. */
	for (size_t i = 0; i < plan->n_tasks; i++) {
		int parent = plan->tasks[i].parent;

		if (plan->tasks[i].session != session)
			continue;
		if (common == -2)
			common = parent;
		while (common != TREE_ROOT && !is_above(plan, common, parent))
			common = plan->tasks[common].parent;
	}
	return !is_above(plan, p, common);
}

static int find_births(struct tree_plan *plan, struct growth *g)
{
	for (int i = (int)plan->n_tasks - 1; i >= 0; i--) {
		const struct tree_task *t = &plan->tasks[i];

		if (!is_leader(plan, i))
			plan->birth[i] = t->session;
		if (!is_leader(plan, i))
			continue;
		for (int c = plan->first_child[i]; c >= 0; c = plan->next_sibling[c]) {
			pid_t s = plan->birth[c];

			if (!s || s == t->vpid || s == plan->birth[i] || !born_in(plan, i, s))
				continue;
			if (plan->birth[i]) {
				g->who = i;
				return error_set(g->err, -EOPNOTSUPP,
						 "it has children in several earlier sessions");
			}
			plan->birth[i] = s;
		}
	}
	return 0;
}

/* ---- the steps ---- */

static int add_step(struct growth *g, enum tree_what what, int actor, int subject)
{
	struct tree_plan *plan = g->plan;

	if (plan->n_steps == plan->max_steps) {
		size_t max = plan->max_steps ? plan->max_steps * 2 : 64;
		struct tree_step *grown = realloc(plan->steps, max * sizeof(*grown));

		if (!grown)
			return error_errno(g->err, -ENOMEM, "the process tree");
		plan->steps = grown;
		plan->max_steps = max;
	}
	plan->steps[plan->n_steps++] = (struct tree_step){ what, actor, subject };
	return 0;
}

static int grow(struct growth *g, int p);

static int add_child(struct growth *g, enum tree_what what, int actor, int c, pid_t session)
{
	int r = add_step(g, what, actor, c);

	g->now[c] = session;
	return r < 0 ? r : grow(g, c);
}

/* The children that `p` forks itself, being in the session it is in. */
static int add_own_children(struct growth *g, int p)
{
	struct tree_plan *plan = g->plan;
	pid_t now = p == TREE_ROOT ? 1 : g->now[p];
	/* One that makes its own session is born in any; but after its parent's setsid(2), for heirs. */
	bool any = p == TREE_ROOT || now == plan->tasks[p].session;
	int r = 0;

	for (int c = plan->first_child[slot(plan, p)]; r == 0 && c >= 0; c = plan->next_sibling[c])
		if (!g->now[c] && !plan->tasks[c].heir &&
		    (plan->birth[c] ? plan->birth[c] == now : any))
			r = add_child(g, TREE_BIRTH, p, c, now);
	return r;
}

/* Somebody below `p` (not p) who is in that session by now; -2: nobody. */
static int find_member(const struct growth *g, int p, pid_t session)
{
	const struct tree_plan *plan = g->plan;

	for (size_t i = 0; i < plan->n_tasks; i++)
		if (g->now[i] == session && (int)i != p && is_above(plan, p, (int)i))
			return (int)i;
	for (size_t i = 0; i < plan->n_stand_ins; i++)
		if (plan->stand_ins[i].vpid == session && is_above(plan, p, plan->stand_ins[i].parent))
			return (int)(plan->n_tasks + i);
	return -2;
}

static int refuse(struct growth *g, int c)
{
	g->who = c;
	return error_set(g->err, -EOPNOTSUPP,
			 "it is in session %d, which its parent was never in and nobody below that "
			 "one is in", g->plan->tasks[c].session);
}

static int add_stand_in(struct growth *g, int p, int c)
{
	struct tree_plan *plan = g->plan;
	pid_t session = plan->birth[c];
	struct tree_stand_in *grown;

	/* The leader lives, or its PID stands in elsewhere. */
	if (find(plan, session) != TREE_ROOT || session == 1)
		return refuse(g, c);
	for (size_t i = 0; i < plan->n_stand_ins; i++)
		if (plan->stand_ins[i].vpid == session)
			return refuse(g, c);
	grown = realloc(plan->stand_ins, sizeof(*grown) * (plan->n_stand_ins + 1));
	if (!grown)
		return error_errno(g->err, -ENOMEM, "the process tree");
	plan->stand_ins = grown;
	grown[plan->n_stand_ins] = (struct tree_stand_in){ session, p };
	return add_step(g, TREE_STAND_IN, p, (int)plan->n_stand_ins++);
}

/* The children that `p` adopted from sessions it was never in. */
static int add_adopted_children(struct growth *g, int p)
{
	struct tree_plan *plan = g->plan;

	for (;;) {
		int left = -1, r = 0;
		bool some = false;

		for (int c = plan->first_child[slot(plan, p)]; r == 0 && c >= 0;
		     c = plan->next_sibling[c]) {
			int member;

			if (g->now[c] || plan->tasks[c].heir)
				continue;
			if (plan->tasks[c].by_thread)
				return refuse(g, c);
			member = find_member(g, p, plan->birth[c]);
			if (member == -2) {
				left = left < 0 ? c : left;
				continue;
			}
			some = true;
			r = add_child(g, TREE_ADOPTION, member, c, plan->birth[c]);
		}
		if (r < 0 || left < 0)
			return r;
		/* What was made just now may have brought somebody of the session. */
		if (!some)
			r = add_stand_in(g, p, left);
		if (r < 0)
			return r;
	}
}

/* Everything below `p`, which exists. */
static int grow(struct growth *g, int p)
{
	int r;

	if (++g->depth > MAX_DEPTH) {
		g->who = p;
		return error_set(g->err, -EOPNOTSUPP, "more than %d generations of processes", MAX_DEPTH);
	}
	r = add_own_children(g, p);
	if (r == 0 && p != TREE_ROOT && is_leader(g->plan, p) &&
	    g->now[p] != g->plan->tasks[p].session) {
		r = add_step(g, TREE_SESSION, p, p);
		g->now[p] = g->plan->tasks[p].session;
		if (r == 0)
			r = add_own_children(g, p);
	}
	if (r == 0)
		r = add_adopted_children(g, p);
	g->depth--;
	return r;
}

/* PID 1 where that is a process of the pod itself: it exists, as the leader of session 1. */
static bool is_first(const struct tree_plan *plan, int index)
{
	return plan->tasks[index].vpid == 1;
}

static int make_steps(struct growth *g)
{
	struct tree_plan *plan = g->plan;
	bool first = plan->n_tasks && is_first(plan, 0);
	int r;

	if (first)
		g->now[0] = 1;
	r = grow(g, first ? 0 : TREE_ROOT);
	plan->n_first = plan->n_steps;
	for (size_t i = 0; r == 0 && i < plan->n_tasks; i++)
		for (int c = plan->first_child[i]; r == 0 && c >= 0; c = plan->next_sibling[c]) {
			if (!plan->tasks[c].heir)
				continue;
			if (!g->now[i] || (plan->birth[c] && plan->birth[c] != g->now[i]))
				return refuse(g, c);
			plan->heir[c].begin = plan->n_steps;
			r = add_child(g, TREE_BIRTH, (int)i, c, g->now[i]);
			plan->heir[c].end = plan->n_steps;
		}
	return r;
}

static int prepare(struct tree_plan *plan, struct ct_error *err)
{
	size_t n = plan->n_tasks;

	plan->heir = calloc(n + 1, sizeof(*plan->heir));
	plan->birth = calloc(n + 1, sizeof(*plan->birth));
	plan->first_child = malloc((n + 1) * sizeof(int));
	plan->next_sibling = malloc((n + 1) * sizeof(int));
	if (!plan->heir || !plan->birth || !plan->first_child || !plan->next_sibling)
		return error_errno(err, -ENOMEM, "the process tree");
	for (size_t i = 0; i <= n; i++)
		plan->first_child[i] = plan->next_sibling[i] = -1;
	/* Backwards, so that the lists are in order. */
	for (size_t i = n; i-- > 0;) {
		int *first = &plan->first_child[slot(plan, plan->tasks[i].parent)];

		if (is_first(plan, (int)i))
			continue;
		plan->next_sibling[i] = *first;
		*first = (int)i;
	}
	return 0;
}

int tree_plan_make(struct tree_task *tasks, size_t n, struct tree_plan **ret, int *ret_who,
		   struct ct_error *err)
{
	__cleanup(tree_plan_free_cleanup) struct tree_plan *plan = calloc(1, sizeof(*plan));
	cleanup_free pid_t *now = calloc(n + 1, sizeof(*now));
	struct growth g = { .plan = plan, .now = now, .who = -1, .err = err };
	int r;

	*ret_who = -1;
	if (!plan || !now) {
		free(tasks);
		return error_errno(err, -ENOMEM, "the process tree");
	}
	plan->tasks = tasks;
	plan->n_tasks = n;
	r = prepare(plan, err);
	if (r == 0)
		r = find_births(plan, &g);
	if (r == 0)
		r = make_steps(&g);
	*ret_who = g.who;
	if (r == 0)
		*ret = take_ptr(plan);
	return r;
}

bool tree_plan_may_inherit(const struct tree_plan *plan, size_t index)
{
	const struct tree_task *t = &plan->tasks[index];

	if (t->parent == TREE_ROOT ||
	    (plan->birth[index] && plan->birth[index] != plan->tasks[t->parent].session))
		return false;
	/* Heirs come late: nobody outside may have to be made by one or by what is below it. */
	for (size_t i = 0; i < plan->n_first; i++) {
		const struct tree_step *s = &plan->steps[i];

		if (s->what == TREE_ADOPTION && s->actor < (int)plan->n_tasks &&
		    is_above(plan, (int)index, s->actor) && !is_above(plan, (int)index, s->subject))
			return false;
	}
	return true;
}
