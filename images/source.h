/* SPDX-License-Identifier: Apache-2.0 */
/* Where an image is read from: any descriptor, in one pass. One thread at a time. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct source {
	int fd; /* the caller's */
	int direct; /* the same file, read past the page cache; -1: not */
	int stop;
	bool file; /* a regular file: reads do not wait for anybody */
	uint64_t at; /* of a regular file: what is read next */
	uint64_t offset; /* of what was handed out */
	unsigned char *buf;
	size_t pos, len;
};

int source_init(struct source *s, int fd);
void source_release(struct source *s);

/* Makes a read that waits for a pipe's writer return -ECANCELED. From any thread. */
void source_stop(struct source *s);

/* Exactly `len` bytes; -ENODATA where the end comes before all of them. */
int source_read(struct source *s, void *data, size_t len);
