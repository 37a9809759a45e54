/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An eventfd: one counter. fdinfo shows it, and (from Linux 6.5 on) whether it counts down by one
 * like a semaphore. man 2 eventfd.
 */
#include <sys/eventfd.h>

#include "libct/base/cleanup.h"
#include "libct/base/io.h"
#include "libct/kind.h"
#include "libct/kind/fdinfo.h"

static bool eventfd_is(const struct dump *d, const struct fd_view *v)
{
	return fdinfo_is(v->link, "[eventfd]");
}

static int eventfd_dump(struct dump *d, const struct fd_view *v, struct node *n, struct ct_error *err)
{
	uint64_t count, semaphore;

	if (!fdinfo_get(v->fdinfo, "eventfd-count", 16, &count))
		return error_set(err, -ENOSYS, "fdinfo shows no eventfd-count");
	if (!fdinfo_get(v->fdinfo, "eventfd-semaphore", 10, &semaphore)) {
		dump_refuse_fd(d, v, "this kernel does not tell whether an eventfd is a semaphore "
				     "(EFD_SEMAPHORE); Linux 6.5 does");
		return 0;
	}
	if (count == UINT64_MAX) {
		dump_refuse_fd(d, v, "an eventfd that has overflowed is not carried; read it first");
		return 0;
	}
	node_put_hex(n, "count", count);
	node_put_bool(n, "semaphore", semaphore);
	return 0;
}

static int eventfd_restore(struct restore *r, const struct node *n, uint32_t id, int *ret_fd,
			   struct ct_error *err)
{
	uint64_t count = node_hex(n, "count");
	bool semaphore = node_bool(n, "semaphore");
	int e = doc_check(r->doc, err);

	if (e < 0)
		return e;
	if (count == UINT64_MAX)
		return error_set(err, -EBADMSG, "a count that no eventfd can have");
	*ret_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK | (semaphore ? EFD_SEMAPHORE : 0));
	if (*ret_fd < 0)
		return error_errno(err, -errno, "eventfd");
	e = count ? io_write_all(*ret_fd, &count, sizeof(count)) : 0;
	return e < 0 ? error_errno(err, e, "set its count") : 0;
}

const struct kind kind_eventfd = {
	.name = "eventfd",
	.carries = "eventfd with its count, EFD_SEMAPHORE",
	.victims = "eventfd eventfd-semaphore",
	.fd_is = eventfd_is,
	.fd_dump = eventfd_dump,
	.fd_restore = eventfd_restore,
};
