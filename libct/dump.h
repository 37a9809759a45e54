/* SPDX-License-Identifier: Apache-2.0 */
/* The state of a dump while it is made: what the kinds see of it. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "libct/kind/task-timers.h"
#include "libct/libct.h"
#include "libct/pod/pod.h"
#include "libct/task/proc.h"
#include "libct/task/restart.h"
#include "libct/task/tape.h"
#include "libct/task/tracee.h"

struct aio_context;
struct node;
struct doc;
struct fd_registry;
struct seccomp_registry;
struct sleep_notes;
struct sockdiag_inet;
struct shared_registry;
struct file_context;
struct tcp_registry;
struct held_registry;
struct tree_plan;
struct rootfs_early;
struct unix_registry;

/* A queue of pending signals, read by task-signals.c. */
struct task_pending {
	siginfo_t *infos; /* owned */
	size_t n;
};

struct dump_thread {
	struct dump_process *process;
	struct tracee t; /* t.tid, t.vtid; stopped, unless preflight */
	struct proc_status status;
	struct task_pending pending;
	/* Stopped in a call that the kernel would go on with by restart_syscall(2): dump-restart.c. */
	enum restart_call restart;
	long restart_nr;
	int64_t deadline; /* of our monotonic clock */
	bool in_vfork;	  /* it cannot be stopped: dump-check.c */
	struct node *node;
};

struct dump_process {
	struct dump *dump;
	pid_t pid, vpid;   /* host, pod */
	pid_t parent_vpid; /* 0: outside */
	pid_t vpgid, vsid; /* 0: outside the pod */
	pid_t parent_tid;  /* on the host: the thread it is a child of */
	pid_t parent_vtid; /* in the pod; 0: the main thread, as always but for children of threads */
	bool zombie;
	int pidfd;
	struct proc_stat stat;
	struct proc_status status; /* of the leader */
	struct dump_thread *threads; /* [0] is the leader */
	size_t n_threads;
	struct vma_list areas;
	int mem, pagemap;	/* /proc/PID/mem, read and write; /proc/PID/pagemap */
	struct tape_site site;	/* site.stub 0: none yet */
	struct pagemap_run *inherited; /* memory-cow.c: ascending */
	size_t n_inherited, max_inherited;
	struct aio_context *aio; /* kind/aio.c */
	size_t n_aio;
	struct task_pending pending; /* of the process */
	struct task_timers timers;
	uint32_t index;		/* in the manifest's "processes"; also that of its address space */
	bool continued;		/* by SIGCONT, which its parent has not been told yet */
	bool locks;		/* some descriptor of it shows locks */
	uint32_t table;		/* in the manifest's "descriptor_tables" */
	struct node *node;
};

struct dump {
	struct pod *pod;
	bool preflight; /* looking at a running pod: nothing is stopped, nothing may be touched, things may vanish */
	bool verify;	/* reading back a restored pod: see verify.c */
	int proc;	/* the host's /proc */
	int netns;	/* the pod's network namespace */
	int master_fd;	/* the master of the pod's terminal, -1: it has none; not owned */
	bool frozen;	/* the pod's cgroup is, by us */
	int64_t frozen_at; /* our monotonic clock when everything of the pod had stopped */
	int64_t descriptors_at; /* the same when the last descriptor had been looked at */
	struct doc *doc;
	struct node *root, *process_array;
	struct tracee init; /* podckpt-init, stopped too; it is not dumped */
	struct dump_process *processes; /* parents before their children */
	size_t n_processes;
	struct tree_plan *tree; /* how it can be made again, heirs left out; NULL: it cannot, which is refused */
	struct fd_registry *fds;
	struct shared_registry *shared;
	struct seccomp_registry *seccomp;
	struct sleep_notes *sleeps;
	struct file_context *files; /* kind/file-context.c */
	struct rootfs_early *early; /* files taken before the stop; not owned, NULL: none */
	const struct dump_process *mapping; /* whose memory is being described: for dump_refuse_fd() */
	struct unix_registry *unix_sockets;
	struct tcp_registry *tcp;   /* kind/fd-tcp-connection.c */
	struct held_registry *held; /* kind/tcp-held.c; NULL: not looked for yet */
	const int *orphans; /* with `verify`: those that were restored, not owned */
	size_t n_orphans;
	struct guard *guard;	    /* of the checkpoint, not owned; NULL: nothing is changed */
	bool locked;		    /* no packet gets in or out until dump_free() */
	struct sockdiag_inet *udp_sockets; /* fd-udp.c; NULL: not asked yet */
	size_t n_udp_sockets;
	char *findings; /* one a line; NULL: none */
	char *lasting;	/* those that do not pass by themselves */
	size_t lasting_before; /* its length before the finding reported last */
	size_t n_findings;
	size_t n_passing; /* of these, how many pass by themselves */
	struct ct_stats stats;
};

/*
 * Reports an object that cannot be carried; the dump goes on looking and fails at the end with all of
 * them. The text reads "pid 12 (node) fd 7: io_uring is not carried; close it first": process and object
 * are put in front by these, the format gives the rest. The text says what would help.
 */
void dump_refuse(struct dump *d, const char *format, ...) __attribute__((format(printf, 2, 3)));
void dump_refuse_process(struct dump *d, const struct dump_process *p, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/*
 * While a stopped pod is not to run on even if we are killed, before its guard has put right what we are at: its tasks are
 * frozen too, until one of them is asked (dump_ask()) or the step ends.
 */
int dump_freeze_again(struct dump *d, struct ct_error *err);

struct fd_view;
void dump_refuse_fd(struct dump *d, const struct fd_view *v, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* The first description of that kind and inode, without a duplicate. */
struct kind;
bool dump_find_fd(const struct dump *d, ino_t ino, const struct kind *kind, struct fd_view *ret);

/*
 * Says of the finding reported last that it passes by itself in a running pod, and soon in most programs: the
 * checkpoint is refused only where it is still there at later looks.
 */
void dump_passing(struct dump *d);

/* A process by a host PID or TID, or by a PID of the pod; NULL: not one of the pod's. */
struct dump_process *dump_by_pid(struct dump *d, pid_t pid);
struct dump_process *dump_by_vpid(struct dump *d, pid_t vpid);

/*
 * The number in "descriptors" of the open file description behind descriptor `fd` of `pid` (host PID; our own
 * for descriptors that we got from a socket's queue), which is added with everything it needs
 * where it was not known yet. Stops at nothing: a refused one gets a number too.
 */
int dump_descriptor(struct dump *d, pid_t pid, int fd, uint32_t *ret_id, struct ct_error *err);
/* The number of one that must be known already; -ENOENT. For fd_link. `file` NULL or compares with kcmp(2). */
int dump_descriptor_find(struct dump *d, pid_t pid, int fd, uint32_t *ret_id);
struct kind;
/*
 * The node in "descriptors" of the first description of this kind that is of the same file (device and
 * inode) as v, its number in *ret_id; v's own where it is the first. For files that can be open more than once.
 */
struct node *dump_descriptor_first(struct dump *d, const struct fd_view *v, const struct kind *kind,
				   uint32_t *ret_id);
/* Where the description of number `id` is held (our own PID for one from a socket's queue); false past the last. */
bool dump_descriptor_holder(struct dump *d, uint32_t id, pid_t *ret_pid, int *ret_fd);
/* A duplicate of it that the caller closes; negative errno. */
int dump_descriptor_dup(struct dump *d, uint32_t id);
/* Its node in the manifest; NULL past the last. */
struct node *dump_descriptor_node(struct dump *d, uint32_t id);
