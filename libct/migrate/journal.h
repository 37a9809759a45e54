/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a host remembers of the migrations to it: ROOT/migrations/ID.json, written to the disk before
 * it counts. From `released` on the pod may have run here.
 *
 *	building --> released --> running
 *	   \___________\_________ (no entry): it never ran here, nothing of it is left
 */
#pragma once
#include "libct/migrate/message.h"
#include "libct/pod/pod.h"

enum journal_phase { JOURNAL_BUILDING, JOURNAL_RELEASED, JOURNAL_RUNNING };

struct journal {
	enum journal_phase phase;
	char pod[64];
	char cgroup[256]; /* of the pod: tells it from a later one of that name */
	pid_t builder;
	uint64_t builder_started;
};

/* Writes an entry for a pod, with this process as its builder. */
int journal_write(struct ct *ct, const char *id, const struct pod *pod, enum journal_phase phase,
		  struct ct_error *err);
/* Absent is fine. */
int journal_remove(struct ct *ct, const char *id, struct ct_error *err);

/* What became of a pod that was to come here; the words of the protocol. */
enum arrival {
	ARRIVAL_GONE,	  /* it never ran here and never will */
	ARRIVAL_BUILDING, /* not decided yet */
	ARRIVAL_RUNNING,
	ARRIVAL_ENDED,	  /* it ran here and has ended */
	ARRIVAL_UNKNOWN,
};
int journal_ask(struct ct *ct, const char *id, enum arrival *ret, struct ct_error *err);
const char *arrival_name(enum arrival arrival);
/* ARRIVAL_UNKNOWN for any other word. */
enum arrival arrival_of(const char *name);
