/* SPDX-License-Identifier: Apache-2.0 */
/* What a pod that leaves needs elsewhere, and what its host notes of where it went: pods/NAME/migration.json. */
#pragma once
#include "libct/migrate/ids.h"
#include "libct/migrate/message.h"
#include "libct/pod/pod.h"

/* Bytes, as far as they can be found out. */
uint64_t leaving_memory(const struct pod *pod);
/* Of its own files, whose owners are added to *ids. */
int leaving_disk(const struct pod *pod, uint64_t *ret, struct ids *ids, struct ct_error *err);

/* What is noted of one that was handed over. Strings are those of `doc`. */
struct leaving {
	struct doc *doc;
	struct ct_remote_options to; /* where it went, and by which way */
	const char *id;
	const struct node *with; /* objects with `pod` and `id`: those that were handed over together with it; NULL: none */
	const char *resolved;	 /* "keep" or "drop": what one of those became; NULL: nothing yet */
};
#define LEAVING_NONE ((struct leaving){ 0 })
void leaving_release(struct leaving *l);

/*
 * Writes it for pod `i` of `n` that are handed over together. This and leaving_resolve(): on the disk when they return.
 */
int leaving_write(struct pod *pod, const struct ct_remote_options *remote, const char *const *names,
		  const char (*ids)[MIGRATION_ID_SIZE], size_t n, size_t i, struct ct_error *err);
int leaving_read(struct pod *pod, struct leaving *ret, struct ct_error *err);
/* Notes what became of a pod that was handed over together with this one. */
int leaving_resolve(struct pod *pod, const struct leaving *l, const char *resolved, struct ct_error *err);
/* Since it was written. */
unsigned int leaving_days(const struct pod *pod);
void leaving_forget(struct pod *pod);
