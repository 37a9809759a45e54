/* SPDX-License-Identifier: Apache-2.0 */
/* Restartable sequences: man 2 rseq is not there yet; see include/uapi/linux/rseq.h. */
#pragma once
#include <stdint.h>

#include "libct/task/tracee.h"

struct rseq_registration {
	uint64_t address; /* of struct rseq in the task; 0: not registered */
	uint32_t size, signature;
};

/* What a stopped thread has registered; address 0 also where the kernel knows no rseq. */
int rseq_read(const struct tracee *t, struct rseq_registration *ret);

/*
 * A thread stopped within a restartable sequence goes to the sequence's abort handler, as the
 * kernel would send it when it goes on: it must be done here, because the kernel looks at the registers
 * of the moment, which are a tape's, and forgets the sequence then. True: t->regs was changed.
 */
bool rseq_abort(struct tracee *t);
