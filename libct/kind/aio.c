/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Contexts of asynchronous I/O (man 2 io_setup, fs/aio.c). A program knows one by the address of its ring, memory that it
 * shares with the kernel: a head, a tail, and between them the events of requests that have ended. How many requests
 * are under way nothing shows but the kernel's own memory.
 *
 * Requests of a stopped process end by themselves, as soon as the disk has done them, and are waited for: before anything else
 * of the pod is read, because that may be what they change. A poll may never end.
 *
 * A child of fork(2) has the mapping of its parent's ring and no context to it.
 */
#include "libct/kind/aio.h"

#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "images/archive.h"
#include "libct/base/clock.h"
#include "libct/base/io.h"
#include "libct/base/kernel.h"
#include "libct/kind.h"

#define RING "/[aio]"
#define CONTEXT_MAX 8192  /* a struct kioctx */
#define CONTEXTS_MAX 65536
#define STUCK_NS 1000000000LL	 /* without an end of any */
#define STOPPED_NS 10000000000LL /* that the pod is stopped for at the most */
#define HELD 1	   /* by the context itself, while it is there */
#define REF_FLAGS 3 /* of a struct percpu_ref: not counted by CPU, not any more */
#define EVENT_SIZE 32

/* What a ring begins with: struct aio_ring of fs/aio.c. */
struct ring_head {
	uint32_t number, n, head, tail;
};

bool aio_is_ring(const struct vma *v)
{
	return !strncmp(v->name, RING, sizeof(RING) - 1);
}

#define FIELDS(X)                                                                                  \
	X(mm, "task_struct.mm")                                                                    \
	X(contexts, "mm_struct.ioctx_table")                                                       \
	X(count, "kioctx_table.nr")                                                                \
	X(list, "kioctx_table.table")                                                              \
	X(ring, "kioctx.user_id")                                                                  \
	X(size, "kioctx.mmap_size")                                                                \
	X(dead, "kioctx.dead")                                                                     \
	X(requests, "kioctx.max_reqs")                                                             \
	X(tail, "kioctx.tail")                                                                     \
	X(cancellable, "kioctx.active_reqs.next")                                                  \
	X(under_way, "kioctx.reqs.percpu_count_ptr")

struct reader {
	struct kernel *k;
	const uint64_t *per_cpu;
	size_t n_cpus;
	size_t context_size;
#define X(name, path) struct kernel_field name;
	FIELDS(X)
#undef X
};

static int reader_init(struct reader *w, struct pod *pod, struct ct_error *err)
{
	const struct kernel_path fields[] = {
#define X(name, path) { &w->name, path },
		FIELDS(X)
#undef X
	};
	int r = pod_kernel(pod, &w->k, err);

	if (r == 0)
		r = kernel_per_cpu(w->k, &w->per_cpu, &w->n_cpus, err);
	if (r == 0)
		r = kernel_fields(w->k, fields, sizeof(fields) / sizeof(fields[0]), err);
	return r < 0 ? r : kernel_size(w->k, "kioctx", CONTEXT_MAX, &w->context_size, err);
}

/*
 * Each CPU counts what it has begun less what it has ended. While none can begin the sum of what is read, one after the
 * other, is never less than there still are.
 */
static int count_under_way(const struct reader *w, uint64_t counts, struct aio_context *c)
{
	uint64_t sum = 0;

	if (counts & REF_FLAGS) {
		c->ending = true;
		return 0;
	}
	for (size_t i = 0; i < w->n_cpus; i++) {
		uint64_t one;
		int r = kernel_read(w->k, counts + w->per_cpu[i], &one, sizeof(one));

		if (r < 0)
			return r;
		sum += one;
	}
	c->under_way = sum - HELD;
	return 0;
}

static int read_context(const struct reader *w, uint64_t address, struct aio_context *c)
{
	uint8_t o[CONTEXT_MAX];
	int r = kernel_read(w->k, address, o, w->context_size);

	if (r < 0)
		return r;
	*c = (struct aio_context){ .ring = kernel_get(o, w->ring),
				   .size = kernel_get(o, w->size),
				   .requests = (uint32_t)kernel_get(o, w->requests),
				   .tail = (uint32_t)kernel_get(o, w->tail),
				   .ending = kernel_get(o, w->dead),
				   /* A list that is empty points at itself. */
				   .polls = kernel_get(o, w->cancellable) != address + w->cancellable.at / 8 };
	return count_under_way(w, kernel_get(o, w->under_way), c);
}

static int read_contexts(const struct reader *w, struct dump_process *p, struct ct_error *err)
{
	uint64_t at = 0, n = 0, context;
	int r = kernel_task(w->k, p->pid, &at, err);

	if (r < 0)
		return r;
	free(take_ptr(p->aio));
	p->n_aio = 0;
	r = kernel_get_at(w->k, at, w->mm, &at, NULL);
	if (r == 0 && at)
		r = kernel_get_at(w->k, at, w->contexts, &at, NULL);
	if (r == 0 && at)
		r = kernel_get_at(w->k, at, w->count, &n, NULL);
	if (r == 0 && n > CONTEXTS_MAX)
		r = -EFAULT;
	p->aio = r == 0 ? calloc(n + 1, sizeof(*p->aio)) : NULL;
	if (r == 0 && !p->aio)
		r = -ENOMEM;
	for (uint64_t i = 0; r == 0 && i < n; i++) {
		r = kernel_read(w->k, at + w->list.at / 8 + i * sizeof(context), &context, sizeof(context));
		if (r == 0 && context)
			r = read_context(w, context, &p->aio[p->n_aio++]);
	}
	return r < 0 ? error_errno(err, r, "read the kernel's memory") : 0;
}

/* Until none is under way, or only what may never end. A slow disk is waited for as long as it does something. */
static int settle(const struct reader *w, struct dump_process *p, struct ct_error *err)
{
	static const struct timespec pause = { .tv_nsec = 100000 };
	const int64_t until = p->dump->frozen_at + STOPPED_NS;
	uint64_t least = UINT64_MAX;
	int64_t since = 0;

	for (;;) {
		const int64_t now = clock_now(CLOCK_MONOTONIC);
		uint64_t left = 0;
		int r = read_contexts(w, p, err);

		if (r < 0)
			return r;
		for (size_t i = 0; i < p->n_aio; i++)
			left += p->aio[i].polls ? 0 : p->aio[i].under_way;
		if (left < least) {
			least = left;
			since = now;
		}
		if (!left || p->dump->preflight || now >= until || now - since >= STUCK_NS)
			return 0;
		nanosleep(&pause, NULL);
	}
}

static struct aio_context *context_of(const struct dump_process *p, uint64_t ring)
{
	for (size_t i = 0; i < p->n_aio; i++)
		if (p->aio[i].ring == ring)
			return &p->aio[i];
	return NULL;
}

/* The kernel believes its own numbers; those in the ring are the program's to change. */
static int look_at_ring(const struct dump_process *p, struct aio_context *c, bool *ret_strange)
{
	const uint32_t n = (uint32_t)(c->size / EVENT_SIZE - 1);
	struct ring_head head;
	int r = io_pread_exact(p->mem, &head, sizeof(head), (off_t)c->ring);

	if (r < 0)
		return r;
	*ret_strange = head.n != n || head.head >= n || head.tail != c->tail || c->tail >= n;
	c->unread = c->tail >= head.head ? c->tail - head.head : c->tail + n - head.head;
	return 0;
}

static void refuse(struct dump_process *p, const char *why)
{
	dump_refuse_process(p->dump, p, "asynchronous I/O (io_setup): %s", why);
}

static void check_ring(struct dump_process *p, const struct vma *v)
{
	struct aio_context *c = context_of(p, v->start);
	bool strange = false;

	if (!c)
		refuse(p, "it has a copy of another process's ring, made by fork, or a part of a ring, which is not "
			  "carried; unmap it first");
	else if (v->start + c->size != v->end || v->prot != (PROT_READ | PROT_WRITE))
		refuse(p, "a part of a ring was unmapped or protected, which is not carried");
	else if (c->polls)
		refuse(p, "a poll (IOCB_CMD_POLL) is under way, which is not carried; cancel it first (io_cancel)");
	else if (p->dump->preflight)
		return;
	else if (c->under_way || c->ending) {
		refuse(p, "requests are under way that do not end; try again");
		dump_passing(p->dump);
	} else if (look_at_ring(p, c, &strange) < 0 || strange) {
		refuse(p, "its ring was written to by the program, which is not carried");
	}
}

static void process_check(struct dump *d, struct dump_process *p)
{
	struct ct_error err = { 0 };
	struct reader w;
	size_t n = 0;
	int r;

	for (size_t i = 0; i < p->areas.n; i++)
		n += aio_is_ring(&p->areas.v[i]);
	if (!n)
		return;
	r = reader_init(&w, d->pod, &err);
	if (r == 0)
		r = settle(&w, p, &err);
	if (r < 0) {
		if (r != -ESRCH || !d->preflight)
			dump_refuse_process(d, p, "asynchronous I/O (io_setup) is not carried here: %s; start the program "
						  "without it (MariaDB and MySQL: --innodb-use-native-aio=0)",
					    err.text);
		return;
	}
	for (size_t i = 0; i < p->areas.n; i++)
		if (aio_is_ring(&p->areas.v[i]))
			check_ring(p, &p->areas.v[i]);
	if (p->n_aio > n)
		refuse(p, "a ring of it is not mapped, which is not carried");
}

const struct aio_context *aio_find(const struct dump_process *p, const struct vma *v, uint64_t end)
{
	const struct aio_context *c = context_of(p, v->start);

	return c && c->ring + c->size == end ? c : NULL;
}

void aio_put(const struct aio_context *c, struct node *n)
{
	struct node *aio = node_put_object(n, "aio");

	node_put_u64(aio, "tail", c->tail);
	node_put_u64(aio, "unread", c->unread);
	/* On a host with another number of CPUs it takes another one for the same ring. */
	node_put_u64(node_put_object(aio, "volatile"), "requests", c->requests);
}

const struct kind kind_aio = {
	.name = "aio",
	.carries = "contexts of asynchronous I/O (io_setup) with events not yet fetched; requests that are under way end first",
	.refuses = "polls under way (IOCB_CMD_POLL), rings that a forked child has of its parent, all of it where the "
		   "kernel's memory cannot be read",
	.victims = "aio aio-inflight aio-full aio-child aio-poll aio-forked",
	.process_check = process_check,
};
