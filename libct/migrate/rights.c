/* SPDX-License-Identifier: Apache-2.0 */
#include "libct/migrate/rights.h"

#include <string.h>
#include <sys/capability.h>

#include "libct/base/error.h"
#include "libct/migrate/message.h"

static const char *mapped(const struct ct_migrate_options *options, const char *source)
{
	for (size_t i = 0; i < options->n_volumes; i++)
		if (!strcmp(options->volumes[i].from, source))
			return options->volumes[i].to;
	return source;
}

static int take_volumes(const struct pod_config *c, const struct ct_migrate_options *options, struct rights *ret,
			struct ct_error *err)
{
	ret->volumes = calloc(c->n_volumes + 1, sizeof(*ret->volumes));
	if (!ret->volumes)
		return error_errno(err, -ENOMEM, "migration");
	for (size_t i = 0; i < c->n_volumes; i++)
		ret->volumes[i] = (struct ct_volume){ mapped(options, c->volumes[i].source),
						      c->volumes[i].destination, c->volumes[i].read_only };
	ret->options.volumes = ret->volumes;
	ret->options.n_volumes = c->n_volumes;
	return 0;
}

static void take_capabilities(const struct pod_config *c, struct rights *ret)
{
	size_t n = 0;

	for (int i = 0; i < 64; i++) {
		char *name = c->capabilities >> i & 1 ? cap_to_name(i) : NULL;

		if (!name)
			continue;
		snprintf(ret->caps_text[n], sizeof(ret->caps_text[n]), "%s", name);
		ret->caps[n] = ret->caps_text[n];
		n++;
		cap_free(name);
	}
	ret->options.cap_add = ret->caps;
}

int rights_take(const struct pod *pod, const struct ct_migrate_options *options, struct rights *ret,
		struct ct_error *err)
{
	const struct pod_config *c = &pod->config;
	struct ct_restore_options *o = &ret->options;
	int r;

	*ret = (struct rights){ .seccomp_fd = -1 };
	o->size = sizeof(*o);
	o->verify = options->verify;
	o->remove = c->remove;
	o->host_net = c->net == CT_NET_HOST;
	take_capabilities(c, ret);
	o->bridge = c->net == CT_NET_BRIDGE && c->address.bridge[0] ? c->address.bridge : NULL;
	ret->publish = calloc(c->n_publish + 1, sizeof(*ret->publish));
	ret->publish_text = calloc(c->n_publish + 1, sizeof(*ret->publish_text));
	if (!ret->publish || !ret->publish_text)
		return error_errno(err, -ENOMEM, "migration");
	for (size_t i = 0; i < c->n_publish; i++)
		ret->publish[i] = net_publish_text(&c->publish[i], ret->publish_text[i]);
	o->publish = ret->publish;
	r = seccomp_as_file(c->seccomp, &ret->seccomp_fd, ret->seccomp_path, &o->seccomp, err);
	return r < 0 ? r : take_volumes(c, options, ret, err);
}

void rights_release(struct rights *r)
{
	free(r->volumes);
	free(r->publish);
	free(r->publish_text);
	fd_close(r->seccomp_fd);
	*r = (struct rights){ .seccomp_fd = -1 };
}
