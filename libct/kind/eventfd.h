/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "libct/kind.h"

/*
 * Is it a semaphore (EFD_SEMAPHORE)? By reading and writing, for kernels that do not tell; the count is
 * what it was afterwards, whatever becomes of us. Nobody may use it meanwhile.
 */
int eventfd_ask_semaphore(int fd, uint64_t count, bool *ret, struct ct_error *err);
