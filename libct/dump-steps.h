/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The steps of a dump, for the conductors (checkpoint.c, verify.c). Each leaves findings for what
 * cannot be carried and fails only where something went wrong.
 */
#pragma once
#include "libct/dump.h"

struct archive_writer;

/* An empty dump of a pod; dump_free() lets every process go with its own registers. */
int dump_new(struct pod *pod, bool preflight, struct dump **ret, struct ct_error *err);
void dump_free(struct dump *d);
/*
 * Gives up what is held of the pod: processes, descriptors. What was found out about its files remains, and where
 * they are. For a preflight only: a stopped pod would go on.
 */
void dump_let_go(struct dump *d);
DEFINE_CLEANUP(struct dump *, dump_free)

/* Finds the pod's processes, zombies included, parents before children, siblings by PID. */
int dump_find_processes(struct dump *d, struct ct_error *err);
void dump_process_release(struct dump_process *p);

/* Findings about namespaces, sharing, tracers, and the tree itself (d->tree). */
int dump_check_processes(struct dump *d, struct ct_error *err);
/*
 * The plan of the tree; with `heirs` of those that inherit pages: dump_areas() must have been there.
 * *ret NULL: it cannot be made, which is a finding.
 */
int dump_plan(struct dump *d, bool heirs, struct tree_plan **ret, struct ct_error *err);

/*
 * The stop is three steps, each done for all pods of a set before the next. Hold: what has to be noted of a pod that
 * still runs, and no packet gets in or out. Freeze: none of its tasks runs on. Stop: finds its processes and stops every
 * thread under ptrace; the pod's cgroup is thawed again then, the threads stay stopped until dump_free(). -EOPNOTSUPP: a
 * process is in the middle of vfork(2), which passes.
 */
int dump_hold(struct dump *d, struct ct_error *err);
int dump_freeze(struct dump *d, struct ct_error *err);
int dump_stop(struct dump *d, struct ct_error *err);
/* Undoes dump_freeze() and dump_freeze_again() (libct/dump.h), where they were. */
int dump_thaw(struct dump *d, struct ct_error *err);

/* Reads the registers of a thread that has stopped and mends what the stop itself did to them. */
int dump_read_thread(struct dump_thread *t, struct ct_error *err);

/* Notes how long threads have been waiting in epoll_wait, of a pod that still runs; looks again when it is frozen. */
int dump_note_sleeps(struct dump *d, struct ct_error *err);
void dump_check_sleeps(struct dump *d);
/* What remains, into the registers of a thread that was stopped in it. */
void dump_shorten_wait(struct dump_thread *t);
void sleep_notes_free(struct sleep_notes *s);

/* Finds out until when threads sleep in interrupted calls. */
int dump_restarts(struct dump *d, struct ct_error *err);
/* Registers as they go into the image. */
void dump_restart_regs(const struct dump_thread *t, struct user_regs_struct *regs);

/* The version of the manifest's format that this program writes; it reads this and earlier ones. */
#define IMAGE_FORMAT 1

/* Looks at a running pod for what cannot be carried, without touching it: findings, as dump_verdict(). */
int dump_preflight(struct dump *d, struct ct_error *err);

/*
 * A finding for each thread that is in the middle of vfork(2): it sleeps in the kernel until
 * its child executes a program or ends, and cannot be stopped before.
 */
void dump_check_vfork(struct dump *d);
/* Of a stopped thread, before it runs a tape: what of its system calls is sent elsewhere. */
void dump_check_dispatch(struct dump *d, const struct dump_thread *t);

/* Everything but memory contents into the document. */
int dump_describe(struct dump *d, struct ct_error *err);
/* The parts of it: */
int dump_descriptors(struct dump *d, struct ct_error *err);
int dump_link_descriptors(struct dump *d, struct ct_error *err);
int dump_areas(struct dump *d, struct dump_process *p, struct node *space, struct ct_error *err);
int dump_tasks(struct dump *d, struct ct_error *err);
/* Has the stopped process make one call; *ret is its result. */
int dump_ask(struct dump_process *p, long nr, uint64_t a0, uint64_t a1, int64_t *ret,
	     struct ct_error *err);
/* Takes the tapes' traces out of the address spaces, which are read next. */
void dump_remove_tapes(struct dump *d);
void fd_registry_free(struct fd_registry *fds);
void shared_registry_free(struct shared_registry *shared);
void seccomp_registry_free(struct seccomp_registry *seccomp);
void unix_registry_free(struct unix_registry *u);

/* -EOPNOTSUPP with all findings, one a line; 0 where there are none. */
int dump_verdict(const struct dump *d, struct ct_error *err);
/* Did it fail with `r` because of nothing but what passes by itself? Then another look may find it gone. */
bool dump_passes(const struct dump *d, int r);
