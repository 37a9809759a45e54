/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the pod's trees hold for long already is taken while it runs, so that its pause is as long as what
 * changed lately is big. tree-pieces.c says how a change is noticed.
 *
 * Only what is on a disk: a tmpfs notes no time when its files are written through a mapping.
 */
#include <fcntl.h>
#include <string.h>
#include <time.h>

#include "images/archive.h"
#include "libct/base/cleanup.h"
#include "libct/base/error.h"
#include "libct/kind/clock.h"
#include "libct/kind/file.h"
#include "libct/kind/rootfs.h"
#include "libct/kind/tree.h"

#define SETTLE (20 * 1000000) /* two ticks of the slowest clock, in nanoseconds */
#define STEP 1000000	      /* what reading two clocks one after the other may differ by */
#define PASSES 4
#define ENOUGH (1u << 20) /* bytes that may be left to the stop */

struct early_digest {
	char *path;
	struct tree_identity identity;
	uint64_t size, digest;
};

struct rootfs_early {
	struct tree_pieces pieces; /* .stage NULL: none are kept */
	struct early_digest *digests;
	size_t n_digests;
	int64_t clock; /* wall clock less the monotonic one */
};

DEFINE_CLEANUP(struct rootfs_early *, rootfs_early_free)

static void forget_digests(struct rootfs_early *e)
{
	for (size_t i = 0; i < e->n_digests; i++)
		free(e->digests[i].path);
	free(take_ptr(e->digests));
	e->n_digests = 0;
}

void rootfs_early_free(struct rootfs_early *e)
{
	if (!e)
		return;
	tree_pieces_release(&e->pieces);
	forget_digests(e);
	free(e);
}

static int64_t clock_difference(void)
{
	int64_t before = 0, wall = 0;

	/* Until nothing came in between. */
	for (int i = 0; i < 10; i++) {
		before = clock_now(CLOCK_MONOTONIC);
		wall = clock_now(CLOCK_REALTIME);
		if (clock_now(CLOCK_MONOTONIC) - before < STEP / 4)
			break;
	}
	return wall - before;
}

static void settle_now(struct tree_pieces *p)
{
	int64_t at = clock_now(CLOCK_REALTIME) - SETTLE;

	p->settled = (struct timespec){ at / NSEC_PER_SEC, at % NSEC_PER_SEC };
}

/* ---- digests ---- */

static int take_digest(struct dump *d, struct rootfs_early *e, const struct lower_file *file)
{
	cleanup_fd int fd = rootfs_open_lower(d, file, NULL);
	struct early_digest *o = &e->digests[e->n_digests];
	struct tree_identity after;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || !tree_is_settled(&e->pieces, &st))
		return 0;
	tree_identity(&st, &o->identity);
	if (rootfs_digest(fd, &o->size, &o->digest) < 0 || fstat(fd, &st) < 0)
		return 0;
	tree_identity(&st, &after);
	if (!tree_identity_same(&o->identity, &after))
		return 0;
	o->path = strdup(file->path);
	if (!o->path)
		return -ENOMEM;
	e->n_digests++;
	return 0;
}

static int take_digests(struct dump *d, struct rootfs_early *e, struct ct_error *err)
{
	cleanup_free struct lower_file *files = NULL;
	ssize_t n = rootfs_find_lower(d, &files, err);
	int r = 0;

	if (n < 0)
		return (int)n;
	e->digests = calloc((size_t)n + 1, sizeof(*e->digests));
	if (!e->digests)
		return error_errno(err, -ENOMEM, "files");
	for (ssize_t i = 0; r == 0 && i < n; i++)
		r = take_digest(d, e, &files[i]);
	return r < 0 ? error_errno(err, r, "files") : 0;
}

bool rootfs_early_digest(const struct rootfs_early *e, const char *path, int fd, uint64_t *ret_size,
			 uint64_t *ret_digest)
{
	struct tree_identity now;
	struct stat st;

	if (!e || fstat(fd, &st) < 0)
		return false;
	tree_identity(&st, &now);
	for (size_t i = 0; i < e->n_digests; i++) {
		const struct early_digest *o = &e->digests[i];

		if (strcmp(o->path, path))
			continue;
		*ret_size = o->size;
		*ret_digest = o->digest;
		return tree_identity_same(&o->identity, &now);
	}
	return false;
}

/* ---- trees ---- */

static int open_stage(struct dump *d, struct tree_pieces *p)
{
	cleanup_fd int fd = openat(d->pod->dirfd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	int r = fd < 0 ? -errno : archive_stage_new(fd, &p->stage, &p->a, NULL);

	if (r == 0)
		take_fd(&fd);
	return r;
}

/* One pass: what has changed since the last one, and is settled by now. */
static int take_trees(struct dump *d, struct tree_pieces *p)
{
	__cleanup(tree_dump_release) struct tree_dump t = { .pieces = p };
	__cleanup(file_writers_release) struct file_writers writers = { 0 };
	int r;

	/* The time first: who opens a file while the writers are looked for, writes later than that. */
	settle_now(p);
	p->left = 0;
	r = file_writers_find(d, &writers);
	if (r < 0)
		return r;
	p->writers = writers.list;
	p->n_writers = writers.n;
	p->hidden_writers = writers.hidden;
	r = rootfs_dump_trees(d, &t, NULL);
	p->writers = NULL;
	p->n_writers = 0;
	return r;
}

/* Passes as long as each leaves less; the pod runs, so what fails here is left to the stop. */
static void stage_trees(struct dump *d, struct tree_pieces *p)
{
	const struct timespec settle = { .tv_nsec = SETTLE };
	uint64_t before = UINT64_MAX;

	if (open_stage(d, p) < 0)
		return;
	p->early = true;
	for (int pass = 0; pass < PASSES; pass++) {
		int r = take_trees(d, p);

		if (archive_stage_check(p->stage, NULL) < 0) {
			tree_pieces_release(p);
			return;
		}
		if (r < 0 || p->left < ENOUGH || p->left >= before)
			return;
		before = p->left;
		/* What was written just before the last pass is old enough for the next one then. */
		nanosleep(&settle, NULL);
	}
}

int rootfs_early(struct dump *preflight, bool stage, struct rootfs_early **ret, struct ct_error *err)
{
	__cleanup(rootfs_early_free_cleanup) struct rootfs_early *e = calloc(1, sizeof(*e));
	int r;

	if (!e)
		return error_errno(err, -ENOMEM, "files");
	e->clock = clock_difference();
	settle_now(&e->pieces);
	r = take_digests(preflight, e, err);
	if (r == -ENOMEM)
		return r;
	if (stage)
		stage_trees(preflight, &e->pieces);
	*ret = take_ptr(e);
	return 0;
}

struct tree_pieces *rootfs_early_pieces(struct rootfs_early *e)
{
	return e && e->pieces.stage ? &e->pieces : NULL;
}

void rootfs_early_stopped(struct rootfs_early *e)
{
	int64_t step = e ? clock_difference() - e->clock : 0;

	if (step > -STEP && step < STEP)
		return;
	forget_digests(e);
	tree_pieces_release(&e->pieces);
}
