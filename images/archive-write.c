// SPDX-License-Identifier: Apache-2.0
/* The order of members, small members, and the end. */
#include "images/writer-impl.h"

#include <archive.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "images/node.h"
#include "images/tar.h"
#include "libct/base/cleanup.h"

/* ---- errors and order ---- */

int writer_fail(struct archive_writer *w, struct ct_error *err, int code, const char *what)
{
	if (!w->error.code)
		error_errno(&w->error, code, "%s", what);
	return writer_check(w, err);
}

int writer_check(struct archive_writer *w, struct ct_error *err)
{
	return w->error.code ? error_set(err, w->error.code, "%s", w->error.text) : 0;
}

int writer_misuse(struct archive_writer *w, struct ct_error *err, const char *what)
{
	if (!w->error.code)
		error_set(&w->error, -EINVAL, "write the image: %s", what);
	return writer_check(w, err);
}

/* The group of files ends where another member begins: its row stands for all of it. */
static int close_files(struct archive_writer *w, struct ct_error *err)
{
	int r;

	if (!w->files_size)
		return 0;
	w->files_row = w->rows.n;
	r = rows_add(&w->rows, ROW_FILES, w->files_size, XXH3_64bits_digest(w->files_hash));
	w->files_size = 0;
	return r < 0 ? writer_fail(w, err, r, "write the image") : 0;
}

int writer_enter(struct archive_writer *w, enum writer_phase phase, struct ct_error *err)
{
	int r = writer_check(w, err);

	if (r < 0)
		return r;
	if (w->files_open)
		return writer_misuse(w, err, "the files are not ended");
	if (w->phase == WRITE_DONE)
		return writer_misuse(w, err, "it is finished");
	if ((w->phase == WRITE_MANIFEST) != (phase == WRITE_MANIFEST))
		return writer_misuse(
			w, err, phase == WRITE_MANIFEST ? "a second manifest" : "no manifest yet");
	if (phase < w->phase)
		return writer_misuse(w, err, "members out of order");
	if (phase > WRITE_FILES)
		r = close_files(w, err);
	w->phase = phase;
	return r;
}

int archive_writer_new(int fd, enum image_compress compress, int level, struct archive_writer **ret,
		       struct ct_error *err)
{
	struct archive_writer *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return error_set(err, -ENOMEM, "out of memory");
	w->compress = compress;
	w->level = level;
	w->mtime = (uint64_t)time(NULL);
	w->files_hash = XXH3_createState();
	r = w->files_hash ? sink_init(&w->sink, fd) : -ENOMEM;
	if (r < 0) {
		XXH3_freeState(w->files_hash);
		free(w);
		return error_errno(err, r, "write the image");
	}
	XXH3_64bits_reset(w->files_hash);
	*ret = w;
	return 0;
}

void archive_writer_free(struct archive_writer *w)
{
	if (!w)
		return;
	/* Nothing of an unfinished image is worth waiting for. */
	if (w->phase != WRITE_DONE)
		sink_stop(&w->sink);
	pages_writer_free(w);
	w->files_discard = true;
	archive_write_free(w->files);
	rows_release(&w->rows);
	sink_release(&w->sink);
	XXH3_freeState(w->files_hash);
	free(w);
}

void archive_writer_digest(const struct archive_writer *w, char ret[33])
{
	memcpy(ret, w->rows.digest, DIGEST_TEXT);
}

uint64_t archive_bytes_written(const struct archive_writer *w)
{
	return w->sink.offset;
}

uint64_t archive_pages_written(const struct archive_writer *w)
{
	return w->pages_written;
}

/* ---- small members ---- */

/* What a member of ours consists of: given twice, to be counted and to be written. */
struct body {
	const struct doc *doc; /* its text; NULL: `data` */
	const void *data;
	size_t len;
};

static int give(const struct body *b, int (*to)(void *context, const void *data, size_t len),
		void *context)
{
	return b->doc ? doc_write(b->doc, to, context, NULL) : to(context, b->data, b->len);
}

struct sum {
	XXH3_state_t *state;
	uint64_t len;
};

static int to_sum(void *context, const void *data, size_t len)
{
	struct sum *sum = context;

	XXH3_64bits_update(sum->state, data, len);
	sum->len += len;
	return 0;
}

static int to_sink(void *context, const void *data, size_t len)
{
	struct archive_writer *w = context;

	return sink_write(&w->sink, data, len);
}

static int count(const struct body *b, uint64_t *ret_len, uint64_t *ret_hash)
{
	struct sum sum = { XXH3_createState(), 0 };
	int r;

	if (!sum.state)
		return -ENOMEM;
	XXH3_64bits_reset(sum.state);
	r = give(b, to_sum, &sum);
	*ret_len = sum.len;
	*ret_hash = XXH3_64bits_digest(sum.state);
	XXH3_freeState(sum.state);
	return r;
}

/* A member of ours: head, data, padding. With `group` its bytes, no document's, count for the row of files. */
static int put_member(struct archive_writer *w, const char *name, const struct body *b, bool group,
		      struct ct_error *err)
{
	static const char zero[TAR_BLOCK];
	unsigned char head[3 * TAR_BLOCK];
	size_t head_len, pad;
	uint64_t hash, len;
	char text[32];
	int r = count(b, &len, &hash);

	if (r < 0)
		return writer_fail(w, err, r, "write the image");
	if (len > IMAGE_MANIFEST_MAX)
		return writer_misuse(w, err, "a member that is too big");
	pad = tar_padded(len) - len;
	snprintf(text, sizeof(text), "xxh3 %016" PRIx64, hash);
	head_len = tar_build_member(head, name, len, w->mtime, text, 0);
	if (group) {
		XXH3_64bits_update(w->files_hash, head, head_len);
		XXH3_64bits_update(w->files_hash, b->data, len);
		XXH3_64bits_update(w->files_hash, zero, pad);
		w->files_size += head_len + len + pad;
	}
	r = sink_write(&w->sink, head, head_len);
	if (r == 0)
		r = give(b, to_sink, w);
	if (r == 0)
		r = sink_write(&w->sink, zero, pad);
	if (r == 0 && !group)
		r = rows_add(&w->rows, name, len, hash);
	return r < 0 ? writer_fail(w, err, r, "write the image") : 0;
}

static int put(struct archive_writer *w, const char *name, const struct body *b, struct ct_error *err)
{
	bool manifest = !strcmp(name, "manifest.json");
	int r = writer_enter(w, manifest ? WRITE_MANIFEST : WRITE_FILES, err);

	if (r < 0)
		return r;
	if (!manifest && strncmp(name, "log/", 4) && strncmp(name, "rootfs/", 7))
		return writer_misuse(w, err, "a member of unknown name");
	if (strlen(name) > 80)
		return writer_misuse(w, err, "a member that is too big");
	r = put_member(w, name, b, !manifest, err);
	if (manifest && r == 0)
		w->phase = WRITE_FILES;
	return r;
}

int archive_put(struct archive_writer *w, const char *name, const void *data, size_t len,
		struct ct_error *err)
{
	return put(w, name, &(struct body){ NULL, data, len }, err);
}

int archive_put_manifest(struct archive_writer *w, const struct doc *doc, struct ct_error *err)
{
	int r = doc_check(doc, err);

	return r < 0 ? r : put(w, "manifest.json", &(struct body){ .doc = doc }, err);
}

/* ---- the end ---- */

int archive_finish(struct archive_writer *w, struct ct_error *err)
{
	static const char zero[TAR_END];
	cleanup_free char *text = NULL;
	size_t len;
	int r = writer_enter(w, WRITE_SHM, err);

	if (r == 0)
		r = pages_writer_finish(w, err);
	if (r == 0 && w->gap_size)
		r = writer_misuse(w, err, "the files were not filled in");
	if (r == 0)
		r = end_format(&w->rows, &text, &len, err);
	if (r == 0)
		r = put_member(w, "end.json", &(struct body){ NULL, text, len }, false, err);
	if (r < 0)
		return r;
	r = sink_write(&w->sink, zero, sizeof(zero));
	if (r == 0)
		r = sink_flush(&w->sink);
	if (r < 0)
		return writer_fail(w, err, r, "write the image");
	w->phase = WRITE_DONE;
	return 0;
}
