/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests to the disk are under way all the time, with a thread that waits for their ends: each ends once, with its data,
 * and counts once in an eventfd.
 */
/* build: -pthread */
#include "aio.h"

#include <pthread.h>
#include <sys/eventfd.h>

#define DEPTH 64
#define BLOCK 4096

struct slot {
	struct iocb request;
	uint64_t *block;
	uint64_t round; /* how often it was written */
	bool under_way, writes;
};

static struct slot slots[DEPTH];
static aio_context_t context;
static int file, counter;
static bool stopping;
static uint64_t ended;

static void submit(struct slot *s, bool writes)
{
	struct iocb *list = &s->request;

	CHECK(!s->under_way);
	s->under_way = true;
	s->writes = writes;
	s->round += writes;
	for (size_t i = 0; i < BLOCK / 8; i++)
		s->block[i] = writes ? s->round << 32 | (uint64_t)(s - slots) << 16 | i : 0;
	s->request = (struct iocb){ .aio_data = s->round, .aio_fildes = (uint32_t)file,
				    .aio_lio_opcode = writes ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD,
				    .aio_buf = (uintptr_t)s->block, .aio_nbytes = BLOCK,
				    .aio_offset = (s - slots) * BLOCK, .aio_flags = IOCB_FLAG_RESFD,
				    .aio_resfd = (uint32_t)counter };
	CHECK_EQ(syscall(SYS_io_submit, context, 1, &list), 1);
}

static void end(const struct io_event *e)
{
	struct slot *s = (struct slot *)e->obj;

	CHECK(s >= slots && s < slots + DEPTH && s->under_way);
	CHECK_EQ(e->data, s->round);
	CHECK_EQ(e->res, BLOCK);
	CHECK_EQ(e->res2, 0);
	for (size_t i = 0; i < BLOCK / 8; i++)
		CHECK_EQ(s->block[i], s->round << 32 | (uint64_t)(s - slots) << 16 | i);
	s->under_way = false;
	__atomic_add_fetch(&ended, 1, __ATOMIC_SEQ_CST);
}

static void *work(void *arg)
{
	size_t under_way = DEPTH;

	for (size_t i = 0; i < DEPTH; i++)
		submit(&slots[i], true);
	while (under_way) {
		struct io_event events[DEPTH];
		long n = CHECK_SYS(syscall(SYS_io_getevents, context, 1, DEPTH, events, NULL));

		CHECK(n >= 1);
		for (long i = 0; i < n; i++) {
			struct slot *s = (struct slot *)events[i].obj;

			end(&events[i]);
			if (__atomic_load_n(&stopping, __ATOMIC_ACQUIRE))
				under_way--;
			else
				submit(s, !s->writes);
		}
	}
	return NULL;
}

int main(void)
{
	const struct timespec moment = { .tv_nsec = 50000000 };
	struct io_event event;
	pthread_t thread;
	uint64_t count;
	char *blocks = mmap(NULL, DEPTH * BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(blocks != MAP_FAILED);
	file = CHECK_SYS(open("victim.file", O_RDWR | O_CREAT | O_CLOEXEC | O_DIRECT, 0600));
	CHECK_SYS(ftruncate(file, DEPTH * BLOCK));
	counter = CHECK_SYS(eventfd(0, EFD_CLOEXEC));
	aio_set_up(DEPTH, &context);
	for (size_t i = 0; i < DEPTH; i++)
		slots[i].block = (uint64_t *)(blocks + i * BLOCK);
	CHECK_EQ(pthread_create(&thread, NULL, work, NULL), 0);
	victim_ready();
	/* The disk may be slow. */
	VICTIM_UNTIL(__atomic_load_n(&ended, __ATOMIC_SEQ_CST) > 10 * DEPTH);
	__atomic_store_n(&stopping, true, __ATOMIC_RELEASE);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(syscall(SYS_io_getevents, context, 1, 1, &event, &moment), 0);
	CHECK_EQ(read(counter, &count, sizeof(count)), (ssize_t)sizeof(count));
	CHECK_EQ(count, ended);
	CHECK(ended > 10 * DEPTH);
	CHECK_SYS(unlink("victim.file"));
	victim_pass();
}
