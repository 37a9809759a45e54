/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pod's cgroup. Its limits as they are at the dump (somebody may have changed them since `run`)
 * stand in the manifest's "pod", and the new pod is made with them: cgroup_get_limits(). What is left
 * to see here is a process in a cgroup that was made below the pod's; such ones are not carried.
 */
#include <string.h>

#include "libct/kind.h"

/* Lines "4:memory:/podckpt/x": the path must be the pod's in every hierarchy that it is in. */
static void process_check(struct dump *d, struct dump_process *p)
{
	const char *cgroup = d->pod->state.cgroup;
	cleanup_free char *text = NULL;
	size_t len = strlen(cgroup);
	char *rest, *line;

	if (proc_read(d->proc, p->pid, "cgroup", &text) < 0)
		return;
	rest = text;
	while ((line = strsep(&rest, "\n"))) {
		char *path = strchr(line, ':');

		path = path ? strchr(path + 1, ':') : NULL;
		if (path && !strncmp(path + 1, cgroup, len) && path[1 + len] == '/') {
			dump_refuse_process(d, p, "it is in the cgroup '%s' below the pod's, which is not "
						  "carried; move it to '/' first", path + 1 + len);
			return;
		}
	}
}

const struct kind kind_cgroup = {
	.name = "cgroup",
	.carries = "limits of memory, CPU time and processes as they are at the checkpoint",
	.refuses = "processes in cgroups below the pod's",
	.victims = "cgroup-limits refused-cgroup",
	.process_check = process_check,
};
