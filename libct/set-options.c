/* SPDX-License-Identifier: Apache-2.0 */
#include "libct/set-options.h"

#include <string.h>

#include "libct/base/error.h"
#include "libct/pod/pod.h"

static bool has_volume(const struct pod_config *config, const char *destination)
{
	for (size_t i = 0; i < config->n_volumes; i++)
		if (!strcmp(config->volumes[i].destination, destination))
			return true;
	return false;
}

static int check_volumes(const struct pod_config *const *configs, size_t n,
			 const struct ct_restore_options *options, struct ct_error *err)
{
	for (size_t i = 0; i < options->n_volumes; i++) {
		const char *destination = options->volumes[i].destination;
		size_t k = 0;

		while (k < n && !has_volume(configs[k], destination))
			k++;
		if (k == n)
			return error_set(err, -EINVAL, "none of the images has a volume at '%s'", destination);
	}
	return 0;
}

static int check_ports(const struct pod_config *const *configs, size_t n,
		       const struct ct_restore_options *options, struct ct_error *err)
{
	__cleanup(pod_config_release) struct pod_config given = { .net = CT_NET_BRIDGE };
	int e = pod_config_set_publish(&given, options->publish, err);

	for (size_t i = 0; e == 0 && i < given.n_publish; i++) {
		size_t k = 0;

		while (k < n && !publish_is_for(&given.publish[i], configs[k], &given))
			k++;
		if (k == n)
			e = error_set(err, -EINVAL, "none of the images had port %u (%s) published",
				      given.publish[i].pod, given.publish[i].udp ? "UDP" : "TCP");
	}
	return e;
}

int set_check_options(const struct pod_config *const *configs, size_t n, const struct ct_restore_options *options,
		      struct ct_error *err)
{
	int r = check_volumes(configs, n, options, err);

	return r < 0 ? r : check_ports(configs, n, options, err);
}
