/* SPDX-License-Identifier: Apache-2.0 */
/* What archive-write.c and pages-write.c share; nobody else includes this. */
#pragma once
#include <archive.h>
#include <pthread.h>
#include <xxhash.h>

#include "images/archive.h"
#include "images/chunk.h"
#include "images/pipeline.h"
#include "images/rows.h"
#include "images/sink.h"
#include "libct/base/error.h"

/* The order of members; going back is refused. */
enum writer_phase { WRITE_MANIFEST, WRITE_FILES, WRITE_MEM, WRITE_SHM, WRITE_DONE };

struct pages_writer;

struct archive_writer {
	struct sink sink;
	enum image_compress compress;
	int level;
	uint64_t mtime; /* of our own members: when the writing began */
	enum writer_phase phase;
	bool files_open;
	struct archive *files; /* libarchive's, between files_begin and files_end */
	bool files_discard;    /* what libarchive writes now is not ours to keep */
	XXH3_state_t *files_hash;
	uint64_t files_size;
	size_t files_row; /* of the group in `rows`, from the first member behind it on */
	/* Where a group goes that is filled in later: files-stage.c. */
	uint64_t gap_at, gap_size;
	struct rows rows;
	struct ct_error error; /* sticky; the writing thread's go through pages_writer */
	struct pages_writer *pages;
	_Atomic uint64_t pages_written;
};

/* Records the first error; returns it, with the words, in `err`. */
int writer_fail(struct archive_writer *w, struct ct_error *err, int code, const char *what);
/* The same for -EINVAL: the caller's calls make no sense. */
int writer_misuse(struct archive_writer *w, struct ct_error *err, const char *what);
/* 0, or the recorded error. */
int writer_check(struct archive_writer *w, struct ct_error *err);
/* Goes forward to `phase`; -EINVAL where that would be back. */
int writer_enter(struct archive_writer *w, enum writer_phase phase, struct ct_error *err);

/* Waits until every chunk is written and ends the threads. 0 or the first error of any of them. */
int pages_writer_finish(struct archive_writer *w, struct ct_error *err);
void pages_writer_free(struct archive_writer *w);

/* ---- files-write.c ---- */

typedef la_ssize_t (*files_write_fn)(struct archive *a, void *context, const void *data, size_t len);
/* libarchive's writer of our kind of tar; NULL: no memory. */
struct archive *files_new(void *context, files_write_fn write);
/* The contract of archive_files_entry(). */
int files_put_entry(struct archive *a, struct archive_entry *entry, struct ct_error *err);
bool files_path_valid(const char *path);
