/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A large ring whose owner has a child that has unmapped it, never got another one (MADV_DONTFORK), and shares other memory with
 * its parent since fork.
 */
#include "mem.h"
#include "aio.h"

#define REQUESTS 20000
#define PAGES 64

static aio_context_t context, kept;
static char *memory;

static void child(void *arg)
{
	CHECK_SYS(munmap(ring_of(context), ring_size(context)));
	memory[0] = 1;
	victim_wait();
	CHECK_EQ(memory[0], 1);
	check_filled(memory + PAGE, (PAGES - 1) * PAGE, 7);
	CHECK_ERRNO(syscall(SYS_io_destroy, context), EINVAL);
}

int main(void)
{
	int file = CHECK_SYS(memfd_create("victim", MFD_CLOEXEC));
	pid_t pid;

	memory = map_anonymous(PAGES * PAGE, PROT_READ | PROT_WRITE);
	fill(memory + PAGE, (PAGES - 1) * PAGE, 7);
	aio_set_up(REQUESTS, &context);
	for (uint64_t i = 0; i < REQUESTS; i++)
		aio_submit(context, IOCB_CMD_PWRITE, file, memory, 1, (int64_t)i, i);
	for (uint64_t i = 0; i < REQUESTS / 2; i++)
		CHECK_EQ(aio_get(context).data, i);
	aio_set_up(1, &kept);
	CHECK_SYS(madvise(ring_of(kept), ring_size(kept), MADV_DONTFORK));
	pid = victim_fork(child, NULL);
	victim_ready();
	victim_join(pid);
	CHECK_EQ(memory[0], 0);
	check_filled(memory + PAGE, (PAGES - 1) * PAGE, 7);
	for (uint64_t i = REQUESTS / 2; i < REQUESTS; i++)
		CHECK_EQ(aio_take(context).data, i);
	aio_submit(context, IOCB_CMD_PWRITE, file, memory, 1, 0, 4711);
	CHECK_EQ(aio_get(context).data, 4711);
	/* Nor does the next child get it. */
	pid = CHECK_SYS(fork());
	if (!pid)
		_exit(msync(ring_of(kept), PAGE, MS_ASYNC) == 0 || errno != ENOMEM);
	victim_join(pid);
	victim_pass();
}
