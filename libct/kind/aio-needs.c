/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Can this host make the contexts of asynchronous I/O of an image? It makes a ring for as many requests as its CPUs may need
 * at least, and counts the requests of all contexts together (Documentation/admin-guide/sysctl/fs.rst, aio-nr).
 */
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "images/archive.h"
#include "images/node.h"
#include "libct/base/cleanup.h"
#include "libct/base/error.h"
#include "libct/base/io.h"
#include "libct/kind/aio.h"

#define PER_CPU 4 /* requests for each CPU are the least that a ring is made for */

uint64_t aio_pages(uint64_t requests)
{
	/* Those that could be plugged in count. */
	const int cpus = libbpf_num_possible_cpus();
	const uint64_t least = cpus > 0 ? (uint64_t)cpus * PER_CPU : 0;

	requests = requests < least ? least : requests;
	return (requests * 2 + AIO_SPARE + AIO_EVENTS_PER_PAGE - 1) / AIO_EVENTS_PER_PAGE;
}

static void add_area(struct aio_needs *needs, const struct node *area)
{
	const uint64_t pages = (node_hex(area, "end") - node_hex(area, "start")) / IMAGE_PAGE;

	needs->requests += node_u64(node_object(node_object(area, "aio"), "volatile"), "requests", UINT32_MAX);
	if (!needs->pages || pages < needs->pages)
		needs->pages = pages;
}

void aio_needs_add(struct aio_needs *needs, const struct node *processes)
{
	for (size_t i = 0; i < node_count(processes); i++) {
		const struct node *p = node_at(processes, i);
		const struct node *areas = node_has(p, "memory") ? node_array(node_object(p, "memory"), "areas") : NULL;

		for (size_t k = 0; k < node_count(areas); k++)
			if (node_has(node_at(areas, k), "aio"))
				add_area(needs, node_at(areas, k));
	}
}

void aio_needs_put(const struct aio_needs *needs, struct node *offer)
{
	struct node *aio = needs->pages ? node_put_object(offer, "aio") : NULL;

	if (!aio)
		return;
	node_put_u64(aio, "requests", needs->requests);
	node_put_u64(aio, "pages", needs->pages);
}

void aio_needs_get(struct aio_needs *needs, const struct node *offer)
{
	const struct node *aio = node_has(offer, "aio") ? node_object(offer, "aio") : NULL;
	const uint64_t pages = aio ? node_u64(aio, "pages", UINT32_MAX) : 0;

	needs->requests += aio ? node_u64(aio, "requests", INT64_MAX >> 8) : 0;
	if (pages && (!needs->pages || pages < needs->pages))
		needs->pages = pages;
}

static uint64_t number_of(const char *path)
{
	cleanup_free char *text = NULL;

	return io_read_file(AT_FDCWD, path, 64, &text) > 0 ? strtoull(text, NULL, 10) : UINT64_MAX;
}

int aio_check_host(const struct aio_needs *needs, struct ct_error *err)
{
	const uint64_t most = number_of("/proc/sys/fs/aio-max-nr"), now = number_of("/proc/sys/fs/aio-nr");

	if (!needs->pages)
		return 0;
	if (aio_pages(1) > needs->pages)
		return error_set(err, -ENOSYS,
				 "a ring of asynchronous I/O (io_setup) of %" PRIu64 " pages cannot be made on this host, "
				 "which has more CPUs; restore on one with fewer",
				 needs->pages);
	/* Where it is not told, it is seen when they are made. */
	if (most != UINT64_MAX && now != UINT64_MAX && (now > most || needs->requests > most - now))
		return error_set(err, -ENOSYS, AIO_NO_ROOM, needs->requests);
	return 0;
}
