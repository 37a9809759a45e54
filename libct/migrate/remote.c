/* SPDX-License-Identifier: Apache-2.0 */
/* The conductor of a restore on another host: the image goes as it is. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "images/archive.h"
#include "images/relay.h"
#include "libct/base/error.h"
#include "libct/migrate/send.h"
#include "libct/set-mark.h"

DEFINE_CLEANUP(struct doc *, doc_free)
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

static int make_offer(int fd, const struct ct_restore_options *options, struct doc **ret,
		      struct ct_error *err)
{
	__cleanup(doc_free_cleanup) struct doc *offer = sender_new_offer(options, err);
	__cleanup(doc_free_cleanup) struct doc *manifest = NULL;
	struct relay_sizes sizes = { 0 };
	struct set_mark mark;
	const struct node *root;
	int r = offer ? read_manifest(fd, &manifest, err) : err ? err->code : -EINVAL;

	if (r == 0)
		r = archive_measure(fd, &sizes, err);
	if (r < 0)
		return r;
	root = doc_root(manifest);
	set_mark_get(root, &mark);
	r = doc_check(manifest, err);
	if (r == 0)
		r = set_mark_check(&mark, 1, 0, options->alone, err);
	if (r < 0)
		return r;
	node_put_u64(doc_root(offer), "format", node_u64(root, "format", UINT32_MAX));
	node_put_u64(doc_root(offer), "memory", sizes.pages);
	node_put_u64(doc_root(offer), "disk", sizes.files);
	node_copy(doc_root(offer), "pod", node_object(root, "pod"));
	node_copy(doc_root(offer), "host", node_object(root, "host"));
	r = doc_check(manifest, err);
	if (r == 0)
		*ret = take_ptr(offer);
	return r;
}

/* From a pipe the manifest cannot be read twice: such an image waits in a file without a name. */
static int open_image(const struct ct_restore_options *options, struct ct_error *err)
{
	struct stat st;
	int fd = options->path ? open(options->path, O_RDONLY | O_CLOEXEC)
			       : fcntl(options->fd, F_DUPFD_CLOEXEC, 3);

	if (fd < 0)
		return error_errno(err, -errno, "open '%s'", options->path ? options->path : "the image");
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		return fd;
	fd_close(fd);
	return error_set(err, -EINVAL, "an image that goes to another host is read from a file; write it to one first");
}

static int transfer(struct sender *s, int *image, struct ct_error *err)
{
	struct stat st;
	int r;

	sender_phase(s, "send");
	if (fstat(*image, &st) == 0)
		s->total = (uint64_t)st.st_size;
	r = sender_image_begin(s, take_fd(image), err);
	if (r == 0)
		r = sender_image_end(s, err);
	if (r < 0)
		return r;
	sender_phase(s, "build");
	r = sender_await_ready(s, s->digest, err);
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

int ct_restore_remote(const struct ct_restore_options *options, const struct ct_remote_options *remote,
		      char **ret_name, struct ct_remote_stats *stats, struct ct_error *err)
{
	__cleanup(doc_free_cleanup) struct doc *offer = NULL;
	cleanup_free char *name = NULL;
	cleanup_fd int image = open_image(options, err);
	struct sender s;
	int r;

	if (image < 0)
		return image;
	r = make_offer(image, options, &offer, err);
	if (r < 0)
		return r;
	r = sender_open(&s, remote, "restore", NULL, err);
	if (r == 0) {
		sender_phase(&s, "check");
		r = sender_offer(&s, offer, &name, err);
	}
	if (r == 0 && !remote->dry_run)
		r = transfer(&s, &image, err);
	sender_phase(&s, NULL);
	sender_close(&s);
	if (stats)
		*stats = s.stats;
	if (r == 0)
		*ret_name = take_ptr(name);
	return r;
}
