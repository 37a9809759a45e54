/* SPDX-License-Identifier: Apache-2.0 */
/* What the three kinds of System V IPC objects have in common: man 7 sysvipc. */
#pragma once
#include <sys/ipc.h>

#include "libct/kind.h"

extern const struct kind kind_sysv_sem;

struct ipc_object {
	int id;
	key_t key;
	uid_t uid, cuid;
	gid_t gid, cgid;
	unsigned int mode; /* permission bits */
};

void ipc_put(struct node *n, int id, const struct ipc_perm *perm);
/* Errors stay in the document. */
void ipc_get(const struct node *n, struct ipc_object *ret);

/* "shm", "sem", "msg": the next object that is made gets this id. -ENOSYS: the kernel cannot. */
int ipc_next_id(struct restore *r, const char *what, int id, struct ct_error *err);

/*
 * While an object is made, the calling thread has its creator's user and group (no capabilities, for other
 * users than root). Back to root always works.
 */
int ipc_become_creator(const struct ipc_object *o);
void ipc_become_root(void);

/* ---- System V shared memory in address spaces: ns-shm.c ---- */

struct restore_area;

/* Is the descriptor of a mapping a segment of shared memory? */
bool shm_is_segment(struct restore *r, int64_t descriptor);

/*
 * Attaches the segment of areas[at] for it and for all other areas that are parts of the same attachment (they get
 * ->attached); adds the calls to the process's tape.
 */
int shm_attach(struct restore_process *p, struct restore_area *areas, size_t at, size_t n,
	       struct ct_error *err);
