/* SPDX-License-Identifier: Apache-2.0 */
/* Options of a restore that are for several pods. */
#pragma once
#include "libct/libct.h"

struct pod_config;

/*
 * Each of several takes those of the volumes and ports that it has. -EINVAL: one of them is for nobody. `configs` are the
 * images'.
 */
int set_check_options(const struct pod_config *const *configs, size_t n, const struct ct_restore_options *options,
		      struct ct_error *err);
