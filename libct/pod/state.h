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

/* A pod of that name without its directory, configuration and state. */
int pod_new(struct ct *ct, const char *name, struct pod **ret, struct ct_error *err);
/* As state.json has it, whatever became of the pod since. */
int pod_state_load(struct pod *pod, struct pod_state *ret, struct ct_error *err);

/*
 * All that was running of the pod is gone. Gives up its name, if that is still this pod's; then what is left under no name
 * is removed. pod_remove_directory() is both.
 */
int pod_give_up_name(struct pod *pod, struct ct_error *err);
int pod_remove_remains(struct pod *pod, struct ct_error *err);
int pod_remove_directory(struct pod *pod, struct ct_error *err);
/* Removes what removers that were killed have left. The directory of all pods is locked. */
void pods_sweep(struct ct *ct, int podsfd);
