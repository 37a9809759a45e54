/* SPDX-License-Identifier: Apache-2.0 */
/* The state of a restore while it goes on: what the kinds see of it. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "images/node.h"
#include "libct/libct.h"
#include "libct/pod/grants.h"
#include "libct/pod/pod.h"
#include "libct/task/tape.h"
#include "libct/task/tracee.h"

struct archive_reader;
struct kept;
struct page_run;
struct restore_hooks;
struct restore_shared;
struct archive;
struct archive_entry;
struct tree_plan;

/* With --verify: what was filled in, ascending by address. */
struct page_sum {
	uint64_t address, sum;
};
struct page_sums {
	struct page_sum *list;
	size_t n, max, n_sorted;
	/* Left out of them: what the kernel writes by itself, such as the CPU number in struct rseq. */
	struct page_hole {
		uint64_t address, size;
	} *holes;
	size_t n_holes;
};

struct restore_thread {
	struct restore_process *process;
	pid_t vtid;
	struct tracee t;
	const struct node *node;
};

struct restore_process {
	struct restore *restore;
	pid_t vpid, pid; /* pid 0: not made yet */
	const char *name;
	int pidfd;
	pid_t parent_vpid, vpgid, vsid;
	pid_t parent_vtid;	/* the thread it is a child of; 0: the main one */
	int exit_signal;	/* what its parent gets at its end */
	pid_t now_pgid, now_sid; /* what it has while the tree grows */
	bool inherits;		 /* pages of its parent: forked when those are there */
	int stop_signal;	 /* job control has stopped it, by this; 0: not */
	bool continued;		 /* by SIGCONT, of which its parent does not know yet */
	bool zombie;
	uint32_t index;
	struct restore_thread *threads; /* [0] is the leader */
	size_t n_threads;
	size_t n_common_filters; /* seccomp filters that all threads inherit: task-seccomp.c */
	struct tape tape;    /* of the process: see process_restore */
	struct tape_site site;
	uint64_t syscall_at; /* a `syscall` instruction in its vdso */
	int restorer_fd;     /* our own pidfd in its descriptor table (for pidfd_getfd); -1: given up */
	struct restore_area *areas; /* memory-restore.c */
	size_t n_areas;
	struct page_run *inherited; /* pages it still shares with its parent */
	size_t n_inherited;
	struct kept *kept; /* memory-inherit.c: ascending */
	size_t n_kept;
	int mem, uffd;	      /* /proc/PID/mem; userfaultfd(2) of the process, -1: none */
	int64_t uffd_number; /* its number there */
	struct page_sums sums;
	const struct node *node;
};

struct restore {
	struct ct *ct;
	const char *path; /* of the image; NULL: it is read from options->fd */
	int file;	  /* the image, -1: options->fd */
	int64_t began;	  /* our monotonic clock, ns */
	struct pod *pod;
	struct init_go go; /* what podckpt-init is told at the release */
	const struct pod_word *word; /* the conductor's */
	const struct ct_restore_options *options;
	struct restore_hooks *hooks; /* NULL: none; see restore-steps.h */
	struct grants grants; /* what the user gave, and what was found to need more */
	int proc; /* the host's /proc */
	struct doc *doc;
	const struct node *root, *tables; /* the manifest; its descriptor tables */
	struct archive_reader *archive;
	struct restore_process init;	   /* PID 1, where that is podckpt-init (vpid 1) */
	struct restore_process *processes; /* as in the manifest: parents before children */
	size_t n_processes;
	int *ofds; /* by number: our descriptor, -1: not made yet */
	uint32_t *ofds_next; /* by number: see restore_ofd_next() */
	size_t n_ofds;
	int *orphans; /* TCP connections that nobody is to have: tcp-held.c */
	size_t n_orphans;
	int stream[3]; /* what PID 1 of the new pod has as 0, 1, 2 */
	struct archive *files;	     /* the image's files, while they are read */
	struct archive_entry *entry; /* of them, the next one; see kind/rootfs.h */
	struct restore_shared *shared;
	size_t n_shared;
	struct tree_plan *plan;
	struct restore_process **helpers; /* exist while the tree grows only: see restore-tree.c */
	size_t n_helpers;
	struct restore_process **stand_ins; /* of them, those of the plan, by number */
	pid_t spare_vpid; /* a PID of the new pod that is nobody's */
	pid_t last_vpid;  /* the highest one of the image */
	uint64_t tape_area; /* the same address in every process: free in all of them, old and new */
	struct net_config address_before; /* the image's */
	bool moved; /* it gets another address than the image's, or another Ethernet address */
	struct ct_stats stats;
};

/* Our descriptor for number `id`, making it first if need be. Stays ours. Negative errno with words. */
int restore_ofd(struct restore *r, uint32_t id, struct ct_error *err);
/* Stores a description that a kind made along with another; takes `fd`. */
int restore_put_ofd(struct restore *r, uint32_t id, int fd, struct ct_error *err);
/* The next number after `id` with the same first description (kind.h: fd_first); n_ofds: there is none. */
uint32_t restore_ofd_next(const struct restore *r, uint32_t id);
/* The manifest's node of number `id`; NULL (complained about at `at`). */
const struct node *restore_ofd_node(struct restore *r, uint32_t id, const struct node *at);

struct restore_process *restore_by_vpid(struct restore *r, pid_t vpid);

/*
 * A process with the PID of one that is gone and that no other has now: it can run tapes until the
 * descriptions are made (zombies can too until then).
 */
int restore_stand_in(struct restore *r, pid_t vpid, struct restore_process **ret,
		     struct ct_error *err);

/*
 * Adds the calls that give the executing task a duplicate of our descriptor `fd` as number `target`
 * (-1: any; then the index of the entry whose result is the number is returned, for tape_chain()).
 */
ssize_t restore_tape_fd(struct restore_process *p, struct tape *tape, int fd, int target, bool cloexec);

/* Runs what is on the process's tape in its leader (or in a thread) and empties it. */
int restore_run(struct restore_process *p, struct ct_error *err);
int restore_run_thread(struct restore_thread *t, struct tape *tape, struct ct_error *err);
