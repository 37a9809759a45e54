/* SPDX-License-Identifier: Apache-2.0 */
/* A thread's registers in the manifest. Everything that is specific to x86-64 there is here. */
#pragma once
#include "images/node.h"
#include "libct/task/tracee.h"

/* Puts "registers" (hex by name), "xstate" (NT_X86_XSTATE) and "blocked" (signals, hex). */
void regs_put(const struct tracee *t, struct node *to);

/* The reverse, from an untrusted image: segment registers and flags that a program may not have are complained about. */
int regs_get(const struct node *from, struct tracee *t, struct ct_error *err);
