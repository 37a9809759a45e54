// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "libct/base/error.h"
#include "libct/pod/pod.h"

/* -ENOENT, -EACCES and the like are said of the command alone: a volume that is not there is a bad argument. */
static int of_arguments(int r, struct ct_error *err)
{
	if (r != -ENOENT && r != -EACCES && r != -ENOEXEC && r != -EISDIR && r != -ELIBBAD)
		return r;
	if (err)
		err->code = -EINVAL;
	return -EINVAL;
}

int ct_run(struct ct *ct, const struct ct_run_options *options, char **ret_name,
	   struct ct_error *err)
{
	__cleanup(pod_free_cleanup) struct pod *pod = NULL;
	struct pod_start start = { .restorer_pidfd = -1 };
	struct pod_config config = {};
	cleanup_free char *name = NULL;
	int r;

	r = pod_config_from_options(ct, options, &config, err);
	if (r >= 0)
		r = pod_reserve(ct, &config, true, &pod, err);
	pod_config_release(&config);
	if (r < 0)
		return of_arguments(r, err);
	name = strdup(pod->name);
	if (!name) {
		pod_destroy(pod, NULL);
		return error_errno(err, -ENOMEM, "pod '%s'", pod->name);
	}
	r = pod_make(pod, &start, err);
	if (r < 0)
		return of_arguments(r, err);
	r = pod_release(pod, &(struct init_go){ 0 }, err);
	if (r < 0)
		return r;
	*ret_name = take_ptr(name);
	return 0;
}
