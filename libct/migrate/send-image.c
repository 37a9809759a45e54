/* SPDX-License-Identifier: Apache-2.0 */
/* The image as it goes out: into frames, without the files that the other host has. */
#include <endian.h>
#include <fcntl.h>
#include <string.h>

#include "images/pipeline.h"
#include "images/relay.h"
#include "libct/base/error.h"
#include "libct/migrate/send.h"

#define ANSWER_TIMEOUT_MS 120000
#define BATCH 200 /* files in one question: it stays below WIRE_PAYLOAD_MAX with the longest of paths */

DEFINE_CLEANUP(struct doc *, doc_free)

/* Where the other side gave up it has said why, perhaps before we noticed. */
static int put_frame(struct sender *s, enum wire_type type, const void *data, size_t len,
		struct ct_error *err)
{
	struct wire *w = &s->t.wire;
	int r = wire_pending(w) ? -EPIPE : wire_send(w, type, data, len, err);

	if (r != -EPIPE)
		return r;
	r = message_recv(w, ANSWER_TIMEOUT_MS, WIRE_FAILED, 0, NULL, err);
	return transport_explain(&s->t, r < 0 ? r : -EPROTO, err);
}

static int on_data(void *context, const void *data, size_t len, struct ct_error *err)
{
	struct sender *s = context;

	s->stats.image_bytes += len;
	if (s->remote->progress)
		s->remote->progress(s->remote->context,
				    &(struct ct_progress){ "send", s->stats.image_bytes, s->total });
	return put_frame(s, WIRE_DATA, data, len, err);
}

static struct sent_file *find(struct sender *s, const char *member)
{
	for (size_t i = 0; i < s->n_files; i++)
		if (!strcmp(s->files[i].member, member))
			return &s->files[i];
	return NULL;
}

static int on_file(void *context, const char *member, uint64_t size, struct ct_error *err)
{
	struct sender *s = context;
	struct sent_file *f;
	uint32_t index;
	int r;

	if (strncmp(member, "rootfs/embedded/", 16))
		return 0;
	f = find(s, member);
	if (!f || !f->have || f->size != size)
		return 0;
	index = htole32((uint32_t)(f - s->files));
	r = put_frame(s, WIRE_FILE, &index, sizeof(index), err);
	if (r < 0)
		return r;
	s->stats.n_files_left_out++;
	s->stats.bytes_left_out += size;
	return 1;
}

static int ask(struct sender *s, const struct doc *question, struct ct_error *err)
{
	__cleanup(doc_free_cleanup) struct doc *answer = NULL;
	const struct node *have;
	int r = message_send(&s->t.wire, WIRE_HAVE, question, err);

	if (r == 0 || r == -EPIPE)
		r = message_recv(&s->t.wire, ANSWER_TIMEOUT_MS, WIRE_HAD, 0, &answer, err);
	if (r < 0)
		return transport_explain(&s->t, r, err);
	have = node_array(doc_root(answer), "have");
	for (size_t i = 0; i < node_count(have); i++) {
		uint64_t index = node_at_u64(have, i, s->n_files - 1);

		if (index < s->n_files)
			s->files[index].have = true;
	}
	return doc_check(answer, err);
}

static int add_file(struct sender *s, const struct node *file, struct node *question,
		    struct ct_error *err)
{
	struct node *n = node_put_object(question, NULL);
	struct sent_file *f = &s->files[s->n_files];
	uint64_t tree = node_u64(file, "tree", UINT32_MAX);

	f->size = node_u64(file, "size", INT64_MAX);
	if (asprintf(&f->member, "rootfs/embedded/%u/%s", (unsigned int)tree, node_str(file, "path")) < 0) {
		f->member = NULL;
		return error_errno(err, -ENOMEM, "migration");
	}
	node_put_u64(n, "tree", tree);
	node_put_str(n, "path", node_str(file, "path"));
	node_put_u64(n, "size", f->size);
	node_put_hex(n, "digest", node_hex(file, "digest"));
	s->n_files++;
	return 0;
}

/* Which of the files in the image has the other host? */
static int on_manifest(void *context, const char *text, size_t len, struct ct_error *err)
{
	__cleanup(doc_free_cleanup) struct doc *doc = NULL;
	struct sender *s = context;
	const struct node *list;
	size_t n;
	int r = doc_parse(text, len, &doc, err);

	if (r < 0)
		return r;
	list = node_array(doc_root(doc), "embedded");
	n = node_count(list);
	s->files = calloc(n + 1, sizeof(*s->files));
	if (!s->files)
		return error_errno(err, -ENOMEM, "migration");
	for (size_t i = 0; r == 0 && i < n;) {
		__cleanup(doc_free_cleanup) struct doc *question = doc_new();
		struct node *files = question ? node_put_array(doc_root(question), "files") : NULL;

		for (size_t end = i + BATCH; r == 0 && i < n && i < end; i++)
			r = add_file(s, node_at(list, i), files, err);
		if (r == 0)
			r = ask(s, question, err);
	}
	return r < 0 ? r : doc_check(doc, err);
}

static void *run(void *arg)
{
	static const struct relay_ops ops = { on_manifest, on_data, on_file };
	struct sender *s = arg;
	int r = archive_relay(s->image_fd, &ops, s, s->digest, &s->error);

	if (r == 0)
		put_frame(s, WIRE_END, NULL, 0, &s->error);
	/* Whoever writes the image is to learn that nobody reads it. */
	s->image_fd = fd_close(s->image_fd);
	return NULL;
}

void sender_forget_files(struct sender *s)
{
	for (size_t i = 0; i < s->n_files; i++)
		free(s->files[i].member);
	free(take_ptr(s->files));
	s->n_files = 0;
}

int sender_image_begin(struct sender *s, int fd, struct ct_error *err)
{
	int r;

	sender_forget_files(s);
	s->error = (struct ct_error){ 0 };
	s->image_fd = fd;
	r = helper_thread_start(&s->thread, run, s);
	if (r < 0) {
		s->image_fd = fd_close(s->image_fd);
		return error_errno(err, r, "start a thread");
	}
	s->began = true;
	return 0;
}

int sender_image_end(struct sender *s, struct ct_error *err)
{
	if (s->began)
		pthread_join(s->thread, NULL);
	s->began = false;
	return s->error.code < 0 ? error_lines(err, s->error.code, s->error.text) : 0;
}
