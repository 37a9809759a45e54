/* SPDX-License-Identifier: Apache-2.0 */
/* The image as it comes in: out of its frames, into a pipe that the restore reads. */
#include <endian.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

#include "images/pipeline.h"
#include "libct/base/error.h"
#include "libct/base/io.h"
#include "libct/kind/rootfs.h"
#include "libct/migrate/receive.h"

#define IDLE_TIMEOUT_MS 600000
#define FILES_MAX (1u << 20)
#define COPY_SIZE (256u << 10)

DEFINE_CLEANUP(struct doc *, doc_free)

/* The restore ends where the image cannot be read; then our writing fails, which explains nothing. */
static int feed(struct session *s, const void *data, size_t len, struct ct_error *err)
{
	int r = io_write_all(s->feed_fd, data, len);

	return r < 0 ? error_errno(err, -ECANCELED, "pass the image on") : 0;
}

static const struct pod_config *config_of(const struct session *s)
{
	return &s->guests[s->current].config;
}

static int learn_file(struct session *s, const struct node *n, struct node *had, struct ct_error *err)
{
	struct intake_file *f = &s->known[s->n_known];
	uint64_t digest = node_hex(n, "digest");

	*f = (struct intake_file){ .tree = node_u64(n, "tree", UINT32_MAX),
				   .size = node_u64(n, "size", INT64_MAX),
				   .path = strdup(node_str(n, "path")) };
	if (!f->path)
		return error_errno(err, -ENOMEM, "migration");
	f->have = rootfs_host_has(config_of(s), f->tree, f->path, f->size, digest);
	if (f->have)
		node_put_u64(had, NULL, s->n_known);
	s->n_known++;
	return 0;
}

static int answer_have(struct session *s, const void *payload, size_t len, struct ct_error *err)
{
	__cleanup(doc_free_cleanup) struct doc *doc = NULL, *answer = doc_new();
	const struct node *list;
	struct intake_file *grown;
	struct node *had;
	size_t n;
	int r = doc_parse(payload, len, &doc, err);

	if (r < 0)
		return r;
	list = node_array(doc_root(doc), "files");
	n = node_count(list);
	if (n > FILES_MAX - s->n_known)
		return error_set(err, -EPROTO, "too many files");
	grown = reallocarray(s->known, s->n_known + n + 1, sizeof(*grown));
	if (!grown || !answer)
		return error_errno(err, -ENOMEM, "migration");
	s->known = grown;
	had = node_put_array(doc_root(answer), "have");
	for (size_t i = 0; r == 0 && i < n; i++)
		r = learn_file(s, node_at(list, i), had, err);
	if (r == 0)
		r = doc_check(doc, err);
	return r < 0 ? r : message_send(&s->wire, WIRE_HAD, answer, err);
}

/* Exactly as many bytes as were announced; that they are the right ones the image's own digests say. */
static int copy_file(struct session *s, const void *payload, size_t len, struct ct_error *err)
{
	cleanup_free char *buf = malloc(COPY_SIZE);
	const struct intake_file *f;
	cleanup_fd int fd = -1;
	uint32_t index;
	int r = 0;

	if (len != sizeof(index))
		return error_set(err, -EPROTO, "not a number of a file");
	memcpy(&index, payload, sizeof(index));
	index = le32toh(index);
	if (index >= s->n_known || !s->known[index].have)
		return error_set(err, -EPROTO, "a file that is not here");
	f = &s->known[index];
	if (!buf)
		return error_errno(err, -ENOMEM, "migration");
	fd = rootfs_open_host(config_of(s), f->tree, f->path, f->size);
	if (fd < 0)
		return error_errno(err, fd, "'/%s' has changed meanwhile", f->path);
	for (uint64_t left = f->size; r == 0 && left;) {
		ssize_t n = read(fd, buf, left < COPY_SIZE ? (size_t)left : COPY_SIZE);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return error_set(err, -EIO, "'/%s' has changed meanwhile", f->path);
		r = feed(s, buf, (size_t)n, err);
		left -= (uint64_t)n;
	}
	return r;
}

static int take_image(struct session *s, struct ct_error *err)
{
	for (;;) {
		const void *payload;
		size_t len;
		int r, type = wire_recv(&s->wire, IDLE_TIMEOUT_MS, &payload, &len, err);

		if (type < 0)
			return type;
		switch (type) {
		case WIRE_HAVE:
			r = answer_have(s, payload, len, err);
			break;
		case WIRE_DATA:
			r = feed(s, payload, len, err);
			break;
		case WIRE_FILE:
			r = copy_file(s, payload, len, err);
			break;
		case WIRE_END:
			return 0;
		default:
			return error_set(err, -EPROTO, "the message %s comes before the image", wire_type_name((unsigned int)type));
		}
		if (r < 0)
			return r;
	}
}

static void *run(void *arg)
{
	struct session *s = arg;

	/* Nobody is to take an image that was cut off for one that ended. */
	take_image(s, &s->error);
	s->feed_fd = fd_close(s->feed_fd);
	return NULL;
}

int intake_begin(struct session *s, struct ct_error *err)
{
	int fds[2], r;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return error_errno(err, -errno, "pipe");
	(void)fcntl(fds[1], F_SETPIPE_SZ, WIRE_PIPE);
	s->error = (struct ct_error){ 0 };
	s->image_fd = fds[0];
	s->feed_fd = fds[1];
	r = helper_thread_start(&s->thread, run, s);
	if (r < 0) {
		s->image_fd = fd_close(s->image_fd);
		s->feed_fd = fd_close(s->feed_fd);
		return error_errno(err, r, "start a thread");
	}
	s->began = true;
	return 0;
}

int intake_end(struct session *s)
{
	s->image_fd = fd_close(s->image_fd);
	if (s->began)
		pthread_join(s->thread, NULL);
	s->began = false;
	for (size_t i = 0; i < s->n_known; i++)
		free(s->known[i].path);
	free(take_ptr(s->known));
	s->n_known = 0;
	return s->error.code;
}
