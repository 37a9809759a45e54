/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files that read sockets from the kernel's memory. */
#pragma once
#include "netns/tcp-held.h"

/* Of enum sock_flags: bits of skc_flags. */
#define KERNEL_SOCK_DONE 1
#define KERNEL_SOCK_KEEPOPEN 3

/* Of the struct tcp_sock at that address. Errors as of tcp_held_all(). */
int tcp_kept_read(struct kernel *k, uint64_t address, struct tcp_kept *ret, struct ct_error *err);
