/* SPDX-License-Identifier: Apache-2.0 */
/* Where an image is written to: any descriptor, in order; page data past the page cache. */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct sink {
	int fd;		/* the caller's */
	int direct;	/* the same file, opened again with O_DIRECT; -1: not possible */
	int stop;	/* an eventfd that ends a write to a pipe whose reader sleeps */
	int file;	/* a regular file */
	uint64_t base;	/* of the image within that file */
	/* Page data that was written through the cache and is not dropped from it yet. */
	uint64_t start, flushed;
	_Atomic uint64_t offset; /* bytes given so far */
	unsigned char *buf;
	size_t used;
};

int sink_init(struct sink *s, int fd);
void sink_release(struct sink *s);

/* Makes a sink_write() that waits for a pipe's reader return -ECANCELED. From any thread. */
void sink_stop(struct sink *s);

/* Small pieces are gathered. 0 or a negative errno, as for the other two. */
int sink_write(struct sink *s, const void *data, size_t len);
int sink_flush(struct sink *s);
/* Page data, from memory aligned to IMAGE_PAGE. */
int sink_write_pages(struct sink *s, const void *data, size_t len);

/* Leaves room, in a regular file only (else -EOPNOTSUPP), and fills it; the latter from any thread. */
int sink_skip(struct sink *s, uint64_t len);
int sink_write_at(struct sink *s, const void *data, size_t len, uint64_t offset);
