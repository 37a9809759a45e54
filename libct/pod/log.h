/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log of a pod: records of a tag byte (1 stdout, 2 stderr), a 32-bit little-endian length and
 * as many bytes.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct ct_error;

#define LOG_HEAD 5

void log_head_put(uint8_t head[LOG_HEAD], uint8_t tag, uint32_t len);
/* False: not a record's head. */
bool log_head_get(const uint8_t head[LOG_HEAD], uint8_t *ret_tag, uint32_t *ret_len);

/* Where the last whole record ends: less than the file's size after a writer was killed. Negative errno. */
int64_t log_whole_size(int fd);

/* Reads a log from `offset` on; `end` is where to stop at the latest (INT64_MAX: where it ends by then). */
struct log_reader {
	int fd; /* not owned, its position is not used */
	int64_t offset, end;
	uint8_t tag;   /* of the record we are within */
	uint32_t left; /* bytes of it to come */
};

/*
 * The next bytes of output, of one stream: their count, 0 where no whole record follows (a follower
 * asks again later), or a negative errno.
 */
ssize_t log_read(struct log_reader *reader, void *buf, size_t size, uint8_t *ret_tag);

/* Writes what follows by now, stdout's to `out_fd` and stderr's to `err_fd`. */
int log_copy(struct log_reader *reader, int out_fd, int err_fd, struct ct_error *err);
