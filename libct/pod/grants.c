/* SPDX-License-Identifier: Apache-2.0 */
#include "libct/pod/grants.h"

#include <fcntl.h>
#include <stdarg.h>
#include <string.h>

#include "libct/base/error.h"
#include "libct/base/io.h"
#include "libct/findings.h"
#include "libct/pod/config-impl.h"
#include "libct/pod/inside.h"

void grants_release(struct grants *g)
{
	free(g->findings);
	free(g->filter);
	*g = (struct grants){ 0 };
}

void grants_refuse(struct grants *g, const char *format, ...)
{
	char line[1024];
	va_list ap;

	va_start(ap, format);
	vsnprintf(line, sizeof(line), format, ap);
	va_end(ap);
	g->n_findings++;
	finding_add(&g->findings, line);
}

int grants_verdict(const struct grants *g, struct ct_error *err)
{
	if (!g->n_findings)
		return 0;
	return error_lines(err, -EKEYREJECTED,
			   g->findings ? g->findings : "the image asks for rights that were not granted");
}

static int check_capabilities(const struct pod_config *config,
			      const struct ct_restore_options *options, struct grants *g,
			      struct ct_error *err)
{
	char flags[1024];
	uint64_t beyond;
	int r = caps_parse(options->cap_add, NULL, &g->capabilities, err);

	beyond = config->capabilities & ~g->capabilities;
	if (r < 0 || !beyond)
		return r;
	caps_flags(config->capabilities == caps_host() ? config->capabilities : beyond, flags,
		   sizeof(flags));
	grants_refuse(g, "the pod has capabilities beyond those of a new one; grant them with%s", flags);
	return 0;
}

static int check_seccomp(const struct pod_config *config, const struct ct_restore_options *options,
			 struct grants *g, struct ct_error *err)
{
	const char *given = options->seccomp ? options->seccomp : "default";
	cleanup_free char *profile = NULL;
	ssize_t n;

	if (!strcmp(given, "unconfined"))
		return 0;
	if (strcmp(given, "default")) {
		n = io_read_file(AT_FDCWD, given, SECCOMP_PROFILE_MAX, &profile);
		if (n < 0)
			return error_errno(err, (int)n, "seccomp profile '%s'", given);
		given = profile;
	}
	if (!strcmp(config->seccomp, "unconfined"))
		grants_refuse(g, "the pod has no system call filter; grant that with --seccomp unconfined");
	else if (strcmp(config->seccomp, "default") && strcmp(config->seccomp, given))
		grants_refuse(g, "the pod has a system call filter of its own%s; grant it with "
				 "--seccomp FILE (its profile) or --seccomp unconfined",
			      profile ? ", which is not the file that was given" : "");
	return seccomp_program(config->seccomp, config->capabilities, &g->filter, &g->filter_len, err);
}

/* An image cannot make a path of this host appear by itself: its volumes are given again. */
static void check_volumes(const struct pod_config *config, const struct ct_restore_options *options,
			  struct grants *g)
{
	for (size_t i = 0; i < config->n_volumes; i++) {
		const struct pod_volume *v = &config->volumes[i];
		bool given = false;

		for (size_t k = 0; k < options->n_volumes; k++)
			given |= !strcmp(options->volumes[k].destination, v->destination);
		if (!given)
			grants_refuse(g, "the pod has a volume at '%s' (it was '%s'); say what is to be there: "
					 "-v SOURCE:%s%s",
				      v->destination, v->source, v->destination,
				      v->read_only ? ":ro" : "");
	}
}

/*
 * What the pod sees of the host must be what a new pod sees: files of the host at their own places, or of
 * one directory as the root; never other pods' files, the kernel's file systems, other tools' containers.
 */
static void check_trees(const struct ct *ct, const struct pod_config *config, struct grants *g)
{
	bool hosts = !strcmp(config->trees[0].lower, "/");

	for (size_t i = 0; i < config->n_trees; i++) {
		const struct pod_tree *t = &config->trees[i];

		if ((i > 0 && (!hosts || strcmp(t->lower, t->at))) || !tree_may_show(ct->root, t->lower))
			grants_refuse(g, "the pod sees '%s' of the host at '%s', which no new pod does; say what "
					 "it is to see with --rootfs DIR",
				      t->lower, t->at);
	}
}

int grants_begin(const struct ct *ct, struct pod_config *config,
		 const struct ct_restore_options *options, struct grants *ret, struct ct_error *err)
{
	int r = check_capabilities(config, options, ret, err);

	if (r == 0)
		r = check_seccomp(config, options, ret, err);
	if (r < 0)
		return r;
	if (config->net == CT_NET_HOST && !options->host_net)
		grants_refuse(ret, "the pod is in the host's network; grant that with --net host");
	if (config->net == CT_NET_BRIDGE && config->address.bridge[0] && !options->bridge)
		grants_refuse(ret, "the pod hangs on the bridge '%s'; say on which it may here: --net bridge:%s",
			      config->address.bridge, config->address.bridge);
	r = publish_grant(config, options->publish, ret, err);
	if (r < 0)
		return r;
	check_volumes(config, options, ret);
	if (!options->rootfs)
		check_trees(ct, config, ret);
	return 0;
}
