// SPDX-License-Identifier: Apache-2.0
/* Members' heads, ours and libarchive's: read, bounded, checked. */
#include "images/reader-impl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "images/node-impl.h"

#define RECORDS_MAX (16u << 20) /* extended attributes are in there, 64 KB each at most */

int read_failed(int code, const char *member, struct ct_error *err)
{
	char clean[TAR_PATH_MAX];

	if (code == -ENODATA)
		return error_set(
			err, -EBADMSG,
			"the image ends before end.json: it was cut off or never finished");
	text_printable(clean, sizeof(clean), member, strlen(member));
	return error_errno(err, code, "read the image%s%s", clean[0] ? ": " : "", clean);
}

static int reserve(struct head *h, size_t len)
{
	unsigned char *grown;

	if (h->raw_len + len <= h->room)
		return 0;
	grown = realloc(h->raw, h->raw_len + len);
	if (!grown)
		return -ENOMEM;
	h->raw = grown;
	h->room = h->raw_len + len;
	return 0;
}

/* Appends `len` bytes of the source; grows with what really comes, not with what was promised. */
static int append(struct archive_reader *r, size_t len, struct ct_error *err)
{
	struct head *h = &r->head;

	while (len) {
		size_t piece = len < (1u << 20) ? len : 1u << 20;
		int e = reserve(h, piece);

		if (e == 0)
			e = source_read(&r->source, h->raw + h->raw_len, piece);
		if (e < 0)
			return read_failed(e, "", err);
		h->raw_len += piece;
		len -= piece;
	}
	return 0;
}

/* The block that was appended last; its address changes with the next append. */
static const struct tar_block *last_block(const struct head *h)
{
	return (const struct tar_block *)(h->raw + h->raw_len - TAR_BLOCK);
}

static int next_block(struct archive_reader *r, struct ct_error *err)
{
	bool first = r->source.offset == 0;
	int e = append(r, TAR_BLOCK, err);

	if (first && (e == -EBADMSG || (e == 0 && !tar_block_valid(last_block(&r->head)))))
		return error_set(err, -EBADMSG, "not a podckpt image");
	if (e < 0)
		return e;
	if (tar_block_is_zero(last_block(&r->head)))
		return read_failed(-ENODATA, "", err);
	if (!tar_block_valid(last_block(&r->head)))
		return error_set(err, -EBADMSG, "a damaged tar header at byte %" PRIu64,
				 r->source.offset - TAR_BLOCK);
	return 0;
}

static int damaged(const struct head *h, const char *what, struct ct_error *err)
{
	char clean[TAR_PATH_MAX];

	text_printable(clean, sizeof(clean), h->path, strlen(h->path));
	return error_set(err, -EBADMSG, "%s: %s", clean, what);
}

static int read_records(struct archive_reader *r, struct tar_records *records, struct ct_error *err)
{
	struct head *h = &r->head;
	uint64_t size;
	int e;

	if (!tar_number(last_block(h)->size, sizeof(last_block(h)->size), &size) || !size ||
	    size > RECORDS_MAX)
		return damaged(h, "an extended tar header of wrong size", err);
	e = append(r, tar_padded(size), err);
	if (e < 0)
		return e;
	if (!tar_parse_records((char *)h->raw + TAR_BLOCK, size, records))
		return damaged(h, "a damaged extended tar header", err);
	h->records = size;
	return next_block(r, err);
}

int head_read(struct archive_reader *r, struct ct_error *err)
{
	struct tar_records records = { 0 };
	struct head *h = &r->head;
	const struct tar_block *b;
	int e;

	if (h->waiting)
		return 0;
	h->raw_len = 0;
	h->records = 0;
	e = next_block(r, err);
	if (e < 0)
		return e;
	tar_block_path(last_block(h), h->path);
	if (last_block(h)->type == TAR_EXTENDED) {
		e = read_records(r, &records, err);
		if (e < 0)
			return e;
	}
	b = last_block(h);
	if (records.path[0])
		memcpy(h->path, records.path, sizeof(h->path));
	else
		tar_block_path(b, h->path);
	memcpy(h->comment, records.comment, sizeof(h->comment));
	h->type = b->type;
	if (h->type < '0' || h->type > '6')
		return damaged(h, "a tar member of unknown type", err);
	h->size = records.size;
	if (!tar_number(b->mtime, sizeof(b->mtime), &h->mtime))
		h->mtime = 0;
	if (!records.has_size && !tar_number(b->size, sizeof(b->size), &h->size))
		return damaged(h, "a tar member of unknown size", err);
	if (h->size > INT64_MAX || (h->size && h->type != TAR_FILE))
		return damaged(h, "a tar member of wrong size", err);
	h->waiting = true;
	return 0;
}

bool head_is_file(const struct head *h)
{
	return !strncmp(h->path, "rootfs/", 7) || !strncmp(h->path, "log/", 4);
}

int head_check(const struct head *h, const char *text, size_t record, struct ct_error *err)
{
	unsigned char expected[2 * TAR_BLOCK + 4096];

	if (strlen(h->path) > 80 || record > 4096 || tar_member_size(text, record) != h->raw_len ||
	    tar_build_member(expected, h->path, h->size, h->mtime, text, record) != h->raw_len ||
	    memcmp(expected, h->raw, h->raw_len))
		return damaged(h, "its tar header is not one of ours", err);
	return 0;
}
