/* SPDX-License-Identifier: Apache-2.0 */
/* Within libct/pod: signals to the pod's command. */
#pragma once
#include "libct/pod/pod.h"

/*
 * Sends a signal to the command of a running pod: through podckpt-init, which passes it on. A pod
 * that a SIGKILL hits ends. Uses pod->pid1_pidfd.
 */
int pod_signal(const struct pod *pod, int sig, struct ct_error *err);

/* The number in the pod of its one process that is a child of PID 1; 0: there is none. */
int pod_first_vpid(const struct pod *pod);
