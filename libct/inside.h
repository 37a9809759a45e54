/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Being inside a pod for a while: the calling thread enters the mount, network, IPC and UTS
 * namespaces of the pod's PID 1 (not its PID and time namespaces, which only children can enter)
 * and comes back. man 2 setns.
 *
 * The thread's file system attributes (root, working directory, umask) are its own from the first use
 * on, also after coming back: setns(CLONE_NEWNS) wants that.
 */
#pragma once
#include "libct/base/cleanup.h"
#include "libct/libct.h"

struct inside {
	int mnt, net, ipc, uts, cwd, root; /* where to go back to; all -1: not inside */
};

#define INSIDE_NONE ((struct inside){ -1, -1, -1, -1, -1, -1 })

/* `pid1`: on the host; `proc`: the host's /proc. */
int inside_enter(int proc, pid_t pid1, struct inside *ret, struct ct_error *err);
/* Goes back. A failure to do so leaves the thread where nobody should go on: it is returned and must be fatal to the caller. */
int inside_leave(struct inside *inside, struct ct_error *err);
static inline void inside_cleanup(struct inside *inside)
{
	inside_leave(inside, NULL);
}
