/* SPDX-License-Identifier: Apache-2.0 */
/* What archive-read.c, files-read.c and pages-read.c share; nobody else includes this. */
#pragma once
#include <xxhash.h>

#include "images/archive.h"
#include "images/rows.h"
#include "images/source.h"
#include "images/tar.h"
#include "libct/base/error.h"

struct pages_reader;

/* A member's head: everything in the tar before its data. */
struct head {
	unsigned char *raw; /* extended header, its records, ustar header, as they were */
	size_t raw_len, room;
	char path[TAR_PATH_MAX];
	char comment[TAR_PATH_MAX];
	size_t records; /* bytes of the extended header's records; 0: there is none */
	uint64_t size;
	uint64_t mtime;
	char type;
	bool waiting; /* read, but its member is not begun */
};

enum reader_phase { READ_MANIFEST, READ_FILES, READ_MEM, READ_SHM, READ_DONE };

struct archive_reader {
	struct source source;
	struct head head;
	enum reader_phase phase;
	struct rows rows;
	struct ct_error error; /* sticky */
	char *manifest;
	size_t manifest_len;
	/* The group of files that is being read. */
	bool in_files, files_ended;
	struct archive *files; /* libarchive's */
	XXH3_state_t *files_hash;
	uint64_t files_size;
	uint64_t data_left; /* of the current file, with padding */
	bool head_given;
	unsigned char *buf;
	struct pages_reader *pages;
};

#define READ_BUFFER (256u << 10)

/* Reads the next head into r->head unless one is waiting. -EBADMSG with words. */
int head_read(struct archive_reader *r, struct ct_error *err);
bool head_is_file(const struct head *h);
/* Whether a head of ours is to the byte what tar_build_member() makes. `text` as there. */
int head_check(const struct head *h, const char *text, size_t record, struct ct_error *err);
/* Words for a failed source_read(). */
int read_failed(int code, const char *member, struct ct_error *err);

/* Reads or skips what is left of the group, and adds its row. */
int files_begin(struct archive_reader *r);
int files_finish(struct archive_reader *r, struct ct_error *err);

/*
 * Begins at the waiting head of a chunk: from here until pages_next() returned 0, the source, the
 * head and the rows belong to the reading thread.
 */
int pages_start(struct archive_reader *r, struct ct_error *err);
/* Goes to the next chunk: 1; 0: no more, the waiting head is another member's. */
int pages_next(struct archive_reader *r, struct ct_error *err);
void pages_reader_free(struct archive_reader *r);
