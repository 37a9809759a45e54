/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pods on this host: their configuration, their directory, how they are made, watched and ended.
 *
 *	ROOT/pods/NAME/
 *	    config.json		struct pod_config, written once
 *	    state.json		struct pod_state, rewritten atomically
 *	    lock		flock(2)ed for the length of an operation that changes the pod
 *	    sock		the monitor's control socket
 *	    log			output so far: records of a tag byte (1 stdout, 2 stderr), a 32-bit
 *				little-endian length and the bytes
 *	    upper/N/data	what the pod wrote over tree N (overlay upperdir), upper/N/work beside it
 *
 * The processes of a pod:
 *
 *	podckpt run ---fork--> monitor ---clone3(new namespaces)--> PID 1
 *	                          |                                   |
 *	               streams, exit status,              sets up mounts and names, forks the
 *	               undoes what a dead podckpt         command, becomes podckpt-init (static,
 *	               leaves behind                      embedded in the library, run from a memfd)
 *
 * For a restore PID 1 becomes podckpt-init at once, without a command; the restorer seizes it and
 * has it make the process tree. In both cases nothing of the pod runs before pod_release().
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "libct/base/cleanup.h"
#include "libct/libct.h"
#include "netns/net.h"

struct node;
struct doc;
struct kernel;

struct ct {
	char *root; /* absolute */
	/*
	 * The connection to the monitor of the pod that this handle released last: as long as it is
	 * open the monitor keeps the pod's output and exit code for ct_attach() and ct_wait(),
	 * even when the pod has ended and was removed meanwhile. -1: none.
	 */
	int run_fd;
	char *run_name;
};

/* One overlay of the pod's root: trees[0] is /, the others are mounted below it in order. */
struct pod_tree {
	char *lower; /* absolute path on the host; where a host lacks it, the tree below is empty */
	char *at;    /* absolute path in the pod */
	bool plain;  /* of a file system that cannot be a lower tree: bound read-only */
};

struct pod_volume {
	char *source, *destination;
	bool read_only;
};

/* What a pod is made from: owned strings. Part of every manifest as "pod": its fields are the format's. */
struct pod_config {
	char *name;
	char **command, **env;
	char *workdir, *user, *hostname;
	struct pod_tree *trees;
	size_t n_trees;
	struct pod_volume *volumes;
	size_t n_volumes;
	bool read_only, tty, interactive, no_init, remove;
	uint64_t memory, cpu_micros, pids;
	uint64_t capabilities; /* bounding and permitted set of the command */
	char *seccomp;	       /* "default", "unconfined" or the text of the profile */
	enum ct_net net;
	struct net_config address; /* with CT_NET_BRIDGE */
	struct net_publish *publish; /* ports of the host that lead to it */
	size_t n_publish;
	struct net_subnet subnet;  /* for podckpt0 where that does not exist yet, prefix 0: any; in no manifest */
	int stop_signal;
	unsigned short rows, columns;
};

/*
 * Checks everything that can be checked without making anything; name and hostname stay NULL where
 * the options have none. `ct`: its directory is no part of any tree.
 */
int pod_config_from_options(const struct ct *ct, const struct ct_run_options *options,
			    struct pod_config *ret, struct ct_error *err);
void pod_config_put(const struct pod_config *config, struct node *to);
/*
 * Untrusted input: everything is checked (names, absolute paths without "..", capabilities within
 * what run may give). Errors of the document stay in it (doc_check()).
 */
int pod_config_get(const struct node *from, struct pod_config *ret, struct ct_error *err);
/* The pod sees the directory `rootfs` in place of the trees that it had: by --rootfs of a restore. */
int pod_config_set_rootfs(struct pod_config *config, const char *rootfs, struct ct_error *err);
/* The pod hangs on that bridge. -EINVAL: it cannot be the name of one. */
int pod_config_set_bridge(struct pod_config *config, const char *bridge);
/* Its addresses: "a.b.c.d"; an IPv6 address, "auto" or "none". -EINVAL with words. */
int pod_config_set_ip(struct pod_config *config, const char *text, struct ct_error *err);
int pod_config_set_ip6(struct pod_config *config, const char *text, struct ct_error *err);
/*
 * It has other addresses than its image says (NULL: the same). What was made from the IPv4 address is made anew: the Ethernet
 * address, and the IPv6 address where that was.
 */
int pod_config_move(struct pod_config *config, const char *ip, const char *ip6, struct ct_error *err);
/* The ports of the pod, anew: "[IP:]HOST:POD[/tcp|/udp]", NULL-terminated (NULL: none). -EINVAL with words, -ENOMEM. */
int pod_config_set_publish(struct pod_config *config, const char *const *texts, struct ct_error *err);
/* Is `p` of the ports that were `given` for several pods for this one: the very one that it had, or another in its place? */
bool publish_is_for(const struct net_publish *p, const struct pod_config *config, const struct pod_config *given);
void pod_config_release(struct pod_config *config);

/* What is known of a pod that was made. */
struct pod_state {
	enum ct_status status;
	pid_t monitor, pid1; /* host PIDs; monitor 0: it was killed, the pod runs on without one */
	/* Field 22 of /proc/PID/stat: tells a recycled PID from ours. */
	uint64_t monitor_started, pid1_started;
	int exit_code;
	/* The process whose exit code is the pod's, as the pod numbers it; 0: not released yet, -1: it had ended before a restore. */
	pid_t main_vpid;
	uint64_t created; /* seconds since the epoch */
	/* Relative to each hierarchy's mount, "/podckpt/<unique over all state directories>". */
	char cgroup[256];
	char link[16]; /* host end of the veth pair, "" without */
	/* st_ino of the pipes given to the command as 0, 1, 2; 0: /dev/null or the terminal. */
	uint64_t stream_inode[3];
};

/* An open pod: its directory and, where asked for, its lock. */
struct pod {
	struct ct *ct; /* not owned */
	char *name, *dir;
	int dirfd, lockfd; /* lockfd -1: not locked */
	struct pod_config config;
	struct pod_state state;
	int pid1_pidfd; /* of PID 1, -1 when ended */
	int monitor_fd; /* from pod_make() to pod_release(); closed before: the monitor removes everything */
	struct kernel *kernel; /* of pod_kernel() */
	bool can_enqueue;      /* tcp_can_enqueue() has said so */
};

/* 1-63 characters, letters, digits and "_.-", beginning with a letter or digit: also good as a file name. */
bool pod_name_valid(const char *name);

/* Opens an existing pod and reads its state (one whose monitor died is corrected). -ENOENT: no such pod. */
int pod_open(struct ct *ct, const char *name, struct pod **ret, struct ct_error *err);
/* The kernel's memory (libct/base/kernel.h), opened at the first call and the pod's until pod_free(). */
int pod_kernel(struct pod *pod, struct kernel **ret, struct ct_error *err);
/* Takes the pod's lock; -EBUSY: another operation has it, and not just for a moment. Reads the state anew. */
int pod_lock(struct pod *pod, struct ct_error *err);
int pod_state_read(struct pod *pod, struct ct_error *err);
int pod_state_write(struct pod *pod, struct ct_error *err);
void pod_free(struct pod *pod); /* closes; changes nothing */
DEFINE_CLEANUP(struct pod *, pod_free)

/*
 * Claims a name: makes the directory, locked. Takes `config` over on success. Where config->name is
 * NULL a short unique one is made up; where config->hostname is NULL it becomes the name. -EEXIST:
 * the name is taken; with `may_choose` the words are of --name.
 */
int pod_reserve(struct ct *ct, struct pod_config *config, bool may_choose, struct pod **ret, struct ct_error *err);

/*
 * Gives a pod that was reserved, and not made, another configuration of the same name; takes it over on success.
 * -EBADMSG: it is of another pod.
 */
int pod_reconfigure(struct pod *pod, struct pod_config *config, struct ct_error *err);

/*
 * Ends whatever there is of a pod (cgroup, processes, links) and removes its directory; at any time
 * after pod_reserve(). The caller holds the pod's lock.
 */
int pod_destroy(struct pod *pod, struct ct_error *err);

/*
 * The word that lets restored pods run, in memory that whoever makes them shares with their monitors. Before it is given
 * a maker's or a server's death is the pod's end; from then on each monitor sets its pod going, whoever dies.
 */
struct pod_word {
	_Atomic bool given;
};

/* How a pod is to be made. */
struct pod_start {
	bool restoring; /* PID 1 becomes podckpt-init without a command and waits to be seized */
	/* Offsets of the time namespace in ns (man 7 time_namespaces); 0 for a new pod. */
	int64_t monotonic, boottime;
	/* With `restoring`: our own pidfd; PID 1 inherits it as POD_RESTORER_FD. Else -1. */
	int restorer_pidfd;
	/* With `restoring`: the addresses of its image. */
	const struct net_config *address_before;
	/* With `restoring`: of all pods that are released together. */
	const struct pod_word *word;
	/* With `restoring`: what is put into the new stdin pipe first. */
	const void *stdin_data;
	size_t stdin_len;
	/* Called in the monitor when it has taken the pod over: from then on it will run. NULL: nothing. */
	void (*taken)(void *context, const struct pod *pod);
	void *taken_context;
};

#define POD_SYNC_FD 3	  /* in PID 1: podckpt-init waits here for struct init_go; EOF means: give up */
#define POD_RESTORER_FD 4 /* in PID 1 of a restore; the restorer's tapes use and close it */

/* What podckpt-init reads when it may begin its work. */
struct init_go {
	int32_t main_vpid; /* whose exit code is the pod's; -1: it ended before, with `code` */
	int32_t code;
};

/*
 * What podckpt-init knows, at this address of its memory: the only thing about it that a
 * checkpoint has to carry.
 */
#define INIT_STATE_ADDRESS 0x10001000
struct init_state {
	int32_t main_vpid; /* as in struct init_go, 0 not being possible any more */
	int32_t ended;	   /* 1: the main process has ended, with `code` */
	int32_t code;
};

/*
 * Makes the pod: monitor, cgroups with limits, namespaces, network (config.address is completed),
 * root file system, PID 1. On return PID 1 is in front of its work, state.json says CT_CREATED (or
 * CT_RESTORING), and pod->state and pod->pid1_pidfd are set. If the caller dies before
 * pod_release(), the monitor removes everything. On failure everything made is gone again, the
 * directory too.
 */
int pod_make(struct pod *pod, const struct pod_start *start, struct ct_error *err);

/*
 * Lets the pod go: podckpt-init begins to reap (go->main_vpid 0: the command it forked), the command is
 * executed; the pod no longer depends on the caller. A command that cannot be executed is -ENOENT,
 * -EACCES, ... and the pod is gone.
 */
int pod_release(struct pod *pod, const struct init_go *go, struct ct_error *err);

/*
 * The same of a restored pod, in steps. Prepare: what may well fail. Then the caller gives the word (struct pod_word): killed
 * from there on we leave a pod that goes on. Release: its packets flow; it is frozen until pod_set_going(). A server that is killed
 * meanwhile is waited for. 1: there is no monitor any more, and what start->taken does is the caller's.
 */
int pod_prepare(struct pod *pod, const struct init_go *go, struct ct_error *err);
/*
 * Before that, for a TCP connection that no process is to have, and which the caller releases and closes: should he be killed,
 * the monitor does. Not waited for.
 */
int pod_keep_orphan(struct pod *pod, int fd, struct ct_error *err);
int pod_release_restored(struct pod *pod, const struct init_go *go, struct ct_error *err);
int pod_set_going(struct pod *pod, struct ct_error *err);

/*
 * The guard of an operation on a running pod: from guard_begin() on, the monitor thaws the pod and
 * unlocks its packets as soon as this process is gone. guard_end() ends the watch and says how: the
 * pod goes on, or it is in an image now, so everything of it ends and is removed (returns when its names
 * are free: docs/adr/0016-the-answer-comes-before-the-removal.md).
 */
struct guard {
	int fd;	       /* connection to the monitor, -1: none */
	int master_fd; /* a duplicate of the master of the pod's terminal, -1: it has none */
};
/*
 * From here on the end of this process changes nothing for the pod: it stays as it is, frozen, and is CT_MIGRATING, on
 * the disk, until guard_end(). Later another process may take the guard up, without monitor_connect() to one that was
 * killed: then guard->fd is -1 and guard_end() does itself what is to be done.
 */
int guard_hand_over(struct pod *pod, struct guard *guard, struct ct_error *err);
int guard_take_up(struct pod *pod, struct guard *ret, struct ct_error *err);
enum guard_outcome { GUARD_CONTINUE, GUARD_CHECKPOINTED };
int guard_begin(struct pod *pod, struct guard *ret, struct ct_error *err);
int guard_end(struct pod *pod, struct guard *guard, enum guard_outcome outcome,
	      struct ct_error *err);
/*
 * To be called once every process of the pod is stopped: on return all the pod has written to its
 * streams is in its log (nothing is left in the pipes and the terminal), and no more input reaches
 * it until the guard ends. *ret_input is what an attached client has sent and the pod's standard
 * input did not have room for: it belongs behind what is in that pipe. The caller frees it (NULL:
 * nothing).
 */
int guard_drain(struct pod *pod, struct guard *guard, void **ret_input, size_t *ret_len,
		struct ct_error *err);
/*
 * -EPIPE: the monitor was killed since guard_begin(). Another one lets packets through and moves the streams
 * again, so what was read of the pod may be from several moments.
 */
int guard_check(const struct guard *guard, struct ct_error *err);
/*
 * A TCP socket of the pod is about to be in repair mode: the monitor keeps a duplicate, and should this process be gone,
 * switches it off and SO_REUSEADDR and SO_OOBINLINE back to what is said here before the pod goes on. Not waited
 * for, and one at a time: it forgets the one before.
 */
int guard_socket(struct guard *guard, int fd, int reuse_address, int oob_inline, struct ct_error *err);
void guard_release(struct guard *guard); /* without guard_end() before: as if this process had died */

/* ---- the pod's cgroups (libct/pod/cgroup.c) ---- */

/*
 * Every function makes sure first that the cgroup is a pod's own: below "/podckpt/", and holding
 * neither this process nor the host's PID 1, on whichever hierarchies the host has.
 */
int cgroup_make(const char *cgroup, const struct pod_config *limits, struct ct_error *err);
/* Memory, cpu_micros and pids of `limits`, as they are now: somebody may have changed them. */
int cgroup_get_limits(const char *cgroup, struct pod_config *limits, struct ct_error *err);
/*
 * The caller, which has no other threads, goes into every hierarchy; before unshare(CLONE_NEWCGROUP). `born`: it was made in that
 * of v2, by CLONE_INTO_CGROUP.
 */
int cgroup_enter(const char *cgroup, bool born, struct ct_error *err);
/* Its directory in v2, for CLONE_INTO_CGROUP; -ENOENT: this host has no v2. */
int cgroup_open_v2(const char *cgroup, struct ct_error *err);
/* Returns when the kernel reports every task frozen; -ETIMEDOUT (and thawed again) after timeout_ms. */
int cgroup_freeze(const char *cgroup, unsigned int timeout_ms, struct ct_error *err);
int cgroup_thaw(const char *cgroup, struct ct_error *err);
/*
 * -EBUSY: it is frozen, by an administrator or another tool. Nobody who counts on that shall find it running, and what
 * enters a frozen cgroup hangs.
 */
int cgroup_check_thawed(const char *cgroup, struct ct_error *err);
/* Host PIDs of every process in it and below; the caller frees *ret. Returns the count. */
ssize_t cgroup_processes(const char *cgroup, pid_t **ret, struct ct_error *err);
/* SIGKILL to every process; waits until it is empty. */
int cgroup_kill(const char *cgroup, struct ct_error *err);
/* Removes it (and what the pod made below it) from every hierarchy; absent is fine. */
int cgroup_remove(const char *cgroup, struct ct_error *err);

/* ---- the pod's file tree ---- */

/*
 * The overlay that a path of the pod lies on: tree index, and the path below that tree ("" for its
 * root). False: not on an overlay of the pod (proc, dev, tmpfs, volumes, plain trees).
 */
bool pod_path_tree(const struct pod_config *config, const char *path, size_t *ret_tree,
		   const char **ret_below);

/*
 * Every pod has some mounts besides its trees and volumes (proc, sysfs, /dev and what is in it, /run,
 * masks over files of the host in /proc and /sys, over the state directory): they are made afresh by
 * a restore. True where `at` is the mount point of one of them.
 */
bool pod_path_own_mount(const struct pod *pod, const char *at);
