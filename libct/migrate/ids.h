/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which users, groups and PIDs a pod brings along, as numbers: where it goes they must be possible. A user namespace
 * may lack users (man 7 user_namespaces), a kernel have PIDs up to kernel.pid_max only.
 */
#pragma once
#include "images/node.h"
#include "libct/pod/pod.h"

struct verdict;

struct id_list {
	uint32_t *v; /* ascending */
	size_t n;
};

struct ids {
	struct id_list users, groups;
	pid_t highest; /* PID or thread ID, as the pod sees it */
};

void ids_release(struct ids *ids);
/* -ENOMEM. */
int ids_add_owner(struct ids *ids, uid_t uid, gid_t gid);
/* Adds those of a pod's processes, which run: what vanishes meanwhile is left out. */
int ids_of_pod(const struct pod *pod, struct ids *ids, struct ct_error *err);
/* Likewise of an image, from its manifest, whose document keeps what is wrong in it. */
int ids_of_image(const struct node *manifest, struct ids *ids, struct ct_error *err);
void ids_put(const struct ids *ids, struct node *to);
/* What of them this host does not have. Errors stay in the document. */
void ids_check(const struct node *from, struct verdict *verdict);
