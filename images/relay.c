/* SPDX-License-Identifier: Apache-2.0 */
#include "images/relay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "images/chunk.h"
#include "images/node.h"
#include "images/reader-impl.h"
#include "libct/base/cleanup.h"
#include "libct/base/io.h"

#define END_MAX (256u << 20)

DEFINE_CLEANUP(struct doc *, doc_free)
DEFINE_CLEANUP(struct archive_reader *, archive_reader_free)

struct relay {
	struct archive_reader *r;
	const struct relay_ops *ops;
	void *context;
	char *buf; /* RELAY_PIECE */
};

static int pass(struct relay *x, uint64_t len, bool drop, struct ct_error *err)
{
	while (len) {
		size_t piece = len < RELAY_PIECE ? (size_t)len : RELAY_PIECE;
		int e = source_read(&x->r->source, x->buf, piece);

		if (e < 0)
			return read_failed(e, x->r->head.path, err);
		e = drop ? 0 : x->ops->data(x->context, x->buf, piece, err);
		if (e < 0)
			return e;
		len -= piece;
	}
	return 0;
}

/* A small member as a whole; its text is the caller's. */
static int take(struct relay *x, uint64_t max, char **ret, size_t *ret_len, struct ct_error *err)
{
	uint64_t size = x->r->head.size, len = 0;
	cleanup_free char *text = NULL;

	if (size > max)
		return error_set(err, -EBADMSG, "%s: too big", x->r->head.path);
	/* Grows with what really comes. */
	do {
		uint64_t step = size - len < len + (1 << 20) ? size - len : len + (1 << 20);
		char *grown = realloc(text, len + step + 1);
		int e;

		if (!grown)
			return error_set(err, -ENOMEM, "out of memory");
		text = grown;
		e = source_read(&x->r->source, text + len, step);
		if (e < 0)
			return read_failed(e, x->r->head.path, err);
		len += step;
	} while (len < size);
	text[len] = '\0';
	*ret_len = len;
	*ret = take_ptr(text);
	return 0;
}

static int pass_text(struct relay *x, const char *text, size_t len, struct ct_error *err)
{
	int e = x->ops->data(x->context, x->r->head.raw, x->r->head.raw_len, err);

	while (e == 0 && len) {
		size_t piece = len < RELAY_PIECE ? len : RELAY_PIECE;

		e = x->ops->data(x->context, text, piece, err);
		text += piece;
		len -= piece;
	}
	return e < 0 ? e : pass(x, tar_padded(x->r->head.size) - x->r->head.size, false, err);
}

static int relay_manifest(struct relay *x, struct ct_error *err)
{
	cleanup_free char *text = NULL;
	size_t len = 0;
	int e = head_read(x->r, err);

	if (e == 0 && strcmp(x->r->head.path, "manifest.json"))
		e = error_set(err, -EBADMSG, "not a podckpt image");
	if (e == 0)
		e = take(x, IMAGE_MANIFEST_MAX, &text, &len, err);
	if (e == 0)
		e = x->ops->manifest(x->context, text, len, err);
	return e < 0 ? e : pass_text(x, text, len, err);
}

static int relay_end(struct relay *x, char digest[33], struct ct_error *err)
{
	__cleanup(doc_free_cleanup) struct doc *doc = NULL;
	cleanup_free char *text = NULL;
	const char *found = "";
	size_t len = 0;
	int e = take(x, END_MAX, &text, &len, err);

	if (e == 0)
		e = doc_parse(text, len, &doc, err);
	if (e == 0)
		found = node_str(doc_root(doc), "digest");
	if (e == 0)
		e = doc_check(doc, err);
	if (e == 0 && strlen(found) != 32)
		e = error_set(err, -EBADMSG, "end.json: no digest");
	if (e < 0)
		return e;
	memcpy(digest, found, 33);
	e = pass_text(x, text, len, err);
	/* The end of the tar. */
	while (e == 0) {
		e = source_read(&x->r->source, x->buf, TAR_BLOCK);
		if (e == -ENODATA)
			return 0;
		e = e < 0 ? read_failed(e, "", err)
			  : x->ops->data(x->context, x->buf, TAR_BLOCK, err);
	}
	return e;
}

/* ---- how much is it ---- */

static bool read_at(int fd, uint64_t at, void *data, size_t len)
{
	return io_pread_exact(fd, data, len, (off_t)at) == 0;
}

int archive_measure(int fd, struct relay_sizes *ret, struct ct_error *err)
{
	struct relay_sizes sizes = { 0 };
	struct tar_block block;
	uint64_t at = 0, size;

	while (read_at(fd, at, &block, sizeof(block)) && tar_block_valid(&block)) {
		struct chunk_header chunk;
		char path[TAR_PATH_MAX];

		if (!tar_number(block.size, sizeof(block.size), &size) || size > INT64_MAX / 2)
			return error_set(err, -EBADMSG, "a tar member of unknown size");
		tar_block_path(&block, path);
		at += TAR_BLOCK;
		if (block.type == TAR_FILE && (!strncmp(path, "mem/", 4) || !strncmp(path, "shm/", 4))) {
			if (read_at(fd, at, &chunk, sizeof(chunk)) && chunk.pages <= CHUNK_PAGES_MAX)
				sizes.pages += chunk.pages * IMAGE_PAGE;
		} else if (block.type == TAR_FILE && strncmp(path, "rootfs/embedded/", 16)) {
			sizes.files += size;
		}
		at += tar_padded(size);
	}
	*ret = sizes;
	return 0;
}

/* `data` takes a piece at most: heads with big extended attributes are longer. */
static int pass_head(struct relay *x, struct ct_error *err)
{
	const struct head *h = &x->r->head;
	int e = 0;

	for (size_t at = 0; e == 0 && at < h->raw_len; at += RELAY_PIECE)
		e = x->ops->data(x->context, h->raw + at,
				 h->raw_len - at < RELAY_PIECE ? h->raw_len - at : RELAY_PIECE, err);
	return e;
}

static int relay_member(struct relay *x, struct ct_error *err)
{
	const struct head *h = &x->r->head;
	int e = pass_head(x, err), left_out = 0;

	if (e == 0 && h->type == TAR_FILE && h->size)
		e = left_out = x->ops->file(x->context, h->path, h->size, err);
	if (e >= 0)
		e = pass(x, h->size, left_out > 0, err);
	return e < 0 ? e : pass(x, tar_padded(h->size) - h->size, false, err);
}

int archive_relay(int fd, const struct relay_ops *ops, void *context, char ret_digest[33],
		  struct ct_error *err)
{
	__cleanup(archive_reader_free_cleanup) struct archive_reader *r = NULL;
	cleanup_free char *buf = malloc(RELAY_PIECE);
	struct relay x = { .ops = ops, .context = context, .buf = buf };
	int e = buf ? archive_reader_new(fd, &r, err) : error_set(err, -ENOMEM, "out of memory");

	if (e < 0)
		return e;
	x.r = r;
	e = relay_manifest(&x, err);
	while (e == 0) {
		r->head.waiting = false;
		e = head_read(r, err);
		if (e == 0 && !strcmp(r->head.path, "end.json"))
			return relay_end(&x, ret_digest, err);
		if (e == 0)
			e = relay_member(&x, err);
	}
	return e;
}
