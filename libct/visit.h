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

struct visit {
	int mnt, net, ipc, uts, cwd, root; /* where to go back to; all -1: not inside */
};

#define VISIT_NONE ((struct visit){ -1, -1, -1, -1, -1, -1 })

/* `pid1`: on the host; `proc`: the host's /proc. */
int visit_begin(int proc, pid_t pid1, struct visit *ret, struct ct_error *err);
/* Goes back. A failure to do so leaves the thread where nobody should go on: it is returned and must be fatal to the caller. */
int visit_end(struct visit *visit, struct ct_error *err);
static inline void visit_cleanup(struct visit *visit)
{
	visit_end(visit, NULL);
}
