/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A context made again: io_setup(2), its ring moved to where it was (the kernel follows: fs/aio.c, aio_ring_mremap). Where
 * the next event goes is known to the kernel alone, so as many requests as it takes are made and their events fetched,
 * and then as many more as there were events in the ring. They read nothing from an empty file. What these events
 * say comes with the pages of the ring.
 */
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

#include "images/archive.h"
#include "libct/base/io.h"
#include "libct/kind/aio.h"
#include "libct/kind/memory-restore.h"

#define BATCH 4096
#define CPUS_MAX 8192

static uint64_t ring_pages(const struct restore_area *a)
{
	return (a->end - a->start) / IMAGE_PAGE;
}

/* All that fit behind the head. */
static uint64_t ring_events(const struct restore_area *a)
{
	return ring_pages(a) * AIO_EVENTS_PER_PAGE - 1;
}

/* What to ask for: what the program did, or else the most for which the ring is as large; 0: it cannot be. */
static uint64_t requests_of(const struct restore_area *a)
{
	const struct node *aio = node_object(a->node, "aio");
	const uint64_t asked = node_u64(node_object(aio, "volatile"), "requests", UINT32_MAX);
	const uint64_t most = (ring_pages(a) * AIO_EVENTS_PER_PAGE - AIO_SPARE) / 2;

	if (aio_pages(asked) == ring_pages(a))
		return asked;
	return aio_pages(most) == ring_pages(a) ? most : 0;
}

void aio_parse(const struct node *n, struct restore_area *a)
{
	const uint64_t last = ring_events(a) - 1;

	a->aio = a->shared = true;
	if (a->descriptor >= 0 || a->prot != (PROT_READ | PROT_WRITE))
		node_complain(n, "a ring of asynchronous I/O that is none");
	node_u64(n, "tail", last);
	node_u64(n, "unread", last);
	if (!node_u64(node_object(n, "volatile"), "requests", UINT32_MAX))
		node_complain(n, "asynchronous I/O of no requests");
}

/* ---- on one CPU: each keeps some of the places in a ring for itself, and all may be needed ---- */

struct cpus {
	pid_t pid; /* 0: nothing to undo */
	size_t size;
	uint64_t before[CPUS_MAX / 64];
};

static void cpus_release(struct cpus *c)
{
	if (c->pid)
		syscall(SYS_sched_setaffinity, c->pid, c->size, c->before);
}

static void stay(struct cpus *c, pid_t pid)
{
	uint64_t one[CPUS_MAX / 64] = { 0 };
	long size = syscall(SYS_sched_getaffinity, pid, sizeof(c->before), c->before);

	for (long i = 0; i < size / 8; i++)
		if (c->before[i]) {
			one[i] = c->before[i] & -c->before[i];
			c->size = (size_t)size;
			c->pid = syscall(SYS_sched_setaffinity, pid, size, one) == 0 ? pid : 0;
			return;
		}
}

/* ---- the ring ---- */

/* The context, its ring anywhere but where it belongs: that place is taken meanwhile. */
static int set_up(struct restore_process *p, const struct restore_area *a, uint64_t *ret, struct ct_error *err)
{
	const uint64_t none = 0, requests = requests_of(a);
	struct tape *tape = &p->tape;
	uint32_t head[2];
	uint64_t room;
	size_t call;
	int e;

	tape_must(tape, "keep a place", SYS_mmap, a->start, a->end - a->start, PROT_NONE,
		  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, UINT64_MAX, 0);
	room = tape_data(tape, &none, sizeof(none));
	call = tape_call(tape, SYS_io_setup, requests, room, 0, 0, 0, 0);
	e = restore_run_keep(p, err);
	if (e == 0 && tape->entries[call].result == -EAGAIN)
		e = error_set(err, -ENOSYS, AIO_NO_ROOM, requests);
	else if (e == 0 && tape->entries[call].result < 0)
		e = error_errno(err, (int)tape->entries[call].result, "io_setup");
	if (e == 0)
		memcpy(ret, tape_at(tape, room), sizeof(*ret));
	tape_clear(tape);
	if (e < 0)
		return e;
	e = io_pread_exact(p->mem, head, sizeof(head), (off_t)*ret);
	if (e < 0)
		return error_errno(err, e, "read a ring of asynchronous I/O");
	if (head[1] != ring_events(a))
		return error_set(err, -ENOSYS, "this host makes other rings of asynchronous I/O (io_setup)");
	return 0;
}

/* Requests that end at once; `fetch`: their events, too. */
static int make_events(struct restore_process *p, const struct restore_area *a, int file, uint64_t n, bool fetch,
		       struct ct_error *err)
{
	const struct timespec at_once = { 0 };
	struct tape *tape = &p->tape;
	uint64_t batch = requests_of(a), list[BATCH];

	batch = batch < BATCH ? batch : BATCH;
	for (uint64_t part; n; n -= part) {
		struct iocb one = { .aio_lio_opcode = IOCB_CMD_PREAD };
		size_t mine = (size_t)restore_tape_fd(p, tape, file, -1, true), submit, get = 0;
		uint64_t at = tape_data(tape, &one, sizeof(one));
		int e;

		part = n < batch ? n : batch;
		for (uint64_t i = 0; i < part; i++)
			list[i] = at;
		/* The other half of what is stored is zero, and lies in an address that is so, too. */
		tape_chain_data(tape, mine, at + offsetof(struct iocb, aio_fildes));
		submit = tape_call(tape, SYS_io_submit, a->start, part, tape_data(tape, list, part * sizeof(at)), 0, 0, 0);
		if (fetch)
			get = tape_call(tape, SYS_io_getevents, a->start, part, part,
					tape_room(tape, part * sizeof(struct io_event)),
					tape_data(tape, &at_once, sizeof(at_once)), 0);
		tape_chain(tape, mine, tape_call(tape, SYS_close, 0, 0, 0, 0, 0, 0), 0);
		e = restore_run_keep(p, err);
		if (e == 0 && (tape->entries[submit].result != (int64_t)part ||
			       (fetch && tape->entries[get].result != (int64_t)part)))
			e = error_set(err, -EIO, "a ring of asynchronous I/O takes %lld events of %llu",
				      (long long)tape->entries[submit].result, (unsigned long long)part);
		tape_clear(tape);
		if (e < 0)
			return e;
	}
	return 0;
}

int aio_restore(struct restore_process *p, const struct restore_area *a, struct ct_error *err)
{
	const struct node *n = node_object(a->node, "aio");
	const uint64_t events = ring_events(a), size = a->end - a->start;
	const uint64_t tail = node_u64(n, "tail", events - 1), unread = node_u64(n, "unread", events - 1);
	__cleanup(cpus_release) struct cpus cpus = { 0 };
	cleanup_fd int file = memfd_create("podckpt", MFD_CLOEXEC);
	uint64_t at = 0;
	int e = restore_run(p, err);

	if (e < 0)
		return e;
	if (file < 0)
		return error_errno(err, -errno, "memfd");
	stay(&cpus, p->pid);
	e = set_up(p, a, &at, err);
	if (e < 0)
		return e;
	tape_must(&p->tape, "move a ring of asynchronous I/O", SYS_mremap, at, size, size,
		  MREMAP_MAYMOVE | MREMAP_FIXED, a->start, 0);
	e = restore_run(p, err);
	if (e == 0)
		e = make_events(p, a, file, (tail + events - unread) % events, true, err);
	return e < 0 ? e : make_events(p, a, file, unread, false, err);
}

int aio_fill(const struct restore_process *p, const struct restore_area *a, uint64_t at, const char *data,
	     uint64_t len)
{
	const uint64_t skip = at == a->start ? AIO_NUMBER_SIZE : 0;

	return io_pwrite_all(p->mem, data + skip, len - skip, (off_t)(at + skip));
}
