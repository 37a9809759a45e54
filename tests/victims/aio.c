/* SPDX-License-Identifier: Apache-2.0 */
/* A ring with events that nobody has fetched yet, around its end; and one that was never used. */
#include "aio.h"

#define UNREAD 100

static char text[] = "0123456789";
static int file;
static uint64_t next_in = 1, next_out = 1;

static void put(aio_context_t context, unsigned int n)
{
	char buf[1];

	for (; n; n--, next_in++)
		aio_submit(context, IOCB_CMD_PREAD, file, buf, sizeof(buf), (int64_t)(next_in % 12), next_in);
}

/* The eleventh byte is the last; behind it there is nothing. */
static void check(struct io_event e)
{
	CHECK_EQ(e.data, next_out);
	CHECK_EQ(e.res, next_out % 12 < 11);
	CHECK_EQ(e.res2, 0);
	CHECK(e.obj);
	next_out++;
}

int main(void)
{
	aio_context_t context, idle, gone;
	struct ring *ring;
	struct ring before;

	file = CHECK_SYS(open("/run/victim.file", O_RDWR | O_CREAT | O_CLOEXEC, 0600));
	CHECK_EQ(write(file, text, sizeof(text)), (ssize_t)sizeof(text));
	aio_set_up(8, &gone);
	aio_set_up(200, &context);
	aio_set_up(1, &idle);
	CHECK_SYS(syscall(SYS_io_destroy, gone));
	ring = ring_of(context);
	while (ring->tail + UNREAD / 2 < ring->n) {
		put(context, 1);
		check(next_out % 2 ? aio_get(context) : aio_take(context));
	}
	put(context, UNREAD);
	CHECK(ring->tail < ring->head);
	before = *ring;
	victim_ready();
	before.number = ring->number;
	CHECK_MEM(ring, &before, sizeof(before));
	for (int i = 0; i < UNREAD / 2; i++)
		check(aio_take(context));
	/* All that it was made for: no place of the ring is lost. */
	put(context, 200 - UNREAD / 2);
	while (next_out < next_in)
		check(next_out % 2 ? aio_get(context) : aio_take(context));
	for (unsigned int round = 0; round < ring->n; round += 200) {
		put(context, 200);
		while (next_out < next_in)
			check(next_out % 3 ? aio_get(context) : aio_take(context));
	}
	CHECK_EQ(ring->head, ring->tail);
	aio_submit(idle, IOCB_CMD_PWRITE, file, text, 4, 0, 4711);
	CHECK_EQ(aio_get(idle).data, 4711);
	CHECK_SYS(syscall(SYS_io_destroy, idle));
	CHECK_SYS(syscall(SYS_io_destroy, context));
	CHECK_ERRNO(syscall(SYS_io_destroy, context), EINVAL);
	victim_pass();
}
