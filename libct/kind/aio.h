/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rings of asynchronous I/O (man 2 io_setup). In the manifest each is an area with an object "aio"; its bytes are among
 * the pages of its process.
 */
#pragma once
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

/* In the first bytes of a ring is its number in a table of the kernel's. */
#define AIO_NUMBER_SIZE 4

bool aio_is_ring(const struct vma *v);
/* The context of a ring that ends at `end`; NULL: it has none, and was refused by the kind's process_check. */
const struct aio_context *aio_find(const struct dump_process *p, const struct vma *v, uint64_t end);
void aio_put(const struct aio_context *c, struct node *n);

/* Reads "aio" of an area, which is otherwise there already. */
void aio_parse(const struct node *n, struct restore_area *a);
/* -ENOSYS with words: this host makes no ring of its size. */
int aio_check_area(const struct restore_area *a, struct ct_error *err);
/* Makes the context, its ring in its place, and in the ring as many events as there were. Runs the tape. */
int aio_restore(struct restore_process *p, const struct restore_area *a, struct ct_error *err);
/* Writes pages of the ring, but for its number. */
int aio_fill(const struct restore_process *p, const struct restore_area *a, uint64_t at, const char *data,
	     uint64_t len);
