// SPDX-License-Identifier: Apache-2.0
/* The order of members, the manifest and the end. */
#include "images/reader-impl.h"

#include <archive.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "images/chunk.h"
#include "images/node-impl.h"
#include "libct/base/cleanup.h"

/* Zeros that tar programs put behind the end to fill a record of 20 blocks. */
#define TRAILER_MAX (20 * TAR_BLOCK)

int archive_reader_new(int fd, struct archive_reader **ret, struct ct_error *err)
{
	struct archive_reader *r = calloc(1, sizeof(*r));
	int e;

	if (!r)
		return error_set(err, -ENOMEM, "out of memory");
	e = source_init(&r->source, fd);
	if (e < 0) {
		free(r);
		return error_errno(err, e, "read the image");
	}
	*ret = r;
	return 0;
}

void archive_reader_free(struct archive_reader *r)
{
	if (!r)
		return;
	source_stop(&r->source);
	pages_reader_free(r);
	archive_read_free(r->files);
	XXH3_freeState(r->files_hash);
	rows_release(&r->rows);
	source_release(&r->source);
	free(r->head.raw);
	free(r->manifest);
	free(r->buf);
	free(r);
}

void archive_reader_digest(const struct archive_reader *r, char ret[33])
{
	memcpy(ret, r->rows.digest, DIGEST_TEXT);
}

/* ---- small members of ours ---- */

/* The head's own text names the checksum of what follows; anything else is not ours. */
static int read_small(struct archive_reader *r, uint64_t max, char **ret, size_t *ret_len,
		      struct ct_error *err)
{
	const char *name = r->head.path;
	uint64_t size = r->head.size, len = 0, room = 0;
	cleanup_free char *data = NULL;
	unsigned char padding[TAR_BLOCK];
	char text[32];
	int e = head_check(&r->head, r->head.comment, 0, err);

	if (e < 0)
		return e;
	if (size > max)
		return error_set(err, -EBADMSG, "%s: %" PRIu64 " bytes are too many", name, size);
	while (len < size || !data) {
		uint64_t step = size - len < (1u << 20) + room ? size - len : (1u << 20) + room;
		char *grown = realloc(data, len + step + 1);

		if (!grown)
			return error_set(err, -ENOMEM, "out of memory");
		data = grown;
		room = len + step;
		e = source_read(&r->source, data + len, step);
		if (e < 0)
			return read_failed(e, name, err);
		len += step;
	}
	data[len] = '\0';
	e = source_read(&r->source, padding, tar_padded(len) - len);
	if (e < 0)
		return read_failed(e, name, err);
	snprintf(text, sizeof(text), "xxh3 %016" PRIx64, (uint64_t)XXH3_64bits(data, len));
	if (strcmp(text, r->head.comment))
		return error_set(err, -EBADMSG, "%s: checksum differs", name);
	for (uint64_t i = 0; i < tar_padded(len) - len; i++)
		if (padding[i])
			return error_set(err, -EBADMSG, "%s: bytes behind its data", name);
	r->head.waiting = false;
	*ret = take_ptr(data);
	*ret_len = len;
	return 0;
}

static int read_manifest(struct archive_reader *r, struct ct_error *err)
{
	int e;

	if (strcmp(r->head.path, "manifest.json"))
		return error_set(err, -EBADMSG, "not a podckpt image");
	e = read_small(r, IMAGE_MANIFEST_MAX, &r->manifest, &r->manifest_len, err);
	if (e == 0)
		e = rows_add(&r->rows, "manifest.json", r->manifest_len,
			     XXH3_64bits(r->manifest, r->manifest_len));
	return e;
}

/* Behind end.json: two zero blocks, perhaps more zeros, the end of the file. */
static int read_trailer(struct archive_reader *r, struct ct_error *err)
{
	unsigned char block[TAR_BLOCK];

	for (size_t n = 0;; n += TAR_BLOCK) {
		int e = source_read(&r->source, block, TAR_BLOCK);

		if (e == -ENODATA && n >= TAR_END && r->source.offset % TAR_BLOCK == 0)
			return 0;
		if (e == -ENODATA && n < TAR_END)
			return error_set(
				err, -EBADMSG,
				"the image ends before the end of the tar: it was cut off");
		if (e < 0 && e != -ENODATA)
			return read_failed(e, "", err);
		if (e == -ENODATA || n >= TRAILER_MAX || !tar_block_is_zero(block))
			return error_set(err, -EBADMSG, "bytes behind the end of the image");
	}
}

static int read_end(struct archive_reader *r, struct ct_error *err)
{
	cleanup_free char *text = NULL;
	size_t len;
	int e = read_small(r, end_size_max(&r->rows), &text, &len, err);

	if (e == 0)
		e = end_check(&r->rows, text, len, err);
	return e == 0 ? read_trailer(r, err) : e;
}

/* ---- the order ---- */

static int enter(struct archive_reader *r, enum reader_phase phase, struct ct_error *err)
{
	char clean[TAR_PATH_MAX];

	text_printable(clean, sizeof(clean), r->head.path, strlen(r->head.path));
	if (phase == READ_MANIFEST)
		return error_set(err, -EBADMSG, "%s: a member of unknown name", clean);
	if (phase < r->phase)
		return error_set(err, -EBADMSG, "%s: out of order", clean);
	r->phase = phase;
	return 0;
}

static enum reader_phase phase_of(const struct head *h)
{
	char space[SPACE_MAX];
	uint64_t number;

	if (!strcmp(h->path, "end.json"))
		return READ_DONE;
	if (head_is_file(h))
		return READ_FILES;
	if (chunk_name_parse(h->path, space, &number))
		return space[0] == 'm' ? READ_MEM : READ_SHM;
	return READ_MANIFEST;
}

/* The member whose head is waiting. */
static int begin_member(struct archive_reader *r, enum image_member *ret, struct ct_error *err)
{
	enum reader_phase phase = phase_of(&r->head);
	int e;

	if (r->phase == READ_MANIFEST) {
		e = read_manifest(r, err);
		*ret = IMAGE_MANIFEST;
		r->phase = READ_FILES;
		return e;
	}
	e = enter(r, phase, err);
	if (e < 0)
		return e;
	switch (phase) {
	case READ_FILES:
		*ret = IMAGE_FILES;
		return files_begin(r) < 0 ? error_set(err, -ENOMEM, "out of memory") : 0;
	case READ_MEM:
	case READ_SHM:
		*ret = IMAGE_PAGES;
		e = pages_start(r, err);
		if (e == 0)
			e = pages_next(r, err);
		return e < 0 ? e : 0;
	default:
		*ret = IMAGE_END;
		return read_end(r, err);
	}
}

static int next(struct archive_reader *r, enum image_member *ret, struct ct_error *err)
{
	int e = 0;

	if (r->pages) {
		e = pages_next(r, err);
		*ret = IMAGE_PAGES;
		if (e != 0)
			return e < 0 ? e : 0;
		pages_reader_free(r);
	}
	if (r->in_files)
		e = files_finish(r, err);
	if (e == 0)
		e = head_read(r, err);
	return e < 0 ? e : begin_member(r, ret, err);
}

int archive_next(struct archive_reader *r, enum image_member *ret, struct ct_error *err)
{
	int e;

	if (!r->error.code && r->phase == READ_DONE)
		return error_set(err, -EINVAL, "read the image: it was read to its end");
	if (!r->error.code) {
		e = next(r, ret, &r->error);
		if (e == 0)
			return 0;
		/* Sticky: what follows damage is not to be trusted. */
		if (!r->error.code)
			error_errno(&r->error, e, "read the image");
	}
	return error_set(err, r->error.code, "%s", r->error.text);
}

int archive_read_manifest(struct archive_reader *r, char **ret, size_t *ret_len,
			  struct ct_error *err)
{
	if (!r->manifest)
		return error_set(err, -EINVAL, "read the image: no manifest to read here");
	*ret = take_ptr(r->manifest);
	*ret_len = r->manifest_len;
	return 0;
}
