/* SPDX-License-Identifier: Apache-2.0 */
/* A pseudo-terminal besides its descriptions: modes, size, queues. "state" in the manifest. */
#pragma once
#include "libct/kind/tty.h"

#define TTY_MAX_INDEX 65535

struct tty_sides {
	const struct fd_view *view; /* whom findings are about */
	uint32_t index;
	bool own;	/* the pod's own terminal: its master is the monitor's */
	bool has_slave; /* some process has the slave open */
	int slave, master; /* duplicates; -1: not held by the pod */
};

int tty_state_dump(struct dump *d, const struct tty_sides *s, struct node *n, struct ct_error *err);

/* `slave`: -1 for one that was never open; `master`: -1 for the pod's own. */
int tty_state_restore(struct restore *r, const struct node *state, uint32_t index, int slave, int master,
		      struct ct_error *err);
