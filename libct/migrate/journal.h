/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a host remembers of the migrations to it: ROOT/migrations/ID.json.
 *
 *	building --> running --> (no entry): the other host knows it
 *	   \___________________ (no entry): it never ran here, nothing of it is left
 *
 * The builder writes the first; the pod's monitor the second, when it has taken the pod over. So where neither
 * goes on and the pod is not here, `building` means that it never ran.
 */
#pragma once
#include "libct/migrate/message.h"
#include "libct/pod/pod.h"

/* After these days an entry is forgotten; a host that asks so late is to believe no answer. */
#define JOURNAL_DAYS_KEPT 60
#define JOURNAL_DAYS_SURE 30

enum journal_phase { JOURNAL_BUILDING, JOURNAL_RUNNING };

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
/* Removes the entry of a pod that is gone. */
int journal_ask(struct ct *ct, const char *id, enum arrival *ret, struct ct_error *err);
/* Removes what those who were killed have left, and what is too old. */
void journal_sweep(struct ct *ct);
const char *arrival_name(enum arrival arrival);
/* ARRIVAL_UNKNOWN for any other word. */
enum arrival arrival_of(const char *name);
