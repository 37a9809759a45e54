/* SPDX-License-Identifier: Apache-2.0 */
/* The steps of one pod's checkpoint. */
#include "libct/checkpoint-steps.h"

#include <fcntl.h>
#include <string.h>
#include <time.h>

#include "images/archive.h"
#include "libct/base/clock.h"
#include "libct/findings.h"
#include "libct/kind.h"
#include "libct/kind/memory.h"
#include "libct/kind/rootfs.h"
#include "libct/pod/pod.h"

void checkpoint_pause(void)
{
	static const struct timespec between_looks = { .tv_nsec = 10000000 };

	nanosleep(&between_looks, NULL);
}

int checkpoint_open(struct checkpoint *c, struct ct_error *err)
{
	int r = pod_open(c->ct, c->name, &c->pod, err);

	if (r < 0)
		return r;
	r = pod_lock(c->pod, err);
	if (r == 0)
		r = pod_state_read(c->pod, err);
	if (r == 0 && c->pod->state.status != CT_RUNNING)
		r = error_set(err, -ESRCH, "the pod is %s, not running",
			      ct_status_name(c->pod->state.status));
	return r < 0 ? r : cgroup_check_thawed(c->pod->state.cgroup, err);
}

/* What was found at every look so far. */
struct looks {
	char *findings, *lasting;
	unsigned int n;
};

static void looks_release(struct looks *l)
{
	free(l->findings);
	free(l->lasting);
}

/* Without memory nothing is left, and the look at the stopped pod decides. */
static void looks_add(struct looks *l, const struct dump *d)
{
	if (l->n++) {
		findings_keep(&l->findings, d->findings);
		findings_keep(&l->lasting, d->lasting);
	} else {
		l->findings = d->findings ? strdup(d->findings) : NULL;
		l->lasting = d->lasting && *d->lasting ? strdup(d->lasting) : NULL;
	}
}

/* 1: look again. 0: it can be tried. */
static int judge(const struct looks *l, bool over, struct ct_error *err)
{
	if (!l->findings)
		return !over;
	if (l->lasting ? l->n < ENOUGH_LOOKS : !over)
		return 1;
	return error_lines(err, -EOPNOTSUPP, l->findings);
}

/* Files are taken by what it has found: the dump is kept until checkpoint_prepare(). */
int checkpoint_preflight(struct checkpoint *c, struct ct_error *err)
{
	const int64_t until = monotonic_us() + PASSING_US;
	__cleanup(looks_release) struct looks looks = { 0 };

	for (;;) {
		__cleanup(dump_free_cleanup) struct dump *d = NULL;
		int r = dump_new(c->pod, true, &d, err);

		if (r == 0)
			r = dump_preflight(d, err);
		/* A running pod changes while it is looked at: what is found once may never have been there. */
		if (r == -EOPNOTSUPP && d->n_findings) {
			looks_add(&looks, d);
			r = judge(&looks, monotonic_us() >= until, err);
		}
		if (r == 0) {
			/* An end of a pipe that we held would keep its reader waiting. */
			dump_let_go(d);
			c->found = take_ptr(d);
		}
		if (r <= 0)
			return r;
		checkpoint_pause();
	}
}

int checkpoint_prepare(struct checkpoint *c, struct ct_error *err)
{
	const struct ct_checkpoint_options *options = c->options;
	int r = c->path ? image_file_open(c->path, &c->file, err) : 0, fd = options->fd;

	if (r == 0 && c->hooks)
		r = fd = c->hooks->open(c->hooks->context, c->index, err);
	if (r >= 0)
		r = archive_writer_new(c->path ? c->file.fd : fd,
				       (enum image_compress)options->compress, options->compress_level,
				       &c->w, err);
	/*
	 * A pod that goes on waits for nothing that can be done before or afterwards. One that ends waits for its whole
	 * image, and keeping the files twice would only be more work; nor has a pipe room to be filled in later.
	 */
	if (r == 0)
		r = rootfs_early(c->found, options->leave_running && c->path, &c->early, err);
	/* It is as big as the one to come. */
	dump_free(take_ptr(c->found));
	return r;
}

int checkpoint_guard(struct checkpoint *c, struct ct_error *err)
{
	return guard_begin(c->pod, &c->guard, err);
}

int checkpoint_hold(struct checkpoint *c, struct ct_error *err)
{
	int r = dump_new(c->pod, false, &c->dump, err);

	if (r < 0)
		return r;
	c->dump->early = c->early;
	c->began = monotonic_us();
	return dump_hold(c->dump, err);
}

int checkpoint_freeze(struct checkpoint *c, struct ct_error *err)
{
	return dump_freeze(c->dump, err);
}

/* What the monitor still has for the pod's standard input belongs behind what is in the pipe: into the manifest. */
static int drain(struct checkpoint *c, struct ct_error *err)
{
	cleanup_free void *input = NULL;
	size_t len = 0;
	int r = guard_drain(c->pod, &c->guard, &input, &len, err);

	if (r == 0 && len)
		node_put_blob(c->dump->root, "stdin_more", input, len);
	return r;
}

int checkpoint_describe(struct checkpoint *c, struct ct_error *err)
{
	struct dump *d = c->dump;
	int r = dump_stop(d, err);

	if (r < 0)
		return r;
	d->master_fd = c->guard.master_fd;
	d->guard = &c->guard;
	d->stats.freezing_time = monotonic_us() - c->began;
	/* Before anything is read: the monitor must not move what is in the pipes and the terminal. */
	r = drain(c, err);
	return r < 0 ? r : dump_describe(d, err);
}

int checkpoint_write(struct checkpoint *c, struct ct_error *err)
{
	int64_t began;
	int r = c->hooks ? c->hooks->begin(c->hooks->context, c->index, err) : 0;

	if (r == 0)
		r = archive_put_manifest(c->w, c->dump->doc, err);
	if (r == 0)
		r = rootfs_dump(c->dump, c->w, err);
	began = monotonic_us();
	if (r == 0)
		r = memory_dump_pages(c->dump, c->w, err);
	c->dump->stats.memdump_time = monotonic_us() - began;
	/* While all is still stopped, and before the image can look whole. */
	return r < 0 ? r : guard_check(&c->guard, err);
}

void checkpoint_let_go(struct checkpoint *c)
{
	if (!c->dump)
		return;
	c->stats = c->dump->stats;
	dump_free(take_ptr(c->dump));
	c->stats.frozen_time = monotonic_us() - c->began;
}

int checkpoint_finish(struct checkpoint *c, struct ct_error *err)
{
	struct ct_stats *stats = c->dump ? &c->dump->stats : &c->stats;
	int64_t began = monotonic_us();
	int r = rootfs_dump_late(c->early, c->w, err);

	if (r == 0)
		r = archive_finish(c->w, err);
	if (r == 0 && c->path)
		r = image_file_settle(&c->file, err);
	stats->memwrite_time = monotonic_us() - began;
	stats->pages_written = archive_pages_written(c->w);
	stats->image_bytes = archive_bytes_written(c->w);
	return r;
}

int checkpoint_whole(struct checkpoint *c, struct ct_error *err)
{
	char digest[33];

	if (!c->hooks)
		return 0;
	archive_writer_digest(c->w, digest);
	return c->hooks->whole(c->hooks->context, c->index, digest, err);
}

int checkpoint_freeze_again(struct checkpoint *c, struct ct_error *err)
{
	int r = cgroup_freeze(c->pod->state.cgroup, 10000, err);

	/*
	 * Nor do its peers hear of the end of its connections, which go on from the image. If it does not come to that,
	 * the monitor sets the pod going.
	 */
	if (r == 0)
		c->dump->locked = false;
	return r;
}

int checkpoint_end(struct checkpoint *c, enum guard_outcome outcome, struct ct_error *err)
{
	return guard_end(c->pod, &c->guard, outcome, err);
}

void checkpoint_release(struct checkpoint *c)
{
	checkpoint_let_go(c);
	guard_release(&c->guard);
	archive_writer_free(take_ptr(c->w));
	image_file_release(&c->file);
	rootfs_early_free(take_ptr(c->early));
	dump_free(take_ptr(c->found));
	pod_free(take_ptr(c->pod));
}
