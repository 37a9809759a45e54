/* SPDX-License-Identifier: Apache-2.0 */
/* More requests than were asked for, and none of their events fetched: the ring takes no more. */
#include "aio.h"

#define ASKED 8

static bool submit(aio_context_t context, int fd, uint64_t data)
{
	struct iocb request = { .aio_data = data, .aio_lio_opcode = IOCB_CMD_PWRITE, .aio_fildes = (uint32_t)fd,
				.aio_buf = (uintptr_t)&data, .aio_nbytes = sizeof(data),
				.aio_offset = (int64_t)(data * sizeof(data)) };
	struct iocb *list = &request;
	long n = syscall(SYS_io_submit, context, 1, &list);

	if (n < 0)
		CHECK_EQ(errno, EAGAIN);
	return n == 1;
}

int main(void)
{
	int file = CHECK_SYS(open("/run/victim.file", O_RDWR | O_CREAT | O_CLOEXEC, 0600));
	aio_context_t context;
	uint64_t n = 0;

	aio_set_up(ASKED, &context);
	while (submit(context, file, n))
		n++;
	CHECK(n > ASKED);
	victim_ready();
	for (uint64_t i = 0; i < n; i++) {
		struct io_event e = aio_get(context);

		CHECK_EQ(e.data, i);
		CHECK_EQ(e.res, sizeof(i));
	}
	CHECK_EQ(ring_of(context)->head, ring_of(context)->tail);
	for (uint64_t i = 0; i < ASKED; i++)
		CHECK(submit(context, file, i));
	for (uint64_t i = 0; i < ASKED; i++)
		CHECK_EQ(aio_get(context).data, i);
	victim_pass();
}
