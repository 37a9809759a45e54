/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `podckpt checkpoint -o - pod1 | podckpt restore -` on one host: while the image comes in, the pod that it is of
 * still holds its name and its address. Such an image is read to its end, into a file without a
 * name in the state directory, before anything is made of it; then the pod is gone. From elsewhere an image
 * is restored as it comes.
 */
#pragma once
#include "libct/libct.h"

/* *ret: a descriptor to read instead of `fd`, -1 where `fd` itself will do. Waits for the first byte. */
int spool_image(struct ct *ct, int fd, int *ret, struct ct_error *err);
