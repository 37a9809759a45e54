// SPDX-License-Identifier: Apache-2.0
/*
 * The group of ordinary files. We walk over the members' heads ourselves, so that it is us who
 * decide where the group ends, and hand libarchive exactly its bytes and an end of archive behind
 * them.
 */
#include "images/reader-impl.h"

#include <archive.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int files_begin(struct archive_reader *r)
{
	if (!r->buf)
		r->buf = malloc(READ_BUFFER);
	if (!r->files_hash)
		r->files_hash = XXH3_createState();
	if (!r->buf || !r->files_hash)
		return -ENOMEM;
	XXH3_64bits_reset(r->files_hash);
	r->files_size = 0;
	r->in_files = true;
	r->files_ended = false;
	r->data_left = 0;
	return 0;
}

/*
 * The next bytes of the group: 1, or 0 at its end (r->head then waits, as the next member's). They
 * stay where they are until the next call.
 */
static int next_bytes(struct archive_reader *r, const void **ret, size_t *ret_len,
		      struct ct_error *err)
{
	struct head *h = &r->head;
	size_t len;
	int e;

	if (r->files_ended)
		return 0;
	if (r->data_left) {
		len = r->data_left < READ_BUFFER ? (size_t)r->data_left : READ_BUFFER;
		e = source_read(&r->source, r->buf, len);
		if (e < 0)
			return read_failed(e, h->path, err);
		r->data_left -= len;
		*ret = r->buf;
		*ret_len = len;
	} else {
		e = head_read(r, err);
		if (e < 0)
			return e;
		if (!head_is_file(h)) {
			r->files_ended = true;
			return 0;
		}
		h->waiting = false;
		r->data_left = tar_padded(h->size);
		*ret = h->raw;
		*ret_len = h->raw_len;
	}
	XXH3_64bits_update(r->files_hash, *ret, *ret_len);
	r->files_size += *ret_len;
	return 1;
}

static la_ssize_t files_feed(struct archive *a, void *ctx, const void **ret)
{
	static const char zero[TAR_END];
	struct archive_reader *r = ctx;
	bool before = r->files_ended;
	size_t len;
	int e = next_bytes(r, ret, &len, &r->error);

	if (e < 0) {
		archive_set_error(a, -e, "%s", r->error.text);
		return -1;
	}
	if (e > 0)
		return (la_ssize_t)len;
	*ret = zero;
	return before ? 0 : (la_ssize_t)sizeof(zero);
}

int archive_files_read(struct archive_reader *r, struct archive **ret, struct ct_error *err)
{
	struct archive *a;

	if (r->error.code)
		return error_set(err, r->error.code, "%s", r->error.text);
	if (!r->in_files || r->files)
		return error_set(err, -EINVAL, "read the image: no files to read here");
	a = archive_read_new();
	if (!a)
		return error_set(err, -ENOMEM, "out of memory");
	r->files = a;
	if (archive_read_support_format_tar(a) != ARCHIVE_OK ||
	    archive_read_open(a, r, NULL, files_feed, NULL) != ARCHIVE_OK)
		return error_set(err, r->error.code ? r->error.code : -EBADMSG, "%s",
				 archive_error_string(a));
	*ret = a;
	return 0;
}

int files_finish(struct archive_reader *r, struct ct_error *err)
{
	const void *data;
	size_t len;
	int e;

	archive_read_free(r->files);
	r->files = NULL;
	do
		e = next_bytes(r, &data, &len, err);
	while (e > 0);
	r->in_files = false;
	if (e == 0)
		e = rows_add(&r->rows, ROW_FILES, r->files_size, XXH3_64bits_digest(r->files_hash));
	return e == -ENOMEM ? error_set(err, e, "out of memory") : e;
}
