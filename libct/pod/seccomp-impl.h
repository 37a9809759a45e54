/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the system call filters share. */
#pragma once
#include <seccomp.h>
#include <stdint.h>

#include "libct/base/cleanup.h"

struct ct_error;

DEFINE_CLEANUP(scmp_filter_ctx, seccomp_release)
#define cleanup_seccomp __cleanup(seccomp_release_cleanup)

/*
 * A filter for the native architecture and the 32-bit one beside it, never with no_new_privs.
 * NULL: no memory.
 */
scmp_filter_ctx seccomp_new(uint32_t default_action);
/* The profile "default". */
int seccomp_default(uint64_t capabilities, scmp_filter_ctx *ret, struct ct_error *err);
/* A profile in the JSON form that container engines read. */
int seccomp_profile(const char *text, uint64_t capabilities, scmp_filter_ctx *ret,
		    struct ct_error *err);
