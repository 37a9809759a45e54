/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seam between a pod's monitor and its inside: the monitor calls pod_spawn(), everything that
 * happens between there and the command's first instruction is below it.
 */
#pragma once
#include "libct/pod/pod.h"

/*
 * What the monitor holds of a pod that was spawned. Descriptors are close-on-exec, -1 where
 * there is none.
 */
struct pod_child {
	pid_t pid1;
	int pid1_pidfd;
	int sync_fd;	   /* our end of POD_SYNC_FD: write a struct init_go to release, close to give up */
	int exec_error_fd; /* EOF: the command was executed; an int: the errno of why not. -1 with `restoring` */
	int master_fd;	   /* the pty's master, with tty */
	int stream_fd[3];  /* our ends of the pipes: write end of 0, read ends of 1 and 2 */
};

/*
 * Runs in the monitor (a process of one thread): makes the cgroups, the namespaces, the network,
 * the streams and PID 1, and returns when PID 1 is in front of its work: podckpt-init waits in
 * read(POD_SYNC_FD), the command waits for podckpt-init to have read struct init_go. Every set-up
 * error (a user the pod does not have, a volume whose source is missing) is reported here, with
 * words. Sets pod->state.cgroup and .link where they are empty, .stream_inode, and completes
 * pod->config.address. The upper directories below pod->dir are made where absent.
 *
 * On failure nothing of it is left. Afterwards the pod is ended by killing its cgroup; the monitor
 * is the parent of PID 1 and reaps it. The caller frees with pod_child_release() (closes only).
 */
int pod_spawn(struct pod *pod, const struct pod_start *start, struct pod_child *ret,
	      struct ct_error *err);
void pod_child_release(struct pod_child *child);

/* ---- a command inside a pod, also for a further one (exec) ---- */

/* Borrowed strings. */
struct pod_command {
	char *const *argv, *const *env; /* NULL-terminated */
	const char *workdir;		/* NULL: / */
	const char *user;		/* NULL: root */
	int program_fd;			/* of command_prepare(): what command_execute() goes through */
};

/*
 * In a process that is already in the pod's cgroup, namespaces and root, its streams in place:
 * takes the working directory, the user (HOME is added to the environment where it has none), the
 * capabilities and the seccomp filter of the pod. Signal actions and mask are reset to the default.
 * What comes after it runs confined. The words of errors are the user's.
 */
int command_prepare(const struct pod_config *config, struct pod_command *command,
		    struct ct_error *err);
/*
 * Executes it, looked up in the PATH of its own environment, after `go_len` bytes (at most 9; 0: at
 * once) could be read from `go_fd`; where those do not come the process ends with 125. Why it
 * could not be executed is written to `error_fd` as an int, the errno; EOF there: it was.
 * Returns a negative errno where not even that could be tried.
 *
 * In between the process runs a small program from memory and no longer podckpt (or whatever uses
 * the library), whose file on the host no process of the pod must find in /proc/PID/exe.
 */
int command_execute(const struct pod_command *command, int go_fd, size_t go_len, int error_fd);

/*
 * Opens a terminal of the pod's own devpts (the caller is inside the pod's root, or gives a
 * descriptor of the pod's /dev as `devfd`) with a window size, both ends close-on-exec.
 */
int pty_open(int devfd, unsigned short rows, unsigned short columns, int *ret_master,
	     int *ret_slave, struct ct_error *err);
