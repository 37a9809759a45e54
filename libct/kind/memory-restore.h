/* SPDX-License-Identifier: Apache-2.0 */
/* What the files that rebuild an address space share. */
#pragma once
#include "libct/kind/memory.h"
#include "libct/restore-steps.h"

#define USER_TOP (1ULL << 47)

struct restore_area {
	uint64_t start, end, offset;
	int prot;
	uint32_t flags; /* VMA_* */
	bool shared, special, registered;
	bool aio;      /* a ring: kind/aio.h; shared, without a descriptor */
	bool inherits; /* some of its pages are those of the parent */
	bool attached; /* mapped already, with another part of the same shared memory: ns-shm.c */
	int64_t descriptor; /* -1: anonymous */
	const char *name;   /* of a special one */
	const struct node *node;
};

/* A piece of the parent's address space that stays mapped in the child. */
struct kept {
	uint64_t start, end;
	int prot; /* as it is now */
};

/* Adds the calls that map [start, end) of an area. */
int memory_map_part(struct restore_process *p, struct restore_area *a, uint64_t start, uint64_t end,
		    struct ct_error *err);

/*
 * Finds what a process keeps of its parent's memory: p->kept and ->inherits of its areas. -EBADMSG: the manifest wants pages
 * that the parent does not have.
 */
int memory_plan_inherited(struct restore_process *p, struct ct_error *err);

/* Maps what is not kept of an area that inherits, protects the rest and drops the pages that are the child's own. */
int memory_map_around(struct restore_process *p, struct restore_area *a, struct ct_error *err);
