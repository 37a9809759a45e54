/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rings of asynchronous I/O (man 2 io_setup). In the manifest each is an area with an object "aio"; its bytes are among
 * the pages of its process.
 */
#pragma once
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>

struct ct_error;
struct dump_process;
struct node;
struct restore_area;
struct restore_process;
struct vma;

/* A context as the kernel has it. */
struct aio_context {
	uint64_t ring, size; /* where it is mapped */
	uint32_t requests;   /* that io_setup() was asked for */
	uint32_t tail;	     /* of the ring: where the next event goes */
	uint32_t unread;     /* events in it */
	uint64_t under_way;  /* requests */
	bool polls;	     /* among them, such as wait for something to happen */
	bool ending;	     /* io_destroy() */
};

#define AIO_EVENTS_PER_PAGE (4096 / 32)
#define AIO_SPARE 3 /* the ring's head is as large as an event, and two are never used */
#define AIO_NO_ROOM                                                                                \
	"asynchronous I/O (io_setup) of %" PRIu64                                                  \
	" requests is more than this host has left; raise the sysctl fs.aio-max-nr"

/* What all contexts of a pod take of a host. */
struct aio_needs {
	uint64_t requests; /* sum */
	uint64_t pages;	   /* of the smallest ring; 0: there are none */
};
/* Adds those of the "processes" of a manifest. */
void aio_needs_add(struct aio_needs *needs, const struct node *processes);
/* In an offer to another host ("aio"), and those of an offer added. */
void aio_needs_put(const struct aio_needs *needs, struct node *offer);
void aio_needs_get(struct aio_needs *needs, const struct node *offer);
/* -ENOSYS with words: this host makes no ring so small, or has not so many requests left (sysctl fs.aio-max-nr). */
int aio_check_host(const struct aio_needs *needs, struct ct_error *err);
/* The pages of the ring that this host makes for a number of requests. */
uint64_t aio_pages(uint64_t requests);

/* In the first bytes of a ring is its number in a table of the kernel's. */
#define AIO_NUMBER_SIZE 4

bool aio_is_ring(const struct vma *v);
/* The context of a ring that ends at `end`; NULL: it has none, and was refused by the kind's process_check. */
const struct aio_context *aio_find(const struct dump_process *p, const struct vma *v, uint64_t end);
void aio_put(const struct aio_context *c, struct node *n);

/* Reads "aio" of an area, which is otherwise there already. */
void aio_parse(const struct node *n, struct restore_area *a);
/* Makes the context, its ring in its place, and in the ring as many events as there were. Runs the tape. */
int aio_restore(struct restore_process *p, const struct restore_area *a, struct ct_error *err);
/* Writes pages of the ring, but for its number. */
int aio_fill(const struct restore_process *p, const struct restore_area *a, uint64_t at, const char *data,
	     uint64_t len);
