/* SPDX-License-Identifier: Apache-2.0 */
/* The steps of one pod's restore. */
#include "libct/restore.h"

#include <fcntl.h>
#include <netinet/ether.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "images/archive.h"
#include "libct/base/clock.h"
#include "libct/base/sys.h"
#include "libct/dump-steps.h"
#include "libct/host.h"
#include "libct/visit.h"
#include "libct/kind.h"
#include "libct/kind/memory.h"
#include "libct/kind/rootfs.h"
#include "libct/kind/tcp.h"
#include "libct/restore-steps.h"
#include "libct/spool.h"
#include "libct/tree-plan.h"
#include "libct/verify.h"

void restore_close(struct restore *r, bool failed)
{
	if (failed) {
		restore_abandon(r);
		if (r->pod)
			pod_destroy(r->pod, NULL);
	}
	for (size_t i = 0; i < r->n_processes; i++)
		restore_process_release(&r->processes[i]);
	for (size_t i = 0; i < r->n_helpers; i++) {
		restore_process_release(r->helpers[i]);
		free(r->helpers[i]);
	}
	free(r->helpers);
	free(r->stand_ins);
	tree_plan_free(r->plan);
	free(r->processes);
	restore_process_release(&r->init);
	for (size_t i = 0; r->ofds && i < r->n_ofds; i++)
		fd_close(r->ofds[i]);
	free(r->ofds);
	free(r->ofds_next);
	for (size_t i = 0; i < r->n_orphans; i++)
		fd_close(r->orphans[i]);
	free(r->orphans);
	for (int i = 0; i < 3; i++)
		fd_close(r->stream[i]);
	shared_restore_free(r);
	doc_free(r->doc);
	grants_release(&r->grants);
	fd_close(r->proc);
	archive_reader_free(r->archive);
	fd_close(r->file);
	pod_free(r->pod);
	*r = (struct restore)RESTORE_NONE;
}

static int read_manifest(struct restore *r, struct ct_error *err)
{
	cleanup_free char *text = NULL;
	enum image_member member;
	size_t len;
	int e = archive_next(r->archive, &member, err);

	if (e == 0 && member != IMAGE_MANIFEST)
		e = error_set(err, -EBADMSG, "not a podckpt image");
	if (e == 0)
		e = archive_read_manifest(r->archive, &text, &len, err);
	if (e == 0)
		e = doc_parse(text, len, &r->doc, err);
	if (e < 0)
		return e;
	r->root = doc_root(r->doc);
	if (node_u64(r->root, "format", UINT32_MAX) != IMAGE_FORMAT && doc_check(r->doc, NULL) == 0)
		return error_set(err, -EPROTONOSUPPORT,
				 "the image is of format %u, this version reads format %d",
				 (unsigned int)node_u64(r->root, "format", UINT32_MAX), IMAGE_FORMAT);
	node_ignore(node_object(r->root, "tool"));
	e = doc_check(r->doc, err);
	return e < 0 ? e : host_check(r->doc, r->root, err);
}

static int replace(char **to, const char *with, struct ct_error *err)
{
	char *copy = strdup(with);

	if (!copy)
		return error_errno(err, -ENOMEM, "restore");
	free(*to);
	*to = copy;
	return 0;
}

/* What the user wants otherwise than the image says. */
static int apply_options(struct pod_config *config, const struct ct_restore_options *options,
			 bool several, struct ct_error *err)
{
	int e = 0;

	if (options->name) {
		if (!pod_name_valid(options->name))
			return error_set(err, -EINVAL, "'%s' cannot be the name of a pod", options->name);
		e = replace(&config->name, options->name, err);
	}
	if (e == 0 && (options->ip || options->ip6))
		e = pod_config_move(config, options->ip, options->ip6, err);
	if (e == 0 && options->mac) {
		if (!ether_aton_r(options->mac, (struct ether_addr *)config->address.mac))
			return error_set(err, -EINVAL, "'%s' is not a MAC address", options->mac);
	}
	if (e == 0 && options->bridge) {
		if (config->net != CT_NET_BRIDGE)
			return error_set(err, -EINVAL, "the pod has no network of its own, so no bridge");
		if (pod_config_set_bridge(config, options->bridge) < 0)
			return error_set(err, -EINVAL, "'%s' cannot be the name of a bridge",
					 options->bridge);
	}
	if (e == 0 && options->rootfs)
		e = pod_config_set_rootfs(config, options->rootfs, err);
	for (size_t i = 0; e == 0 && i < options->n_volumes; i++) {
		const struct ct_volume *v = &options->volumes[i];
		size_t k;

		for (k = 0; k < config->n_volumes; k++)
			if (!strcmp(config->volumes[k].destination, v->destination))
				break;
		if (k == config->n_volumes && several)
			continue;
		if (k == config->n_volumes)
			return error_set(err, -EINVAL, "the image has no volume at '%s'", v->destination);
		e = replace(&config->volumes[k].source, v->source, err);
		config->volumes[k].read_only |= v->read_only;
	}
	config->remove = options->remove;
	config->address.locked = true;
	return e;
}

int restore_config(const struct node *pod, const struct ct_restore_options *options, bool several,
		   struct pod_config *ret, struct ct_error *err)
{
	int e = pod_config_get(pod, ret, err);

	return e < 0 ? e : apply_options(ret, options, several, err);
}

/* An Ethernet address that is none yet is made from the IP address, as an IPv6 address is. */
static int find_moved(struct restore *r, const struct pod_config *config, struct ct_error *err)
{
	static const uint8_t none[6];
	const struct net_config *now = &config->address;
	struct pod_config image = { 0 };
	int e = pod_config_get(node_object(r->root, "pod"), &image, err);

	r->moved = image.net != config->net || image.address.ip.s_addr != now->ip.s_addr ||
		   (!image.address.no_ip6 && !IN6_ARE_ADDR_EQUAL(&image.address.ip6, &now->ip6)) ||
		   (memcmp(now->mac, none, sizeof(none)) &&
		    memcmp(now->mac, image.address.mac, sizeof(none)));
	r->address_before = image.address;
	pod_config_release(&image);
	return e;
}

static int reserve(struct restore *r, struct ct *ct, struct ct_error *err)
{
	struct pod_config config = { 0 };
	int e = restore_config(node_object(r->root, "pod"), r->options, r->grants.several, &config, err);

	if (e == 0)
		e = doc_check(r->doc, err);
	if (e == 0)
		e = find_moved(r, &config, err);
	if (e == 0)
		e = grants_begin(ct, &config, r->options, &r->grants, err);
	if (e == 0 && r->hooks) {
		e = pod_reconfigure(r->hooks->pod, &config, err);
		if (e == 0)
			r->pod = take_ptr(r->hooks->pod);
	} else if (e == 0) {
		e = pod_reserve(ct, &config, !r->grants.several, &r->pod, err);
	}
	if (e < 0)
		pod_config_release(&config);
	return e;
}

/* What stood in the pod's standard input, and behind it what the monitor had not put there yet. */
static int restore_stdin(struct restore *r, char **ret, size_t *ret_len, struct ct_error *err)
{
	static const char *const keys[] = { "stdin", "stdin_more" };

	*ret_len = 0;
	for (size_t i = 0; i < 2; i++) {
		size_t len;
		const void *data;
		char *grown;

		if (!node_has(r->root, keys[i]))
			continue;
		data = node_blob(r->root, keys[i], &len);
		grown = realloc(*ret, *ret_len + len + 1);
		if (!grown)
			return error_errno(err, -ENOMEM, "standard input");
		*ret = grown;
		memcpy(grown + *ret_len, data, len);
		*ret_len += len;
	}
	return 0;
}

/* The pod without its processes: files first, since the overlay must not change under it. */
static int make_pod(struct restore *r, struct ct_error *err)
{
	const struct node *clocks = node_has(r->root, "clocks") ? node_object(r->root, "clocks") : NULL;
	cleanup_fd int self = sys_pidfd_open(getpid(), 0);
	struct pod_start start = { .restoring = true, .restorer_pidfd = self };
	cleanup_free char *input = NULL;
	enum image_member member;
	struct archive *files;
	int e = archive_next(r->archive, &member, err);

	if (e == 0 && member != IMAGE_FILES)
		e = error_set(err, -EBADMSG, "the image has no files");
	if (e == 0)
		e = archive_files_read(r->archive, &files, err);
	if (e == 0)
		e = rootfs_restore(r, files, err);
	if (e < 0)
		return e;
	if (self < 0)
		return error_errno(err, self, "pidfd_open");
	e = restore_stdin(r, &input, &start.stdin_len, err);
	if (e < 0)
		return e;
	start.stdin_data = input;
	start.address_before = &r->address_before;
	start.word = r->word;
	if (r->hooks) {
		start.taken = r->hooks->taken;
		start.taken_context = r->hooks->context;
	}
	if (clocks) {
		start.monotonic = node_i64(clocks, "monotonic", 0, INT64_MAX);
		start.boottime = node_i64(clocks, "boottime", 0, INT64_MAX);
	}
	e = doc_check(r->doc, err);
	if (e < 0)
		return e;
	/* The pod's clocks go on from where they were. */
	start.monotonic -= clock_now(CLOCK_MONOTONIC);
	start.boottime -= clock_now(CLOCK_BOOTTIME);
	return pod_make(r->pod, &start, err);
}

static int pod_kinds(struct restore *r, bool late, struct ct_error *err)
{
	const struct node *all = node_object(r->root, "pod_state");

	for (size_t i = 0; kinds[i]; i++) {
		int (*restore)(struct restore *, const struct node *, struct ct_error *) =
			late ? kinds[i]->pod_restore_late : kinds[i]->pod_restore;
		const struct node *n = kinds[i]->pod_dump ? node_object(all, kinds[i]->name) : NULL;
		int e;

		if (!restore)
			continue;
		e = restore(r, n, err);
		if (e == 0)
			e = doc_check(r->doc, err);
		if (e < 0)
			return error_prefix(err, e, "%s", kinds[i]->name);
	}
	return 0;
}

/* One process's memory: its areas, then its pages, which come in the order of the processes. */
static int fill_process(struct restore *r, struct restore_process *p, enum image_member *member,
			struct ct_error *err)
{
	char space[32];
	int e;

	snprintf(space, sizeof(space), "mem/%u", p->index);
	if (!p->pid)
		return error_set(err, -EBADMSG, "nobody is there to make it");
	e = memory_build(p, err);
	while (e == 0 && *member == IMAGE_PAGES) {
		struct pages_chunk chunk;

		e = archive_read_pages(r->archive, &chunk, err);
		if (e < 0 || strcmp(chunk.space, space))
			break;
		e = memory_restore_chunk(r, &chunk, err);
		if (e == 0)
			e = archive_next(r->archive, member, err);
	}
	if (e == 0)
		e = memory_filled(p, err);
	return e < 0 ? e : restore_heirs(r, p, err);
}

static int fill_memory(struct restore *r, enum image_member member, struct ct_error *err)
{
	int e = 0;

	for (size_t i = 0; e == 0 && i < r->n_processes; i++)
		if (!r->processes[i].zombie) {
			e = fill_process(r, &r->processes[i], &member, err);
			if (e < 0)
				return error_prefix(err, e, "pid %d", r->processes[i].vpid);
		}
	while (e == 0 && member == IMAGE_PAGES) {
		struct pages_chunk chunk;

		e = archive_read_pages(r->archive, &chunk, err);
		if (e == 0)
			e = memory_restore_chunk(r, &chunk, err);
		if (e == 0)
			e = archive_next(r->archive, &member, err);
	}
	if (e == 0 && member != IMAGE_END)
		e = error_set(err, -EBADMSG, "members of the image are out of order");
	if (e == 0)
		e = shared_restore_done(r, err);
	for (size_t i = 0; e == 0 && i < r->n_processes; i++)
		if (!r->processes[i].zombie) {
			e = memory_seal(&r->processes[i], err);
			if (e < 0)
				return error_prefix(err, e, "pid %d", r->processes[i].vpid);
		}
	return e;
}

static int take_streams(struct restore *r, struct ct_error *err)
{
	for (int i = 0; i < 3; i++) {
		r->stream[i] = sys_pidfd_getfd(r->pod->pid1_pidfd, i);
		if (r->stream[i] < 0)
			return error_errno(err, r->stream[i], "the pod's descriptor %d", i);
	}
	return 0;
}

/* Inside the pod: everything that a process could notice. */
static int inside_part(struct restore *r, struct ct_error *err)
{
	__cleanup(visit_cleanup) struct visit visit = VISIT_NONE;
	enum image_member member;
	int e = visit_begin(r->proc, r->pod->state.pid1, &visit, err);

	if (e == 0)
		e = pod_kinds(r, false, err);
	/* The files of tmpfs mounts were the last. */
	if (e == 0)
		e = archive_next(r->archive, &member, err);
	if (e == 0)
		e = restore_tree(r, err);
	if (e == 0)
		e = fill_memory(r, member, err);
	if (e == 0)
		e = restore_tree_end(r, err);
	/* After the processes: some sockets remember who made them. Files that are mapped exist already. */
	if (e == 0)
		e = restore_descriptors(r, err);
	if (e == 0)
		e = shared_restore_done(r, err);
	if (e == 0)
		e = restore_tree_settle(r, err);
	if (e == 0)
		e = restore_tasks(r, err);
	/* These name processes and each other. */
	if (e == 0)
		e = restore_descriptors_late(r, err);
	if (e == 0)
		e = pod_kinds(r, true, err);
	return e < 0 ? e : visit_end(&visit, err);
}

/* Nothing of the image's making has rights that the user did not give. */
static int check_grants(struct restore *r, struct ct_error *err)
{
	int e;

	for (size_t i = 0; i < r->n_processes; i++)
		if (!r->processes[i].zombie)
			restore_process_asks(&r->processes[i]);
	e = doc_check(r->doc, err);
	return e < 0 ? e : grants_verdict(&r->grants, err);
}

/* Whose exit code is the pod's: a child of podckpt-init, or PID 1; or it has ended already. */
static int find_main(struct restore *r, struct ct_error *err)
{
	struct init_go *ret = &r->go;
	const struct restore_process *p;

	ret->main_vpid = (int)node_i64(r->root, "main", -1, 1 << 22);
	if (ret->main_vpid < 0) {
		ret->code = (int)node_i64(r->root, "exit_code", 0, 255);
	} else {
		p = restore_by_vpid(r, ret->main_vpid);
		if (!p || p->parent_vpid != (r->pod->config.no_init ? 0 : 1))
			node_complain(r->root, "main: pid %d is not a child of PID 1", ret->main_vpid);
	}
	return doc_check(r->doc, err);
}

int restore_open(struct restore *r, struct ct_error *err)
{
	int e = 0, stream = r->path || r->hooks ? -1 : r->options->fd;

	r->began = clock_now(CLOCK_MONOTONIC);
	r->proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (r->path)
		r->file = open(r->path, O_RDONLY | O_CLOEXEC);
	if (r->proc < 0 || (r->path && r->file < 0))
		return error_errno(err, -errno, "open '%s'", r->path ? r->path : "/proc");
	/* What comes from another host does not come from a pod of this one. */
	if (r->hooks)
		stream = r->hooks->begin(r->hooks->context, err);
	else if (!r->path)
		e = spool_image(r->ct, stream, &r->file, err);
	if (e == 0 && r->file < 0 && stream < 0)
		e = stream;
	if (e == 0)
		e = archive_reader_new(r->file >= 0 ? r->file : stream, &r->archive, err);
	return e < 0 ? e : read_manifest(r, err);
}

int restore_check(struct restore *r, struct ct_error *err)
{
	int e = reserve(r, r->ct, err);

	if (e == 0)
		e = restore_parse(r, err);
	if (e == 0)
		e = find_main(r, err);
	if (e == 0)
		e = tcp_check_address(r, err);
	if (e == 0)
		e = tcp_held_check(r, err);
	return e < 0 ? e : check_grants(r, err);
}

int restore_build(struct restore *r, struct ct_error *err)
{
	int e = make_pod(r, err);

	if (e == 0)
		e = take_streams(r, err);
	if (e == 0)
		e = restore_seize_init(r, err);
	if (e == 0)
		e = inside_part(r, err);
	/* What nobody read, nobody restored. */
	if (e == 0)
		e = restore_registers(r, err);
	if (e == 0)
		e = doc_check_all_read(r->doc, err);
	return e == 0 && r->options->verify ? verify(r, err) : e;
}

int restore_built(struct restore *r, struct ct_error *err)
{
	char digest[33];

	archive_reader_digest(r->archive, digest);
	return r->hooks->built(r->hooks->context, digest, err);
}

int restore_ready(struct restore *r, struct ct_error *err)
{
	int e = 0;

	for (size_t i = 0; e == 0 && i < r->n_orphans; i++)
		e = pod_keep_orphan(r->pod, r->orphans[i], err);
	return e < 0 ? e : pod_prepare(r->pod, &r->go, err);
}

int restore_release(struct restore *r, struct ct_error *err)
{
	int e = pod_release_restored(r->pod, &r->go, err);

	/* There is no monitor any more that could have said so. */
	if (e > 0 && r->hooks)
		r->hooks->taken(r->hooks->context, r->pod);
	return e < 0 ? e : 0;
}

int restore_go(struct restore *r, struct ct_error *err)
{
	return pod_set_going(r->pod, err);
}

int restore_told(struct restore *r, char **ret_name, struct ct_error *err)
{
	*ret_name = strdup(r->pod->name);
	return *ret_name ? 0 : error_errno(err, -ENOMEM, "restore");
}

void restore_take_stats(struct restore *r, struct ct_stats *ret)
{
	r->stats.restore_time = (clock_now(CLOCK_MONOTONIC) - r->began) / 1000;
	*ret = r->stats;
}

int restore_explain(struct restore *r, int e, struct ct_error *err)
{
	if (r->doc && doc_check(r->doc, NULL) == -EBADMSG)
		return doc_check(r->doc, err);
	if (err && err->code)
		e = err->code;
	if (r->pod && (e == -EINVAL || e == -ENOENT || e == -EPERM || e == -EEXIST || e == -EBUSY ||
		       e == -EOPNOTSUPP)) {
		e = -EIO;
		if (err)
			err->code = e;
	}
	return e;
}
