/* SPDX-License-Identifier: Apache-2.0 */
/* The timers of the host that are running, without names: /proc/timer_list. */
#pragma once
#include <stdint.h>

/*
 * Calls `fn` for each whose function in the kernel is `function`, until it returns nonzero. `clock`: 0
 * monotonic, 1 wall, 2 boot, 3 TAI, and the same four again; `expires`: ns of that clock. Negative
 * errno where the list cannot be read, else what `fn` returned last.
 */
int timer_list_read(int proc, const char *function,
		    int (*fn)(void *context, unsigned int clock, uint64_t expires), void *context);
