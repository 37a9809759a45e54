/* SPDX-License-Identifier: Apache-2.0 */
/* The manifest of a stopped pod, and the look at a running one that finds what cannot be carried. */
#include <fcntl.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

#include "config.h"
#include "libct/base/io.h"
#include "libct/dump-steps.h"
#include "libct/host.h"
#include "libct/visit.h"
#include "libct/kind.h"
#include "libct/kind/rootfs.h"
#include "libct/kind/tcp.h"
#include "libct/tree-plan.h"

static int dump_pod_kinds(struct dump *d, struct ct_error *err)
{
	__cleanup(visit_cleanup) struct visit visit = VISIT_NONE;
	struct node *all = node_put_object(d->root, "pod_state");
	int r = visit_begin(d->proc, d->pod->state.pid1, &visit, err);

	for (size_t i = 0; r == 0 && kinds[i]; i++) {
		if (!kinds[i]->pod_dump)
			continue;
		r = kinds[i]->pod_dump(d, node_put_object(all, kinds[i]->name), err);
		if (r < 0)
			return error_prefix(err, r, "%s", kinds[i]->name);
	}
	return r < 0 ? r : visit_end(&visit, err);
}

int dump_preflight(struct dump *d, struct ct_error *err)
{
	int r = dump_find_processes(d, err);

	if (r < 0)
		return r;
	dump_check_vfork(d);
	r = dump_check_processes(d, err);
	if (r == 0)
		r = dump_descriptors(d, err);
	d->process_array = node_put_array(d->root, "processes");
	for (size_t i = 0; r == 0 && i < d->n_processes; i++) {
		struct dump_process *p = &d->processes[i];

		/* Where the manifest has them, too. */
		if (!p->zombie)
			r = dump_areas(d, p, node_put_object(node_put_object(d->process_array, NULL), "memory"), err);
	}
	if (r == 0)
		r = dump_link_descriptors(d, err);
	if (r == 0)
		r = tcp_held_look(d, err);
	if (r == 0)
		r = dump_pod_kinds(d, err);
	return r < 0 ? r : dump_verdict(d, err);
}

/* What inherits memory is made in another order: that must work too. */
static int check_heirs(struct dump *d, struct ct_error *err)
{
	struct tree_plan *plan = NULL;
	int r = dump_plan(d, true, &plan, err);

	tree_plan_free(plan);
	return r;
}

/* Whose exit code is the pod's; where it has ended, podckpt-init keeps the code. */
static int put_main(struct dump *d, struct ct_error *err)
{
	struct init_state state = { .main_vpid = 1 };
	cleanup_fd int mem = -1;
	int r = 0;

	if (!d->pod->config.no_init) {
		mem = proc_open(d->proc, d->pod->state.pid1, "mem", O_RDONLY);
		r = mem < 0 ? mem : io_pread_exact(mem, &state, sizeof(state), INIT_STATE_ADDRESS);
	}
	if (r < 0)
		return error_errno(err, r, "read the state of podckpt-init");
	node_put_i64(d->root, "main", state.ended ? -1 : state.main_vpid);
	if (state.ended)
		node_put_i64(d->root, "exit_code", state.code);
	return 0;
}

int dump_describe(struct dump *d, struct ct_error *err)
{
	struct node *tool = node_put_object(d->root, "tool");
	struct pod_config config = d->pod->config; /* borrowed, with the limits of now */
	int r;

	node_put_str(tool, "name", "podckpt");
	node_put_str(tool, "version", PACKAGE_VERSION);
	node_put_u64(d->root, "format", IMAGE_FORMAT);
	r = host_put(d->root, err);
	if (r < 0)
		return r;
	r = cgroup_get_limits(d->pod->state.cgroup, &config, err);
	if (r < 0)
		return r;
	pod_config_put(&config, node_put_object(d->root, "pod"));
	r = put_main(d, err);
	if (r < 0)
		return r;
	r = dump_check_processes(d, err);
	if (r == 0)
		r = dump_descriptors(d, err);
	if (r == 0)
		r = tcp_held_look(d, err);
	if (r == 0)
		r = dump_thaw(d, err);
	if (r == 0)
		r = dump_tasks(d, err);
	if (r == 0)
		r = dump_link_descriptors(d, err);
	if (r == 0)
		r = dump_thaw(d, err);
	if (r == 0)
		r = tcp_dump_unsent(d, err);
	if (r == 0)
		r = tcp_held_settle(d, err);
	if (r == 0)
		r = dump_pod_kinds(d, err);
	if (r == 0)
		r = rootfs_describe(d, err);
	if (r == 0)
		r = check_heirs(d, err);
	if (r == 0)
		r = dump_verdict(d, err);
	d->stats.n_processes = d->n_processes;
	dump_remove_tapes(d);
	return r < 0 ? r : doc_check(d->doc, err);
}
