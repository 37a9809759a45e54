/* SPDX-License-Identifier: Apache-2.0 */
/* What of the host a program may have noticed when it started: "host" of the manifest. */
#pragma once
#include "images/node.h"
#include "libct/libct.h"

/* Puts kernel, machine, page size, CPU features, extended state and the vdso's digest. */
int host_put(struct node *to, struct ct_error *err);

/* Compares "host" of `image`, which is of `doc`, with this host: -ENOSYS with all that is missing here, one finding a line. */
int host_check(struct doc *doc, const struct node *image, struct ct_error *err);

/* What nothing works without (ct_check()): 0, or -ENOSYS and a line for each that this host lacks. */
int features_check_core(struct ct_error *err);
