/* SPDX-License-Identifier: Apache-2.0 */
/* What a pod that moves may have there: exactly what it has here. */
#pragma once
#include "libct/libct.h"
#include "libct/pod/pod.h"

struct rights {
	struct ct_restore_options options; /* what the other side gets; its strings are the pod's, or below */
	struct ct_volume *volumes;
	const char *caps[64 + 1];
	char caps_text[64][32];
	const char **publish;
	char (*publish_text)[NET_PUBLISH_MAX];
	int seccomp_fd;
	char seccomp_path[32];
};

/* Of a pod that lives as long; released in every case. */
int rights_take(const struct pod *pod, const struct ct_migrate_options *options, struct rights *ret,
		struct ct_error *err);
void rights_release(struct rights *r);
