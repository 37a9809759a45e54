/* SPDX-License-Identifier: Apache-2.0 */
/* The conductor of a restore on another host: the images go as they are. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "images/archive.h"
#include "images/relay.h"
#include "libct/base/error.h"
#include "libct/kind/aio.h"
#include "libct/migrate/ids.h"
#include "libct/migrate/send.h"
#include "libct/set-mark.h"
#include "libct/set-options.h"

DEFINE_CLEANUP(struct archive_reader *, archive_reader_free)

/* Its manifest, before anybody is asked. The descriptor stands at its beginning again, where it can. */
static int read_manifest(int fd, struct doc **ret, struct ct_error *err)
{
	__cleanup(archive_reader_free_cleanup) struct archive_reader *r = NULL;
	cleanup_free char *text = NULL;
	enum image_member member;
	size_t len;
	int e = archive_reader_new(fd, &r, err);

	if (e == 0)
		e = archive_next(r, &member, err);
	if (e == 0)
		e = archive_read_manifest(r, &text, &len, err);
	if (e == 0)
		e = doc_parse(text, len, ret, err);
	if (e == 0 && lseek(fd, 0, SEEK_SET) < 0)
		e = error_errno(err, -errno, "read the image again");
	return e;
}

/* An image, and what is told of it. */
struct parcel {
	const char *path; /* NULL: options->fd */
	int fd;
	struct doc *manifest, *offer;
	struct pod_config config; /* the image's */
};

struct consignment {
	const struct ct_restore_options *options;
	struct sender sender;
	struct parcel *parcels;
	struct set_mark *marks;
	size_t n;
};

/* From a pipe the manifest cannot be read twice: such an image waits in a file without a name. */
static int open_image(const char *path, int given, struct ct_error *err)
{
	struct stat st;
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : fcntl(given, F_DUPFD_CLOEXEC, 3);

	if (fd < 0)
		return error_errno(err, -errno, "open '%s'", path ? path : "the image");
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		return fd;
	fd_close(fd);
	return error_set(err, -EINVAL, "an image that goes to another host is read from a file; write it to one first");
}

static int open_parcel(struct consignment *c, size_t i, struct ct_error *err)
{
	struct parcel *p = &c->parcels[i];
	int r;

	p->fd = open_image(p->path, c->options->fd, err);
	r = p->fd < 0 ? p->fd : read_manifest(p->fd, &p->manifest, err);
	if (r == 0) {
		set_mark_get(doc_root(p->manifest), &c->marks[i]);
		r = pod_config_get(node_object(doc_root(p->manifest), "pod"), &p->config, err);
	}
	if (r == 0)
		r = doc_check(p->manifest, err);
	return r;
}

static int make_offer(struct consignment *c, size_t i, struct ct_error *err)
{
	struct parcel *p = &c->parcels[i];
	const struct node *root = doc_root(p->manifest);
	__cleanup(ids_release) struct ids ids = { 0 };
	struct relay_sizes sizes = { 0 };
	struct aio_needs aio = { 0 };
	struct node *to;
	int r = set_mark_check(c->marks, c->n, i, c->options->alone, err);

	if (r == 0)
		r = archive_measure(p->fd, &sizes, err);
	if (r == 0)
		r = ids_of_image(root, &ids, err);
	if (r < 0)
		return r;
	p->offer = sender_new_offer(c->options, err);
	if (!p->offer)
		return err ? err->code : -EINVAL;
	to = doc_root(p->offer);
	node_put_u64(to, "format", node_u64(root, "format", UINT32_MAX));
	node_put_u64(to, "memory", sizes.pages);
	node_put_u64(to, "disk", sizes.files);
	ids_put(&ids, node_put_object(to, "ids"));
	aio_needs_add(&aio, node_array(root, "processes"));
	aio_needs_put(&aio, to);
	node_copy(to, "pod", node_object(root, "pod"));
	node_copy(to, "host", node_object(root, "host"));
	return doc_check(p->manifest, err);
}

static int check_options(const struct consignment *c, struct ct_error *err)
{
	cleanup_free const struct pod_config **configs = calloc(c->n, sizeof(*configs));

	if (!configs)
		return error_errno(err, -ENOMEM, "migration");
	for (size_t i = 0; i < c->n; i++)
		configs[i] = &c->parcels[i].config;
	return c->n > 1 ? set_check_options(configs, c->n, c->options, err) : 0;
}

static int each(struct consignment *c, int (*step)(struct consignment *, size_t, struct ct_error *),
		struct ct_error *err)
{
	for (size_t i = 0; i < c->n; i++) {
		int r = step(c, i, err);

		if (r < 0)
			return c->n > 1 ? error_prefix(err, r, "%s", c->parcels[i].path) : r;
	}
	return 0;
}

/* Before anybody is asked: what can be refused here. */
static int prepare(struct consignment *c, struct ct_error *err)
{
	int r = each(c, open_parcel, err);

	if (r == 0)
		r = each(c, make_offer, err);
	return r < 0 ? r : check_options(c, err);
}

static int offer_all(struct consignment *c, char **ret_names, struct ct_error *err)
{
	cleanup_free struct doc **offers = calloc(c->n, sizeof(*offers));

	if (!offers)
		return error_errno(err, -ENOMEM, "migration");
	for (size_t i = 0; i < c->n; i++)
		offers[i] = c->parcels[i].offer;
	sender_phase(&c->sender, "check");
	return sender_offer(&c->sender, offers, ret_names, err);
}

static int send_one(struct consignment *c, size_t i, struct ct_error *err)
{
	struct sender *s = &c->sender;
	struct stat st;
	int r;

	sender_phase(s, "send");
	s->total = s->stats.image_bytes;
	if (fstat(c->parcels[i].fd, &st) == 0)
		s->total += (uint64_t)st.st_size;
	r = sender_image_begin(s, take_fd(&c->parcels[i].fd), err);
	if (r == 0)
		r = sender_image_end(s, err);
	if (r < 0)
		return r;
	sender_phase(s, "build");
	return sender_await_ready(s, s->digest, err);
}

static int transfer(struct consignment *c, struct ct_error *err)
{
	struct sender *s = &c->sender;
	int r = each(c, send_one, err);

	if (r < 0)
		return r;
	sender_phase(s, "hand over");
	r = wire_send(&s->t.wire, WIRE_GO, NULL, 0, err);
	if (r == 0)
		r = sender_await_running(s, err);
	/* Here is a file only: there is nothing that would have to wait. */
	if (r == -EINPROGRESS) {
		struct ct_error what = { .code = r };

		snprintf(what.text, sizeof(what.text), "look with podckpt ps there; if it does not run, restore it again, "
						       "which is refused if it does");
		error_add(err, &what);
	}
	if (r == 0)
		sender_done(s);
	return r;
}

static void consignment_release(struct consignment *c)
{
	sender_close(&c->sender);
	for (size_t i = 0; c->parcels && i < c->n; i++) {
		fd_close(c->parcels[i].fd);
		doc_free(c->parcels[i].offer);
		doc_free(c->parcels[i].manifest);
		pod_config_release(&c->parcels[i].config);
	}
	free(c->parcels);
	free(c->marks);
}

static int begin(struct consignment *c, const char *const *paths, struct ct_error *err)
{
	const struct ct_restore_options *o = c->options;

	if (!c->n)
		return error_set(err, -EINVAL, "no image is named");
	if (c->n > 1 && (o->name || o->ip || o->mac))
		return error_set(err, -EINVAL, "several pods have no common name or address");
	c->parcels = calloc(c->n, sizeof(*c->parcels));
	c->marks = calloc(c->n, sizeof(*c->marks));
	if (!c->parcels || !c->marks)
		return error_errno(err, -ENOMEM, "migration");
	for (size_t i = 0; i < c->n; i++)
		c->parcels[i] = (struct parcel){ .path = paths[i], .fd = -1 };
	return 0;
}

int ct_restore_remote_set(const char *const *paths, size_t n, const struct ct_restore_options *options,
			  const struct ct_remote_options *remote, char **ret_names,
			  struct ct_remote_stats *stats, struct ct_error *err)
{
	__cleanup(consignment_release) struct consignment c = { .options = options, .sender = SENDER_NONE, .n = n };
	int r = begin(&c, paths, err);

	memset(ret_names, 0, n * sizeof(*ret_names));
	if (r == 0)
		r = prepare(&c, err);
	if (r < 0)
		return r;
	r = sender_open(&c.sender, remote, "restore", NULL, n, err);
	if (r == 0)
		r = offer_all(&c, ret_names, err);
	if (r == 0 && !remote->dry_run)
		r = transfer(&c, err);
	sender_phase(&c.sender, NULL);
	if (stats)
		*stats = c.sender.stats;
	for (size_t i = 0; r < 0 && i < n; i++)
		free(take_ptr(ret_names[i]));
	return r;
}

int ct_restore_remote(const struct ct_restore_options *options, const struct ct_remote_options *remote,
		      char **ret_name, struct ct_remote_stats *stats, struct ct_error *err)
{
	return ct_restore_remote_set(&options->path, 1, options, remote, ret_name, stats, err);
}
