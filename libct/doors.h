/* SPDX-License-Identifier: Apache-2.0 */
/* The listening TCP sockets of a running pod: netns/tcp-door.h. */
#pragma once
#include <stddef.h>

struct ct_error;
struct guard;
struct pod;

struct doors {
	int *fds;
	size_t n;
};

/*
 * Shuts them, and waits (for half a second at most) until what was on its way has come and gone. From doors_open(), or the
 * end of the guard, on they are open again. Shuts none in a pod on the host's network.
 */
int doors_shut(const struct pod *pod, struct guard *guard, struct doors *ret, struct ct_error *err);
/* Accepts doors that were never shut. */
void doors_open(struct doors *doors);
