// SPDX-License-Identifier: Apache-2.0
/* Threads that wait in calls which end with EINTR after any stop (man 7 signal): these do not. */
/* build: -pthread */
#include "tests/victims/aio.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/sem.h>

static aio_context_t context;
static int set, semaphores, up;

static void *in_epoll_wait(void *arg)
{
	struct epoll_event event;

	__atomic_add_fetch(&up, 1, __ATOMIC_SEQ_CST);
	CHECK_EQ(epoll_wait(set, &event, 1, -1), 1);
	return NULL;
}

static void *in_semop(void *arg)
{
	struct sembuf op = { 0, -1, 0 };

	__atomic_add_fetch(&up, 1, __ATOMIC_SEQ_CST);
	CHECK_EQ(semop(semaphores, &op, 1), 0);
	return NULL;
}

static void *in_io_getevents(void *arg)
{
	struct io_event e;

	__atomic_add_fetch(&up, 1, __ATOMIC_SEQ_CST);
	CHECK_EQ(syscall(SYS_io_getevents, context, 1, 1, &e, NULL), 1);
	CHECK_EQ(e.data, 4711);
	return NULL;
}

int main(void)
{
	void *(*const work[])(void *) = { in_epoll_wait, in_semop, in_io_getevents };
	struct epoll_event event = { .events = EPOLLIN };
	struct sembuf op = { 0, 1, 0 };
	pthread_t threads[3];
	int ends[2], file;

	file = CHECK_SYS(memfd_create("victim", MFD_CLOEXEC));
	set = CHECK_SYS(epoll_create1(0));
	semaphores = CHECK_SYS(semget(IPC_PRIVATE, 1, 0600));
	CHECK_SYS(pipe(ends));
	CHECK_SYS(epoll_ctl(set, EPOLL_CTL_ADD, ends[0], &event));
	aio_set_up(1, &context);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, work[i], NULL), 0);
	VICTIM_UNTIL(up == 3);
	victim_sleep_ms(50);
	victim_ready();
	CHECK_EQ(write(ends[1], "x", 1), 1);
	CHECK_SYS(semop(semaphores, &op, 1));
	aio_submit(context, IOCB_CMD_PREAD, file, NULL, 0, 0, 4711);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(pthread_join(threads[i], NULL), 0);
	CHECK_SYS(semctl(semaphores, 0, IPC_RMID));
	victim_pass();
}
