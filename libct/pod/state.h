/* SPDX-License-Identifier: Apache-2.0 */
/* Within libct/pod: the documents and names of the state directory. */
#pragma once
#include <stdbool.h>

#include "libct/pod/pod.h"

/* The directory of all pods, locked (for claiming and giving up names) until it is closed, or not. */
int pods_open(const struct ct *ct, bool lock, struct ct_error *err);

/* Like pod_lock(), but waits for the other operation to end. */
int pod_lock_wait(struct pod *pod, struct ct_error *err);

/* Like pod_open(), for a pod whose files cannot be read: its configuration and state stay empty. */
int pod_open_unread(struct ct *ct, const char *name, struct pod **ret, struct ct_error *err);

int pod_config_write(struct pod *pod, struct ct_error *err);
void pod_state_put(const struct pod_state *state, struct node *to);

/*
 * Gives up the pod's name, if it is still this pod's, and removes its directory. All that was
 * running is gone before.
 */
int pod_remove_directory(struct pod *pod, struct ct_error *err);
