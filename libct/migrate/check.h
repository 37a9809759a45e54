/* SPDX-License-Identifier: Apache-2.0 */
/* Can a pod come here? Everything that would not work, before anything is sent or stopped. */
#pragma once
#include "libct/kind/aio.h"
#include "libct/migrate/message.h"
#include "libct/pod/pod.h"

/* Findings: one line each in err->text; the code is that of the first. */
struct verdict {
	int code;
	char *lines;
};
void verdict_add(struct verdict *v, const struct ct_error *finding);
void verdict_release(struct verdict *v);

/* Of one pod. */
struct offer {
	struct doc *doc;
	const struct node *node; /* of `doc` */
	const struct ct_restore_options *options;
	bool runs;    /* it still does, there */
	bool several; /* it comes with others, and the options may be for these */
};

/* Of all pods that come. */
struct needs {
	uint64_t memory, disk; /* bytes */
	struct aio_needs aio;
};

/*
 * Looks at what another host offers. Where nothing speaks against it the name is taken: *ret, as by
 * pod_reserve(). Findings leave *ret NULL. Errors are of a damaged offer. What it needs is added to *needs.
 */
int check_offer(struct ct *ct, const struct offer *offer, struct needs *needs, struct verdict *verdict,
		struct pod **ret, struct ct_error *err);
/* Can there be pods at all? */
void check_features(struct verdict *verdict);
/* Is there room for all? */
void check_room(struct ct *ct, const struct needs *needs, struct verdict *verdict);
