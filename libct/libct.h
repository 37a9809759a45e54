/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libct: pods, their checkpoint and their restore.
 *
 * The library never prints and never exits. Functions return 0 (or what their comment says) on
 * success and a negative errno on failure; the words are in the `struct ct_error` that the caller
 * owns. Option structs begin with their size, so that a program built against an older header
 * keeps working: use CT_OPTIONS() to declare one.
 *
 * What an errno means here, wherever it matters to the caller:
 *
 *	EOPNOTSUPP	an object of the pod cannot be carried
 *	EBADMSG		the image is damaged, truncated or not one of ours
 *	EPROTONOSUPPORT	the image is of a format this version does not read
 *	ENOSYS		this kernel or host lacks what is needed
 *	ENOENT		no such pod (or file: the text says which)
 *	EEXIST		the name is taken
 *	EADDRINUSE	the address is taken
 *	EBUSY		the pod is in use by another operation
 *	EKEYREJECTED	the image asks for rights that were not granted
 *	EUCLEAN		a restored pod differs from its image (--verify)
 *	EPERM		not root
 *	EINVAL		the arguments make no sense
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CT_PUBLIC __attribute__((visibility("default")))

/* Declares an option struct with its size set and everything else zero. */
#define CT_OPTIONS(type, name) struct type name = { .size = sizeof(struct type) }

struct ct_error {
	int code;	 /* negative errno, 0 when nothing is recorded */
	char text[2048]; /* one line, no full stop; several lines where several findings are reported */
};

/* A handle: where pods are kept. */
struct ct;

/* Opens the state directory `root` (NULL: $PODCKPT_ROOT, then /var/lib/podckpt), making it if absent. */
CT_PUBLIC int ct_open(const char *root, struct ct **ret, struct ct_error *err);
CT_PUBLIC void ct_close(struct ct *ct);

/* ---- running ------------------------------------------------------------------------------- */

enum ct_net { CT_NET_BRIDGE, CT_NET_NONE, CT_NET_HOST };

struct ct_volume {
	const char *source;	 /* absolute path on the host */
	const char *destination; /* absolute path in the pod */
	bool read_only;
};

/* Everything `podckpt run` lets a user choose. Strings stay the caller's. NULL and 0 are the defaults. */
struct ct_run_options {
	size_t size;
	const char *name;	    /* NULL: a short unique one is made up */
	const char *const *command; /* NULL-terminated */
	const char *const *env;	    /* NULL-terminated "NAME=value"; the whole environment of the program */
	const char *workdir;	    /* in the pod; NULL: the caller's current directory, or / if the pod lacks it */
	const char *user;	    /* "user[:group]" by name or number, looked up in the pod; NULL: root */
	const char *hostname;	    /* NULL: the pod's name */
	const char *rootfs;	    /* NULL: the host's own / */
	const struct ct_volume *volumes;
	size_t n_volumes;
	bool read_only;		 /* the pod's root file system */
	bool tty;		 /* standard streams on a pseudo-terminal */
	bool interactive;	 /* keep standard input open */
	bool no_init;		 /* the command itself is PID 1 */
	bool remove;		 /* remove the pod when it ends */
	uint64_t memory;	 /* bytes, 0: no limit */
	uint64_t cpu_micros;	 /* CPU time in microseconds per second of wall time, 0: no limit */
	uint64_t pids;		 /* 0: no limit */
	const char *const *cap_add;  /* NULL-terminated names, with or without "cap_"; "all" */
	const char *const *cap_drop; /* likewise */
	const char *seccomp;	 /* "default", "unconfined" or the path of a profile; NULL: default */
	enum ct_net net;
	const char *ip;		 /* "a.b.c.d"; NULL: the next free one */
	const char *mac;	 /* "aa:bb:..."; NULL: made from the address */
	const char *subnet;	 /* "a.b.c.d/n" for a bridge that does not exist yet or has no address; NULL: one that clashes with nothing */
	int stop_signal;	 /* 0: SIGTERM */
	unsigned short rows, columns; /* of the terminal, with tty */
	const char *bridge;	 /* with CT_NET_BRIDGE: one that exists; NULL: podckpt0, made when first needed */
	const char *const *publish; /* NULL-terminated "[IP:]HOST:POD[/tcp|/udp]": ports of the host that lead to it; IPv6 in brackets */
	const char *ip6;	 /* an address, "auto" or "none"; NULL: auto, one made from the IPv4 address if the bridge has IPv6 */
};

/*
 * Makes a pod and starts its command. On success *ret_name is the pod's name (the caller frees it).
 * The pod outlives the caller; ct_attach() joins its streams. -ENOENT, -EACCES, -ENOEXEC, -EISDIR, -ELIBBAD:
 * the command cannot be executed, for this reason.
 */
CT_PUBLIC int ct_run(struct ct *ct, const struct ct_run_options *options, char **ret_name,
		     struct ct_error *err);

struct ct_exec_options {
	size_t size;
	const char *const *command;
	const char *const *env; /* added to the environment of the pod's command */
	const char *workdir;
	const char *user;
	bool tty;
	bool interactive;
};

/*
 * Runs a further command in a running pod on the caller's standard streams and waits for it: its
 * exit code (0-255). -ESRCH: no such pod, or it is not running; -ENOENT, -EACCES, ...: as ct_run().
 */
CT_PUBLIC int ct_exec(struct ct *ct, const char *name, const struct ct_exec_options *options,
		      struct ct_error *err);

/*
 * Connects the caller's standard streams to those of the pod until the pod ends or the user
 * detaches (ctrl-p ctrl-q on a terminal, as podman does; *ret_detached then). With `replay` the output
 * so far comes first. Returns the exit code of the pod's command, 0 where the pod was checkpointed (it goes on
 * when it is restored). SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1 and SIGUSR2 that the caller receives
 * meanwhile (and does not ignore) are passed on to the pod's command.
 *
 * For a pod that was made (or restored) through this handle last this works also after the pod
 * ended, even where it was to be removed then, and nothing that it wrote since then is missed.
 */
CT_PUBLIC int ct_attach(struct ct *ct, const char *name, bool replay, bool *ret_detached,
			struct ct_error *err);

/* Writes the pod's output so far to `fd`; with `follow` goes on until the pod ends. */
CT_PUBLIC int ct_logs(struct ct *ct, const char *name, bool follow, int fd, struct ct_error *err);

/* Sends a signal to the pod's command. */
CT_PUBLIC int ct_kill(struct ct *ct, const char *name, int sig, struct ct_error *err);

/* Sends the pod's stop signal, waits `timeout_ms`, then ends every process of it. */
CT_PUBLIC int ct_stop(struct ct *ct, const char *name, unsigned int timeout_ms, struct ct_error *err);

/*
 * Waits until the pod ends: the exit code of its command (128+n for a signal n); 0 where it was
 * checkpointed.
 */
CT_PUBLIC int ct_wait(struct ct *ct, const char *name, struct ct_error *err);

/* Removes an ended pod; with `force` ends it first. */
CT_PUBLIC int ct_remove(struct ct *ct, const char *name, bool force, struct ct_error *err);

/* ---- networks ------------------------------------------------------------------------------ */

struct ct_network_info {
	char name[16];
	char address[20]; /* the bridge's own with its prefix, "a.b.c.d/n"; "": none */
	char subnet[20];  /* "": none */
	char ports[256];  /* those that are no pods', separated by blanks */
	size_t n_pods;
	bool own; /* made by podckpt, which may remove it */
	bool up;
	char address6[52]; /* its IPv6 address with the prefix; "": none */
};

/* Every bridge of this host. The caller frees *ret with free(). */
CT_PUBLIC int ct_network_list(struct ct_network_info **ret, size_t *ret_n, struct ct_error *err);

struct ct_network_options {
	size_t size;
	const char *name;
	const char *subnet; /* "a.b.c.d/n"; with host bits the bridge's own address; NULL: a free one (none with an uplink) */
	const char *uplink; /* a link of the host that becomes a port: -EBUSY if it has addresses or belongs to another */
	const char *vxlan;  /* IPv4 address of a multicast group, or of the one other host */
	const char *dev;    /* the link that the VXLAN runs over */
	uint32_t id;	    /* its number; 0: 1 */
};

/* Makes a bridge that pods can hang on (ct_run_options.bridge), also those of other hosts. Everything or nothing. */
CT_PUBLIC int ct_network_create(const struct ct_network_options *options, struct ct_error *err);

/* Removes what ct_network_create() made, or podckpt0. -EBUSY: pods hang on it; -EINVAL: somebody else made it. */
CT_PUBLIC int ct_network_remove(const char *name, struct ct_error *err);

/* ---- looking ------------------------------------------------------------------------------- */

/* CT_MIGRATING: frozen, handed over to another host, which has not confirmed it: see ct_migrate_resolve(). */
enum ct_status { CT_CREATED, CT_RUNNING, CT_CHECKPOINTING, CT_RESTORING, CT_MIGRATING, CT_EXITED };

CT_PUBLIC const char *ct_status_name(enum ct_status status);

struct ct_pod_info {
	char *name;
	enum ct_status status;
	pid_t pid;	 /* host PID of the pod's PID 1; 0 when ended */
	int exit_code;	 /* with CT_EXITED */
	char *ip;	 /* NULL without one */
	char *command;	 /* joined by spaces */
	uint64_t created; /* seconds since the epoch */
	size_t n_processes;
	char *ip6;	 /* NULL without one */
};

/* The pods, sorted by name. Free with ct_pods_free(). */
CT_PUBLIC int ct_list(struct ct *ct, struct ct_pod_info **ret, size_t *ret_n, struct ct_error *err);
CT_PUBLIC void ct_pods_free(struct ct_pod_info *pods, size_t n);

/* What is known of a pod (configuration and state), as JSON text that the caller frees. */
CT_PUBLIC int ct_inspect(struct ct *ct, const char *name, char **ret_json, struct ct_error *err);

/* The manifest of an image file, as JSON text that the caller frees; the whole image is checked. */
CT_PUBLIC int ct_inspect_image(const char *path, char **ret_json, struct ct_error *err);

/* One line of `podckpt check`: a feature of this host and what its lack costs. */
struct ct_feature {
	const char *name;
	bool present;
	bool core;	  /* without it nothing works */
	const char *cost; /* what does not work without it */
	char detail[160];
};

/* Tries the features podckpt uses. *ret is static-sized, freed by the caller with free(). Returns the count. */
CT_PUBLIC ssize_t ct_check(struct ct_feature **ret, struct ct_error *err);

/* One row of the list of what is carried. */
struct ct_kind_info {
	const char *name;
	const char *carries; /* what is carried, a phrase */
	const char *refuses; /* what is refused, a phrase; NULL: nothing */
	const char *victims; /* the test programs that show it, separated by spaces */
};

/* Row `index` of the kind table, in restore order; false past the end. */
CT_PUBLIC bool ct_kind_info(size_t index, struct ct_kind_info *ret);

/* ---- checkpoint and restore ---------------------------------------------------------------- */

enum ct_compress { CT_COMPRESS_NONE, CT_COMPRESS_LZ4, CT_COMPRESS_ZSTD };

/* Durations in microseconds, named as podman prints them where it has the same figure. */
struct ct_stats {
	uint64_t freezing_time;	 /* until every thread had stopped */
	uint64_t frozen_time;	 /* from the freeze to the release (or to the end of the pod) */
	uint64_t memdump_time;	 /* reading memory */
	uint64_t memwrite_time;	 /* waiting for the image to be written and synced */
	uint64_t restore_time;	 /* whole restore */
	uint64_t pages_scanned;
	uint64_t pages_written;
	uint64_t image_bytes;
	uint64_t n_processes, n_threads, n_descriptors, n_areas;
};

struct ct_checkpoint_options {
	size_t size;
	int fd;		     /* write the image here; used when `path` is NULL */
	const char *path;    /* the image's final name: written under a temporary name, synced, renamed */
	bool leave_running;
	bool dry_run;	     /* only the pre-flight, the pod runs on */
	enum ct_compress compress;
	int compress_level;  /* zstd; 0: its default */
};

/*
 * Checkpoints a running pod. Whatever goes wrong, the pod runs on and no file stands under the final name.
 * -EOPNOTSUPP: objects that cannot be carried; err->text has one finding a line. `stats` may be NULL.
 */
CT_PUBLIC int ct_checkpoint(struct ct *ct, const char *name,
			    const struct ct_checkpoint_options *options, struct ct_stats *stats,
			    struct ct_error *err);

/*
 * The same for several pods that are stopped together, so that what they have to do with one another is in one state: all
 * stand still before the first is read. Pod i goes to paths[i], a file (NULL with dry_run only); those of `options` are not looked
 * at. More than one are marked as a set, which is restored together. Whatever goes wrong for one of them, all run on
 * and no file stands under its final name; the text begins with the pod's name. `stats` is for n, or NULL.
 * -EINVAL: a pod is named twice.
 */
CT_PUBLIC int ct_checkpoint_set(struct ct *ct, const char *const *names, const char *const *paths,
				size_t n, const struct ct_checkpoint_options *options,
				struct ct_stats *stats, struct ct_error *err);

struct ct_restore_options {
	size_t size;
	int fd;		   /* read the image here; used when `path` is NULL */
	const char *path;
	const char *name;  /* NULL: the image's */
	const char *ip;	   /* NULL: the image's */
	const char *mac;   /* NULL: the image's, unless `ip` is given */
	bool verify;	   /* read everything back and compare before the first instruction */
	bool leave_stopped; /* release the processes with SIGSTOP pending */
	bool remove;
	bool tcp_close;	   /* connections that lead out of the pod are reset */
	const struct ct_volume *volumes; /* what stands behind the image's volumes here; every one must be given */
	size_t n_volumes;
	const char *rootfs; /* the lower tree here; NULL: the image's */
	/*
	 * What the image may have of these, as in struct ct_run_options; NULL: what a new pod has by itself. An image
	 * that asks for more is -EKEYREJECTED, one line for each finding.
	 */
	const char *const *cap_add;
	const char *seccomp;
	bool host_net; /* the host's network, if it was in that */
	/* The bridge that it hangs on here; it must be given where the image's is not podckpt0. */
	const char *bridge;
	const char *const *publish; /* likewise; one for each port of the pod that was published, and more */
	const char *ip6; /* as in struct ct_run_options; NULL: the image's, or made from `ip` where that was made so */
	bool alone;    /* also one of a set without the others: their connections with it end */
};

/*
 * Restores a pod; on failure nothing of it is left. *ret_name as in ct_run(). -EINVAL: the image is one of a set.
 */
CT_PUBLIC int ct_restore(struct ct *ct, const struct ct_restore_options *options, char **ret_name,
			 struct ct_stats *stats, struct ct_error *err);

/*
 * The same for several images. Each pod is built completely, and then all are released together; on failure of one
 * nothing of any is left, and the text begins with the image's path. The options are for each of them: no name, ip or mac;
 * a volume has to be one of some image; `path` and `fd` are not looked at. ret_names[i], which the caller frees, and
 * stats[i] (`stats` may be NULL) are of paths[i]. -EINVAL: an image of a set is missing, or twice there.
 */
CT_PUBLIC int ct_restore_set(struct ct *ct, const char *const *paths, size_t n,
			     const struct ct_restore_options *options, char **ret_names,
			     struct ct_stats *stats, struct ct_error *err);

/* ---- other hosts --------------------------------------------------------------------------- */

struct ct_progress {
	const char *phase; /* "connect", "check", "send", ... */
	uint64_t done, total; /* bytes of this phase; total 0: not known */
};

/* How another host is reached: `podckpt receive` runs there, at the end of a remote shell. */
struct ct_remote_options {
	size_t size;
	const char *host;	    /* anything that the remote shell understands */
	const char *rsh;	    /* the remote shell and its options; NULL: ssh */
	const char *remote_podckpt; /* the program there; NULL: podckpt */
	bool dry_run;		    /* only ask whether it would work */
	/* Called from threads of the library, one at a time each. NULL: not wanted. */
	void (*progress)(void *context, const struct ct_progress *progress);
	void (*words)(void *context, const char *line); /* what the remote shell or podckpt there prints */
	void *context;
};

struct ct_remote_stats {
	struct ct_remote_phase {
		const char *name;
		uint64_t time;	/* microseconds */
		uint64_t bytes; /* sent and received */
	} phases[8];
	size_t n_phases;
	uint64_t downtime; /* of a migrated pod, from its freeze to the word that it runs there; microseconds */
	uint64_t image_bytes, sent_bytes;
	uint64_t n_files_left_out, bytes_left_out; /* the other host had them */
};

/*
 * Restores an image on another host. SIGPIPE must be ignored. What that host refuses (all findings at once) comes with
 * the codes of ct_restore(), and -ENOMEM, -ENOSPC, -ENOENT (a volume); -EPIPE: the connection has ended.
 */
CT_PUBLIC int ct_restore_remote(const struct ct_restore_options *options,
				const struct ct_remote_options *remote, char **ret_name,
				struct ct_remote_stats *stats, struct ct_error *err);

/*
 * The same for several images, as ct_restore_set(): on the other host all pods are built before the first is released,
 * and there are all of them or none.
 */
CT_PUBLIC int ct_restore_remote_set(const char *const *paths, size_t n,
				    const struct ct_restore_options *options,
				    const struct ct_remote_options *remote, char **ret_names,
				    struct ct_remote_stats *stats, struct ct_error *err);

struct ct_volume_map {
	const char *from, *to; /* source of a volume here, and there */
};

struct ct_migrate_options {
	size_t size;
	const struct ct_volume_map *volumes; /* sources that are not listed are the same there */
	size_t n_volumes;
	bool verify;
	enum ct_compress compress;
	int compress_level;
};

/*
 * Moves a running pod to another host. Whatever goes wrong it runs on here, but for -EINPROGRESS: it was handed over,
 * and the other host does not answer; it is frozen (CT_MIGRATING) until ct_migrate_resolve(). SIGPIPE must be ignored.
 */
CT_PUBLIC int ct_migrate(struct ct *ct, const char *name, const struct ct_migrate_options *options,
			 const struct ct_remote_options *remote, struct ct_remote_stats *stats,
			 struct ct_error *err);

/* The same for several pods, which are stopped together: all of them move, or none. ct_migrate_resolve() is for each. */
CT_PUBLIC int ct_migrate_set(struct ct *ct, const char *const *names, size_t n,
			     const struct ct_migrate_options *options,
			     const struct ct_remote_options *remote, struct ct_remote_stats *stats,
			     struct ct_error *err);

enum ct_resolve { CT_RESOLVE_ASK, CT_RESOLVE_KEEP, CT_RESOLVE_DROP };

/*
 * Decides about a pod in CT_MIGRATING: by what the other host says, or by hand where that is not to be asked. A decision
 * that the other host contradicts is refused. `remote` gives the callbacks; host and way are those of the migration
 * where NULL. *ret_kept: it runs here again; else it is removed. -EINPROGRESS: still not known. Pods that were handed over
 * together are resolved one after the other; by hand only the way that the first was (-EBUSY).
 */
CT_PUBLIC int ct_migrate_resolve(struct ct *ct, const char *name, enum ct_resolve what,
				 const struct ct_remote_options *remote, bool *ret_kept,
				 struct ct_error *err);

/* The other end of both: speaks on `in` and `out` until it has a pod, or not. SIGPIPE must be ignored. */
CT_PUBLIC int ct_receive(struct ct *ct, int in, int out, struct ct_error *err);

#ifdef __cplusplus
}
#endif
