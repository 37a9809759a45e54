/* SPDX-License-Identifier: Apache-2.0 */
/* Can a pod come here? Everything that would not work, before anything is sent or stopped. */
#pragma once
#include "libct/migrate/message.h"
#include "libct/pod/pod.h"

/* Findings: one line each in err->text; the code is that of the first. */
struct verdict {
	int code;
	char *lines;
};
void verdict_add(struct verdict *v, const struct ct_error *finding);
void verdict_release(struct verdict *v);

/*
 * Looks at the OFFER of another host. Where nothing speaks against it the name is taken: *ret, as by
 * pod_reserve(). Findings leave *ret NULL. Errors are of a damaged offer. `runs`: the pod still runs there.
 */
int check_offer(struct ct *ct, struct doc *offer, const struct ct_restore_options *options, bool runs,
		struct verdict *verdict, struct pod **ret, struct ct_error *err);
