/* SPDX-License-Identifier: Apache-2.0 */
/* File locks: those of descriptions are put and restored with every description, whatever its kind. */
#pragma once
#include "libct/kind.h"

/* Does the text of fdinfo speak of locks? */
bool locks_in(const char *fdinfo);
/* flock(2) and F_OFD_SETLK locks as "locks" of the description; a lease is refused. */
void locks_put(struct dump *d, const struct fd_view *v, struct node *n);
int locks_restore(const struct node *n, int fd, struct ct_error *err);
