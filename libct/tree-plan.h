/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a process tree can be made again: which process forks which, and when it becomes the leader
 * of its session. A plan needs no process, so the dump makes one too: what cannot be made is
 * refused there.
 *
 * A session can only be inherited (man 2 setsid). So
 *
 *	a child in its parent's earlier session is forked before the parent's setsid(2);
 *	one that its parent adopted (man 2 prctl, PR_SET_CHILD_SUBREAPER) and that is in a session
 *	the parent never was in comes by way of a helper: a process of that session, below the
 *	parent, forks the helper, the helper forks the child and ends, and the parent adopts it;
 *	where nobody of such a session is left below the parent, a stand-in with the PID of the
 *	dead leader makes the session first.
 *
 * A child that inherits memory ("heir") is forked when its parent's memory is whole, and with it
 * what is below: the steps for that are a part of their own.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "libct/libct.h"

#define TREE_ROOT (-1) /* podckpt-init, where the pod has one */

struct tree_task {
	pid_t vpid, session;
	int parent; /* index; smaller than its own. TREE_ROOT: podckpt-init, or it is PID 1 itself */
	bool heir;
	bool by_thread; /* its parent is a thread other than the main one: which never adopts */
};

enum tree_what {
	TREE_BIRTH,	/* actor forks subject */
	TREE_ADOPTION,	/* actor forks a helper, which forks subject and ends */
	TREE_SESSION,	/* subject: setsid(2) */
	TREE_STAND_IN,	/* actor forks stand-in number subject, which makes its session */
};

struct tree_step {
	enum tree_what what;
	int actor;   /* index of a process, TREE_ROOT, or n_tasks + number of a stand-in */
	int subject; /* index of a process, or number of a stand-in */
};

struct tree_stand_in {
	pid_t vpid; /* of the session it makes */
	int parent; /* index or TREE_ROOT */
};

struct tree_plan {
	struct tree_task *tasks; /* as given */
	size_t n_tasks;
	struct tree_step *steps;
	size_t n_steps, max_steps;
	size_t n_first; /* steps [0, n_first) come first; those of heirs follow */
	struct {
		size_t begin, end;
	} *heir; /* by index: the steps of that heir and what is below; begin == end: none */
	struct tree_stand_in *stand_ins;
	size_t n_stand_ins;
	pid_t *birth; /* by index: the session it must be born in; 0: any, it makes its own */
	int *first_child, *next_sibling; /* by index, -1: none; first_child[n_tasks]: of TREE_ROOT */
};

/*
 * Makes a plan. `tasks` are taken over: freed with the plan, or here where this fails. -EOPNOTSUPP: this tree
 * cannot be made; *ret_who is the index of the process that stands in the way, -1: all of it.
 */
int tree_plan_make(struct tree_task *tasks, size_t n, struct tree_plan **ret, int *ret_who,
		   struct ct_error *err);
void tree_plan_free(struct tree_plan *plan);

/* May this process be an heir, as far as sessions are concerned? Asked of a plan made without heirs. */
bool tree_plan_may_inherit(const struct tree_plan *plan, size_t index);
