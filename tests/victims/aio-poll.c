/* SPDX-License-Identifier: Apache-2.0 */
/* A poll that is under way is refused. */
/* refused: pid 2 (aio-poll): asynchronous I/O (io_setup): a poll (IOCB_CMD_POLL) is under way, which is not carried; cancel it first (io_cancel) */
#include "aio.h"

#include <poll.h>

int main(void)
{
	aio_context_t context;
	int ends[2];

	CHECK_SYS(pipe(ends));
	aio_set_up(8, &context);
	aio_submit(context, IOCB_CMD_POLL, ends[0], (void *)POLLIN, 0, 0, 7);
	victim_ready();
	CHECK_EQ(write(ends[1], "x", 1), 1);
	CHECK_EQ(aio_get(context).data, 7);
	victim_pass();
}
