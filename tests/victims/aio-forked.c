/* SPDX-License-Identifier: Apache-2.0 */
/* A child has the mapping of its parent's ring, and no context. */
/* refused: pid 3 (aio-forked): asynchronous I/O (io_setup): it has a copy of another process's ring, made by fork, or a part of a ring, which is not carried; unmap it first */
#include "aio.h"

static void child(void *arg)
{
	victim_wait();
	CHECK_EQ(ring_of(*(aio_context_t *)arg)->magic, 0xa10a10a1);
}

int main(void)
{
	aio_context_t context;
	pid_t pid;

	aio_set_up(8, &context);
	pid = victim_fork(child, &context);
	victim_ready();
	victim_join(pid);
	victim_pass();
}
