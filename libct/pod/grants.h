/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an image asks for beyond what `run` gives a pod by itself: capabilities, another system call
 * filter, the host's network, paths of the host. It gets what the user grants, by the options that
 * `run` has for it, and is refused otherwise.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ct;
struct ct_error;
struct ct_restore_options;
struct pod_config;

struct grants {
	bool several; /* the options are for several pods: ports are for those that had them published. Set before. */
	uint64_t capabilities; /* what processes may have, by --cap-add and by default */
	char *findings;	       /* what was not granted, one a line; NULL: nothing */
	size_t n_findings;
	/* The filter that every process of the pod begins with (struct sock_filter); NULL: none is demanded. */
	void *filter;
	size_t filter_len;
};

/*
 * Adds a finding for all in `config` that is not granted, and fills in the rest. The configuration
 * has the user's own options by then, and the ports that were given afterwards. Errors are for options that make no sense.
 */
int grants_begin(const struct ct *ct, struct pod_config *config,
		 const struct ct_restore_options *options, struct grants *ret, struct ct_error *err);
void grants_refuse(struct grants *g, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* 0, or -EKEYREJECTED with all findings. */
int grants_verdict(const struct grants *g, struct ct_error *err);
void grants_release(struct grants *g);
