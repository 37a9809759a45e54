/* SPDX-License-Identifier: Apache-2.0 */
/* A standard stream opened with O_PATH, and an eventfd that the kernel has made overflow. */
/* refused: pid 2 (refused-counts) fd 3: a standard stream opened with O_PATH is not carried; close it first */
/* refused: pid 2 (refused-counts) fd 4: an eventfd that has overflowed is not carried; read it first */
#include "victim.h"

#include <linux/aio_abi.h>
#include <poll.h>
#include <sys/eventfd.h>

/* man 2 io_submit: only the end of asynchronous I/O adds to a count that is full. */
static void overflow(int fd)
{
	int file = CHECK_SYS(open("/run/victim.file", O_RDWR | O_CREAT | O_CLOEXEC, 0600));
	char c = 'x';
	struct iocb request = { .aio_lio_opcode = IOCB_CMD_PWRITE, .aio_fildes = (uint32_t)file,
				.aio_buf = (uintptr_t)&c, .aio_nbytes = 1, .aio_flags = IOCB_FLAG_RESFD,
				.aio_resfd = (uint32_t)fd };
	struct iocb *list = &request;
	uint64_t most = UINT64_MAX - 1;
	aio_context_t context = 0;
	struct io_event done;

	CHECK_EQ(write(fd, &most, sizeof(most)), (ssize_t)sizeof(most));
	CHECK_SYS(syscall(SYS_io_setup, 1, &context));
	CHECK_EQ(syscall(SYS_io_submit, context, 1, &list), 1);
	CHECK_EQ(syscall(SYS_io_getevents, context, 1, 1, &done, NULL), 1);
	CHECK_SYS(syscall(SYS_io_destroy, context));
	CHECK_SYS(close(file));
}

int main(void)
{
	int stream = CHECK_SYS(open("/proc/self/fd/1", O_PATH));
	int fd = CHECK_SYS(eventfd(0, EFD_NONBLOCK));
	struct pollfd p = { .fd = fd };
	uint64_t count;

	overflow(fd);
	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK_EQ(p.revents, POLLERR);
	victim_ready();
	CHECK_EQ(fcntl(stream, F_GETFL) & O_PATH, O_PATH);
	CHECK_EQ(read(fd, &count, sizeof(count)), (ssize_t)sizeof(count));
	CHECK_EQ(count, UINT64_MAX);
	victim_pass();
}
