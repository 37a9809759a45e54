/* SPDX-License-Identifier: Apache-2.0 */
/* The conductor of a checkpoint. */
#include <fcntl.h>
#include <string.h>
#include <time.h>

#include "images/archive.h"
#include "libct/base/descriptors.h"
#include "libct/dump-steps.h"
#include "libct/image-file.h"
#include "libct/kind.h"
#include "libct/kind/memory.h"
#include "libct/kind/rootfs.h"
#include "libct/pod/pod.h"

DEFINE_CLEANUP(struct archive_writer *, archive_writer_free)
DEFINE_CLEANUP(struct rootfs_early *, rootfs_early_free)

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/*
 * What passes by itself in a running pod (a child of vfork(2) that has not executed its program yet, a connection that
 * waits to be accepted) is mostly gone within a millisecond. What is there at every look for so long is refused.
 */
#define PASSING_US 600000
static const struct timespec pause_between = { .tv_nsec = 10000000 };

/* Files are taken by what it has found: the dump is kept. */
static int preflight(struct pod *pod, struct dump **ret, struct ct_error *err)
{
	const uint64_t until = now_us() + PASSING_US;

	for (;;) {
		__cleanup(dump_free_cleanup) struct dump *d = NULL;
		int r = dump_new(pod, true, &d, err);

		if (r == 0)
			r = dump_preflight(d, err);
		if (r == 0) {
			/* An end of a pipe that we held would keep its reader waiting. */
			dump_let_go(d);
			*ret = take_ptr(d);
		}
		if (r == 0 || !d || !dump_passes(d, r) || now_us() >= until)
			return r;
		nanosleep(&pause_between, NULL);
	}
}

static int write_manifest(struct dump *d, struct archive_writer *w, struct ct_error *err)
{
	cleanup_free char *text = NULL;
	size_t len;
	int r = doc_format(d->doc, &text, &len, err);

	return r < 0 ? r : archive_put(w, "manifest.json", text, len, err);
}

/* What the monitor still has for the pod's standard input belongs behind what is in the pipe: into the manifest. */
static int drain(struct pod *pod, struct guard *guard, struct dump *d, struct ct_error *err)
{
	cleanup_free void *input = NULL;
	size_t len = 0;
	int r = guard_drain(pod, guard, &input, &len, err);

	if (r == 0 && len)
		node_put_blob(d->root, "stdin_more", input, len);
	return r;
}

/* One look: everything stops, and all but the contents of memory is found out. */
static int look(struct pod *pod, struct guard *guard, struct dump *d, struct ct_error *err)
{
	uint64_t began = now_us();
	int r = dump_stop(d, err);

	if (r < 0)
		return r;
	d->master_fd = guard->master_fd;
	d->guard = guard;
	d->stats.freezing_time = now_us() - began;
	/* Before anything is read: the monitor must not move what is in the pipes and the terminal. */
	r = drain(pod, guard, d, err);
	return r < 0 ? r : dump_describe(d, err);
}

/* Looks again at what passes by itself. In between the pod goes on, as if nothing had been asked of it. */
static int stop(struct pod *pod, struct guard *guard, struct rootfs_early *early, struct dump **ret,
		uint64_t *ret_began, struct ct_error *err)
{
	const uint64_t until = now_us() + PASSING_US;

	for (;;) {
		__cleanup(dump_free_cleanup) struct dump *d = NULL;
		int r = dump_new(pod, false, &d, err);

		*ret_began = now_us();
		if (r == 0) {
			d->early = early;
			r = look(pod, guard, d, err);
		}
		if (r == 0)
			*ret = take_ptr(d);
		if (r == 0 || !d || !dump_passes(d, r) || now_us() >= until)
			return r;
		dump_free(take_ptr(d));
		r = guard_end(pod, guard, GUARD_CONTINUE, err);
		if (r < 0)
			return r;
		nanosleep(&pause_between, NULL);
		r = guard_begin(pod, guard, err);
		if (r < 0)
			return r;
	}
}

static int write_image(struct pod *pod, struct dump *d, struct archive_writer *w,
		       const struct ct_checkpoint_options *options, struct ct_error *err)
{
	uint64_t began;
	int r = write_manifest(d, w, err);

	if (r == 0)
		r = rootfs_dump(d, w, err);
	began = now_us();
	if (r == 0)
		r = memory_dump_pages(d, w, err);
	d->stats.memdump_time = now_us() - began;
	return r;
}

/*
 * The stopped part. With leave_running the pod goes on as soon as its state has been read; without, it stays
 * stopped until the image is safe.
 */
static int stopped_part(struct pod *pod, struct guard *guard, struct archive_writer *w,
			struct image_file *file, struct rootfs_early *early,
			const struct ct_checkpoint_options *options,
			const struct checkpoint_hooks *hooks, struct ct_stats *stats,
			struct ct_error *err)
{
	__cleanup(dump_free_cleanup) struct dump *d = NULL;
	uint64_t began, written;
	char digest[33];
	int r = stop(pod, guard, early, &d, &began, err);

	if (r == 0)
		r = write_image(pod, d, w, options, err);
	/* While all are still stopped, and before the image can look whole. */
	if (r == 0)
		r = guard_check(guard, err);
	if (r < 0)
		return r;
	*stats = d->stats;
	if (options->leave_running) {
		dump_free(take_ptr(d));
		stats->frozen_time = now_us() - began;
	}
	written = now_us();
	r = rootfs_dump_late(early, w, err);
	if (r == 0)
		r = archive_finish(w, err);
	if (r == 0 && file)
		r = image_file_commit(file, err);
	stats->memwrite_time = now_us() - written;
	stats->pages_written = archive_pages_written(w);
	stats->image_bytes = archive_bytes_written(w);
	if (r == 0 && hooks) {
		archive_writer_digest(w, digest);
		r = hooks->whole(hooks->context, digest, err);
	}
	if (r < 0 || options->leave_running)
		return r;
	/*
	 * The point of no return: the image is whole and on the disk. The pod ends frozen, so none of its
	 * processes runs on between being let go by ptrace and being killed.
	 */
	r = cgroup_freeze(pod->state.cgroup, 10000, err);
	/* Nor do its peers hear of the end of its connections, which go on from the image. */
	if (r == 0)
		d->locked = false;
	dump_free(take_ptr(d));
	stats->frozen_time = now_us() - began;
	if (r == 0 && hooks)
		r = hooks->leave(hooks->context, pod, guard, err);
	return r < 0 ? r : guard_end(pod, guard, GUARD_CHECKPOINTED, err);
}

int checkpoint_pod(struct pod *pod, struct dump *found, const struct ct_checkpoint_options *options,
		   const struct checkpoint_hooks *hooks, struct ct_stats *stats, struct ct_error *err)
{
	__cleanup(rootfs_early_free_cleanup) struct rootfs_early *early = NULL;
	__cleanup(image_file_release) struct image_file file = { -1, -1, NULL, NULL };
	__cleanup(archive_writer_free_cleanup) struct archive_writer *w = NULL;
	__cleanup(guard_release) struct guard guard = { -1, -1 };
	int r;

	if (options->path) {
		r = image_file_open(options->path, &file, err);
		if (r < 0)
			return r;
	}
	r = archive_writer_new(options->path ? file.fd : options->fd,
			       (enum image_compress)options->compress, options->compress_level, &w, err);
	/*
	 * A pod that goes on waits for nothing that can be done before or afterwards. One that ends waits for its whole
	 * image, and keeping the files twice would only be more work; nor has a pipe room to be filled in later.
	 */
	if (r == 0)
		r = rootfs_early(found, options->leave_running && options->path, &early, err);
	if (r == 0)
		r = guard_begin(pod, &guard, err);
	if (r == 0)
		r = stopped_part(pod, &guard, w, options->path ? &file : NULL, early, options, hooks,
				 stats, err);
	if (r == 0 && options->leave_running)
		r = guard_end(pod, &guard, GUARD_CONTINUE, err);
	return r;
}

/* What the system said of a file is not what libct.h says of a pod. */
static int not_of_the_pod(int r, struct ct_error *err)
{
	if (r != -ENOENT && r != -EPERM && r != -EEXIST)
		return r;
	if (err)
		err->code = -EIO;
	return -EIO;
}

int checkpoint_open(struct ct *ct, const char *name, struct pod **ret, struct dump **ret_found,
		    struct ct_error *err)
{
	__cleanup(pod_free_cleanup) struct pod *pod = NULL;
	int r;

	if (geteuid() != 0)
		return error_set(err, -EPERM, "this needs root");
	r = pod_open(ct, name, &pod, err);
	if (r < 0)
		return r;
	r = pod_lock(pod, err);
	if (r == 0)
		r = pod_state_read(pod, err);
	if (r == 0 && pod->state.status != CT_RUNNING)
		r = error_set(err, -ESRCH, "the pod is %s, not running", ct_status_name(pod->state.status));
	if (r == 0)
		r = cgroup_check_thawed(pod->state.cgroup, err);
	if (r == 0)
		r = preflight(pod, ret_found, err);
	if (r == 0)
		*ret = take_ptr(pod);
	return r;
}

int ct_checkpoint(struct ct *ct, const char *name, const struct ct_checkpoint_options *options,
		  struct ct_stats *stats, struct ct_error *err)
{
	cleanup_descriptor_room struct descriptor_room room = descriptor_room_make();
	__cleanup(pod_free_cleanup) struct pod *pod = NULL;
	__cleanup(dump_free_cleanup) struct dump *found = NULL;
	struct ct_stats mine = { 0 };
	int r = checkpoint_open(ct, name, &pod, &found, err);

	if (r == 0 && !options->dry_run)
		r = not_of_the_pod(checkpoint_pod(pod, found, options, NULL, &mine, err), err);
	if (stats)
		*stats = mine;
	return r;
}
