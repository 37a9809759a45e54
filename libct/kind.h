/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kinds: one file per kernel object, ending in one `const struct kind` that is listed in the table
 * of kinds.c. The table is in restore order. `podckpt check --kinds`, README and the tests walk it.
 *
 * A kind fills in the callbacks of its scope and leaves the others NULL:
 *
 *   fd_*		open file descriptions (man 2 open, "Open file descriptions")
 *   process_*, thread_*  attributes of a process or thread
 *   pod_*		what belongs to the pod as a whole
 *
 * To add one: write the file, list it in kinds.c, add its victims in tests/victims/.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "images/node.h"
#include "libct/base/error.h"
#include "libct/dump.h"
#include "libct/restore.h"
#include "libct/task/tape.h"

/* An open file description as its kind sees it in a dump. */
struct fd_view {
	pid_t pid;	/* a host PID that holds it (our own for one that is under way in a socket) */
	int fd;		/* its number there */
	int dup;	/* our own duplicate (pidfd_getfd(2)): same description, so its position and flags are shared */
	uint32_t id;	/* its number in the manifest's "descriptors" */
	struct stat st; /* fstat(2) of dup */
	long fstype;	/* f_type of fstatfs(2) */
	const char *link;   /* readlink of /proc/PID/fd/FD, as the pod's processes see it */
	const char *fdinfo; /* text of /proc/PID/fdinfo/FD */
	int flags;	    /* F_GETFL (includes O_PATH) */
	uint64_t pos;	    /* from fdinfo */
	unsigned int mnt_id;
};

struct kind {
	const char *name;    /* "eventfd"; stands in the manifest */
	const char *carries; /* what is carried, a phrase */
	const char *refuses; /* what is refused, a phrase, or NULL */
	const char *victims; /* names of tests/victims/, separated by spaces */

	/* ---- open file descriptions ---- */

	/* Is it one of this kind? Called for each description in table order; the first that says so has it. */
	bool (*fd_is)(const struct dump *d, const struct fd_view *v);
	/*
	 * Puts what fd_restore() needs into `n` (flags, position and owner are there already). Must
	 * not change the description or the running pod. What cannot be carried is reported
	 * with dump_refuse() and 0 is returned; errors are for what went wrong. Also called by the
	 * pre-flight on a running pod (d->preflight).
	 */
	int (*fd_dump)(struct dump *d, const struct fd_view *v, struct node *n, struct ct_error *err);
	/* Called when every description has its number: what refers to others (epoll, unix peers). */
	int (*fd_link)(struct dump *d, const struct fd_view *v, struct node *n, struct ct_error *err);
	/*
	 * Makes the description in the restoring process, which is in the pod's mount, network, IPC and
	 * UTS namespaces with the pod's root, as root. *ret_fd is close-on-exec. The status flags and the owner are set
	 * by the caller; the position is the kind's work. A kind that makes several at once (both ends of a
	 * pipe) makes the others too: restore_put_ofd(); it is not called for those that exist.
	 */
	int (*fd_restore)(struct restore *r, const struct node *n, uint32_t id, int *ret_fd,
			  struct ct_error *err);
	/*
	 * The field that holds the number of the first of several descriptions that are made together:
	 * restore_ofd_next() goes from one to the next. NULL: there are none such.
	 */
	const char *fd_first;
	/* Called when all descriptions and all processes exist, before any runs. */
	int (*fd_restore_late)(struct restore *r, const struct node *n, int fd, struct ct_error *err);

	/* ---- processes and threads: asked and restored by tapes that the task itself executes ---- */

	/*
	 * Refuses what can be seen from outside and is not carried. Also called by the pre-flight on a
	 * running pod, where a process may vanish meanwhile: that is no error.
	 */
	void (*process_check)(struct dump *d, struct dump_process *p);
	/* Adds the calls that ask. `mark` of the dump is where they begin. NULL where /proc or ptrace tells. */
	int (*process_ask)(struct dump *d, struct dump_process *p, struct tape *tape);
	/* Puts the answers into `n` (an object of its own, under the kind's name). */
	int (*process_dump)(struct dump *d, struct dump_process *p, const struct tape *tape,
			    struct tape_mark mark, struct node *n, struct ct_error *err);
	/*
	 * Called before anything is made: grants_refuse(&r->grants, ...) for rights that a program of a pod
	 * with r->grants.capabilities could not have got; complaints about the document as everywhere.
	 */
	void (*process_asks)(struct restore *r, struct restore_process *p, const struct node *n);
	void (*thread_asks)(struct restore *r, struct restore_thread *t, const struct node *n);
	/*
	 * Adds the calls that restore; executed by the process's main thread, as root with all capabilities, every
	 * signal blocked, its descriptors and memory in place, before its threads exist. tape_need() first.
	 */
	int (*process_restore)(struct restore *r, struct restore_process *p, const struct node *n,
			       struct tape *tape, struct ct_error *err);
	/* Called when all processes, threads and process groups exist, before any runs. Also tape-able: see restore.h. */
	int (*process_restore_late)(struct restore *r, struct restore_process *p,
				    const struct node *n, struct ct_error *err);

	/*
	 * Sets what moves by itself from then on (timers), last of all, when everything has been verified. Called
	 * first with tape NULL: 1 where there is something to do, 0 not; then with one, executed by the main
	 * thread with its final credentials.
	 */
	int (*process_start)(struct restore *r, struct restore_process *p, const struct node *n,
			     struct tape *tape, struct ct_error *err);

	/* The same for each thread (the leader too). thread_restore is executed by the thread itself, credentials last. */
	int (*thread_ask)(struct dump *d, struct dump_thread *t, struct tape *tape);
	int (*thread_dump)(struct dump *d, struct dump_thread *t, const struct tape *tape,
			   struct tape_mark mark, struct node *n, struct ct_error *err);
	int (*thread_restore)(struct restore *r, struct restore_thread *t, const struct node *n,
			      struct tape *tape, struct ct_error *err);

	/* ---- the pod ---- */

	/* The caller is in the pod's mount, network, IPC and UTS namespaces meanwhile, in dump and restore. */
	int (*pod_dump)(struct dump *d, struct node *n, struct ct_error *err);
	int (*pod_restore)(struct restore *r, const struct node *n, struct ct_error *err);
	/* Called after all processes exist, before any runs. */
	int (*pod_restore_late)(struct restore *r, const struct node *n, struct ct_error *err);
};

/* The table, in restore order, NULL at the end. */
extern const struct kind *const kinds[];

/* The kind of a name; NULL. */
const struct kind *kind_find(const char *name);
