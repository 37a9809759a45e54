/* SPDX-License-Identifier: Apache-2.0 */
/* Asynchronous I/O by its system calls, and by its ring. */
#pragma once
#include "victim.h"

#include <linux/aio_abi.h>

/* The ring of a context is at its address: fs/aio.c. */
struct ring {
	uint32_t number, n, head, tail, magic, compatible, incompatible, length;
	struct io_event events[];
};

static inline struct ring *ring_of(aio_context_t context)
{
	return (struct ring *)context;
}

static inline size_t ring_size(aio_context_t context)
{
	return ((ring_of(context)->n + 1) * sizeof(struct io_event) + 4095) & -4096UL;
}

static inline void aio_set_up(unsigned int requests, aio_context_t *context)
{
	*context = 0;
	CHECK_SYS(syscall(SYS_io_setup, requests, context));
	CHECK_EQ(ring_of(*context)->magic, 0xa10a10a1);
}

/* One request whose event says `data`. */
static inline void aio_submit(aio_context_t context, unsigned int opcode, int fd, void *buf, size_t len,
			      int64_t offset, uint64_t data)
{
	struct iocb request = { .aio_data = data, .aio_lio_opcode = (uint16_t)opcode, .aio_fildes = (uint32_t)fd,
				.aio_buf = (uintptr_t)buf, .aio_nbytes = len, .aio_offset = offset };
	struct iocb *list = &request;

	CHECK_EQ(syscall(SYS_io_submit, context, 1, &list), 1);
}

/* The next event, which must be there. */
static inline struct io_event aio_get(aio_context_t context)
{
	const struct timespec at_once = { 0 };
	struct io_event e;

	CHECK_EQ(syscall(SYS_io_getevents, context, 1, 1, &e, &at_once), 1);
	return e;
}

/* As C libraries do it: without a system call. */
static inline struct io_event aio_take(aio_context_t context)
{
	struct ring *r = ring_of(context);
	struct io_event e;

	CHECK(r->head != __atomic_load_n(&r->tail, __ATOMIC_ACQUIRE));
	e = r->events[r->head];
	__atomic_store_n(&r->head, (r->head + 1) % r->n, __ATOMIC_RELEASE);
	return e;
}
