/* SPDX-License-Identifier: Apache-2.0 */
/* The clocks as a pod's processes see them, from outside: man 7 time_namespaces. */
#pragma once
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "libct/base/clock.h"

struct ct_error;

/*
 * Nanoseconds to add to a clock of ours for that of process `pid` (on the host): 0 but for the clocks
 * that time namespaces shift.
 */
int clock_offset(int proc, pid_t pid, clockid_t clock, int64_t *ret, struct ct_error *err);
