/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An image on its way through us, byte by byte as it is, told apart just so far that the contents of
 * ordinary files can be left out where the receiver has them. Nothing is checked here: the receiver
 * reads an image, and checks it to its end.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct ct_error;

#define RELAY_PIECE (512u << 10) /* bytes handed over at once at most */

/* Each returns a negative errno, with words, to end the relay. */
struct relay_ops {
	/* Called once, before any byte of the image. */
	int (*manifest)(void *context, const char *text, size_t len, struct ct_error *err);
	int (*data)(void *context, const void *data, size_t len, struct ct_error *err);
	/* An ordinary file of `size` bytes comes: 1, its contents are left out; 0, they come as data. */
	int (*file)(void *context, const char *member, uint64_t size, struct ct_error *err);
};

/* Roughly what an image unpacks to. */
struct relay_sizes {
	uint64_t files, pages; /* bytes */
};

/* Of an image in a regular file: walks over its heads. The descriptor's offset is left alone. */
int archive_measure(int fd, struct relay_sizes *ret, struct ct_error *err);

/*
 * Reads the image from `fd` to its end; `ret_digest` becomes what end.json says. -EBADMSG: it is cut
 * off or no image.
 */
int archive_relay(int fd, const struct relay_ops *ops, void *context, char ret_digest[33],
		  struct ct_error *err);
