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

/* On the disk when it returns. */
int leaving_write(struct pod *pod, const struct ct_remote_options *remote, const char *id, struct ct_error *err);
/* Strings are those of *ret_doc, which the caller frees. */
int leaving_read(struct pod *pod, struct doc **ret_doc, struct ct_remote_options *ret, const char **ret_id,
		 struct ct_error *err);
/* Since it was written. */
unsigned int leaving_days(const struct pod *pod);
void leaving_forget(struct pod *pod);
