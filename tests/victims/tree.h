/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For victims about the process tree: processes that do what they are told, one byte at a time, over
 * a page that all share. Every process has a slot, found by the name that it was given.
 */
#pragma once
#include "victim.h"

#include <sys/prctl.h>

enum tree_order {
	TREE_IDLE,
	TREE_FORK,	/* makes slot `arg` its child */
	TREE_SETSID,
	TREE_SETPGID,	/* to `arg` */
	TREE_EXIT,	/* with `arg` */
	TREE_SUBREAPER, /* `arg`: on or off */
	TREE_REAP,	/* waits for `arg` */
	TREE_KILL,	/* itself, by signal `arg` */
	TREE_NOTE,	/* who it is: what must be so at the end, too */
};

struct tree_slot {
	int order, arg;
	pid_t pid, parent, group, session; /* as the process itself saw them when it noted them */
	int alive;
};

#define TREE_SLOTS 64
static struct tree_slot *tree;

static inline void tree_note(struct tree_slot *s)
{
	s->pid = getpid();
	s->parent = getppid();
	s->group = getpgid(0);
	s->session = getsid(0);
}

static inline bool tree_over(void)
{
	char path[256];

	return access(victim_path(path, "victim.go"), F_OK) == 0;
}

static inline void tree_check(const struct tree_slot *s)
{
	CHECK_EQ(getpid(), s->pid);
	CHECK_EQ(getppid(), s->parent);
	CHECK_EQ(getpgid(0), s->group);
	CHECK_EQ(getsid(0), s->session);
}

static inline void __attribute__((noreturn)) tree_run(int slot);

static inline void tree_obey(struct tree_slot *s, int slot)
{
	int arg = s->arg, status;

	switch (s->order) {
	case TREE_FORK:
		if (CHECK_SYS(fork()) == 0)
			tree_run(arg);
		break;
	case TREE_SETSID:
		CHECK_SYS(setsid());
		break;
	case TREE_SETPGID:
		CHECK_SYS(setpgid(0, arg));
		break;
	case TREE_EXIT:
		s->alive = 0;
		__atomic_store_n(&s->order, TREE_IDLE, __ATOMIC_SEQ_CST);
		_exit(arg);
	case TREE_SUBREAPER:
		CHECK_SYS(prctl(PR_SET_CHILD_SUBREAPER, arg));
		break;
	case TREE_REAP:
		CHECK_EQ(waitpid(arg, &status, 0), arg);
		break;
	case TREE_KILL:
		s->alive = 0;
		__atomic_store_n(&s->order, TREE_IDLE, __ATOMIC_SEQ_CST);
		raise(arg);
		_exit(1);
	}
}

static inline bool tree_all_checked(void)
{
	for (int i = 0; i < TREE_SLOTS; i++)
		if (__atomic_load_n(&tree[i].alive, __ATOMIC_SEQ_CST) == 1)
			return false;
	return true;
}

/* A process of the tree until the harness says go: then it checks that it is who it was, and ends. */
static inline void __attribute__((noreturn)) tree_run(int slot)
{
	struct tree_slot *s = &tree[slot];

	tree_note(s);
	__atomic_store_n(&s->alive, 1, __ATOMIC_SEQ_CST);
	while (!tree_over()) {
		if (__atomic_load_n(&s->order, __ATOMIC_SEQ_CST) == TREE_IDLE) {
			victim_sleep_ms(1);
			continue;
		}
		tree_obey(s, slot);
		tree_note(s);
		__atomic_store_n(&s->order, TREE_IDLE, __ATOMIC_SEQ_CST);
	}
	tree_check(s);
	__atomic_store_n(&s->alive, 2, __ATOMIC_SEQ_CST);
	/* Whoever ends makes orphans of others. */
	VICTIM_UNTIL(tree_all_checked());
	_exit(0);
}

static inline void tree_begin(void)
{
	tree = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(tree != MAP_FAILED);
}

/* Tells a process to do something and waits until it has. */
static inline void tree_tell(int slot, enum tree_order order, int arg)
{
	tree[slot].arg = arg;
	__atomic_store_n(&tree[slot].order, order, __ATOMIC_SEQ_CST);
	VICTIM_UNTIL(__atomic_load_n(&tree[slot].order, __ATOMIC_SEQ_CST) == TREE_IDLE);
}

static inline void tree_fork(int parent, int child)
{
	tree_tell(parent, TREE_FORK, child);
	VICTIM_UNTIL(__atomic_load_n(&tree[child].alive, __ATOMIC_SEQ_CST) == 1);
}

/* Ends a process for good and waits until its children know. */
static inline void tree_end(int slot, int parent)
{
	pid_t pid = tree[slot].pid;

	tree_tell(slot, TREE_EXIT, 0);
	if (parent >= 0)
		tree_tell(parent, TREE_REAP, pid);
	else
		VICTIM_UNTIL(kill(pid, 0) < 0); /* podckpt-init's */
}

/* A child of the caller, to be the root of a tree. */
static inline void tree_plant(int slot)
{
	if (CHECK_SYS(fork()) == 0)
		tree_run(slot);
	VICTIM_UNTIL(__atomic_load_n(&tree[slot].alive, __ATOMIC_SEQ_CST) == 1);
}

/* The tree stands: everybody notes who it is, ready, and checks after go. */
static inline void tree_ready(void)
{
	for (int i = 0; i < TREE_SLOTS; i++)
		if (tree[i].alive)
			tree_tell(i, TREE_NOTE, 0);
	victim_ready();
	VICTIM_UNTIL(tree_all_checked());
}
