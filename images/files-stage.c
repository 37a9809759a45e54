// SPDX-License-Identifier: Apache-2.0
/* Files in pieces, which find their place in the image later. */
#include "images/writer-impl.h"

#include <archive_entry.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libct/base/cleanup.h"
#include "libct/base/io.h"

#define BUFFER (1u << 20)

struct archive_stage {
	int fd;
	struct archive *files;
	uint64_t at, begun; /* bytes so far; where the piece under way begins */
	unsigned char *buf; /* the last bytes, not written yet */
	size_t used;
	int error;
	bool discard;
};

static int stage_flush(struct archive_stage *s)
{
	int r = io_write_all(s->fd, s->buf, s->used);

	s->used = 0;
	s->error = s->error ? s->error : r;
	return s->error;
}

static la_ssize_t stage_write(struct archive *a, void *context, const void *data, size_t len)
{
	struct archive_stage *s = context;

	if (s->discard)
		return (la_ssize_t)len;
	if (!s->error && len > BUFFER - s->used)
		stage_flush(s);
	if (!s->error && len >= BUFFER) {
		s->error = io_write_all(s->fd, data, len);
	} else if (!s->error) {
		memcpy(s->buf + s->used, data, len);
		s->used += len;
	}
	if (s->error) {
		archive_set_error(a, -s->error, "%s", strerror(-s->error));
		return -1;
	}
	s->at += len;
	return (la_ssize_t)len;
}

int archive_stage_new(int fd, struct archive_stage **ret, struct archive **ret_archive,
		      struct ct_error *err)
{
	struct archive_stage *s = calloc(1, sizeof(*s));

	if (!s)
		return error_errno(err, -ENOMEM, "files");
	s->fd = -1;
	s->buf = malloc(BUFFER);
	s->files = files_new(s, stage_write);
	if (!s->buf || !s->files) {
		archive_stage_free(s);
		return error_errno(err, -ENOMEM, "files");
	}
	s->fd = fd;
	*ret = s;
	*ret_archive = s->files;
	return 0;
}

void archive_stage_free(struct archive_stage *s)
{
	if (!s)
		return;
	s->discard = true;
	archive_write_free(s->files);
	free(s->buf);
	fd_close(s->fd);
	free(s);
}

int archive_stage_check(const struct archive_stage *s, struct ct_error *err)
{
	return s->error ? error_errno(err, s->error, "keep files until they are in the image") : 0;
}

int archive_stage_entry(struct archive_stage *s, struct archive_entry *entry, struct ct_error *err)
{
	int r = archive_stage_check(s, err);

	if (r < 0)
		return r;
	if (!files_path_valid(archive_entry_pathname(entry)))
		return error_set(err, -EINVAL, "write the image: outside of rootfs/ and log/");
	/* One that failed in the middle still has to be filled up. */
	(void)archive_write_finish_entry(s->files);
	s->begun = s->at;
	return files_put_entry(s->files, entry, err);
}

int archive_stage_end(struct archive_stage *s, struct archive_piece *ret, struct ct_error *err)
{
	int r = archive_write_finish_entry(s->files) == ARCHIVE_OK ? 0 : -EIO;

	if (s->error)
		return archive_stage_check(s, err);
	if (r < 0)
		return error_set(err, r, "write the image: %s", archive_error_string(s->files));
	*ret = (struct archive_piece){ s->begun, s->at - s->begun };
	return 0;
}

int archive_files_gap(struct archive_writer *w, uint64_t size, struct ct_error *err)
{
	int r = writer_enter(w, WRITE_FILES, err);

	if (r < 0)
		return r;
	if (w->files_size || w->gap_size)
		return writer_misuse(w, err, "files already");
	w->gap_at = w->sink.offset;
	r = sink_skip(&w->sink, size);
	if (r == -EOPNOTSUPP)
		return error_errno(err, r, "leave room for files");
	if (r < 0)
		return writer_fail(w, err, r, "write the image");
	w->files_size = w->gap_size = size;
	return 0;
}

static int fill(struct archive_writer *w, struct archive_stage *s, const struct archive_piece *pieces,
		size_t n, void *buf)
{
	uint64_t to = w->gap_at;
	int r = stage_flush(s);

	for (size_t i = 0; r == 0 && i < n; i++) {
		uint64_t from = pieces[i].at, end = from + pieces[i].size;

		/* Neighbours are copied at once. */
		while (i + 1 < n && pieces[i + 1].at == end)
			end += pieces[++i].size;
		while (r == 0 && from < end) {
			size_t len = end - from < BUFFER ? end - from : BUFFER;

			r = io_pread_exact(s->fd, buf, len, (off_t)from);
			if (r == 0 && to + len > w->gap_at + w->gap_size)
				r = -EINVAL;
			if (r == 0)
				r = sink_write_at(&w->sink, buf, len, to);
			XXH3_64bits_update(w->files_hash, buf, len);
			from += len;
			to += len;
		}
	}
	return r == 0 && to != w->gap_at + w->gap_size ? -EINVAL : r;
}

int archive_files_fill(struct archive_writer *w, struct archive_stage *s,
		       const struct archive_piece *pieces, size_t n, struct ct_error *err)
{
	cleanup_free void *buf = malloc(BUFFER);
	int r = writer_enter(w, WRITE_SHM, err);

	if (r < 0)
		return r;
	if (!buf)
		return writer_fail(w, err, -ENOMEM, "write the image");
	/* Its row is the list's that the writing thread adds to. */
	r = pages_writer_finish(w, err);
	if (r < 0)
		return r;
	r = fill(w, s, pieces, n, buf);
	if (r < 0)
		return writer_fail(w, err, r, "write the image");
	w->rows.row[w->files_row].xxh3 = XXH3_64bits_digest(w->files_hash);
	w->gap_size = 0;
	return 0;
}
