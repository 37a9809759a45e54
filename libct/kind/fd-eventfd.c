/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An eventfd: one counter. fdinfo shows it, and (from Linux 6.5 on) whether it counts down by one
 * like a semaphore. man 2 eventfd. On an older kernel a read must tell, and a write undoes it.
 */
#include "libct/kind/eventfd.h"

#include <sys/eventfd.h>

#include "libct/base/cleanup.h"
#include "libct/base/io.h"
#include "libct/kind/fdinfo.h"
#include "libct/task/helper.h"

static bool eventfd_is(const struct dump *d, const struct fd_view *v)
{
	return fdinfo_is(v->link, "[eventfd]");
}

static int add(int fd, uint64_t n)
{
	return write(fd, &n, sizeof(n)) == sizeof(n) ? 0 : -errno;
}

static int take(int fd, uint64_t *ret)
{
	return read(fd, ret, sizeof(*ret)) == sizeof(*ret) ? 0 : -errno;
}

/* 1, 0 or negative errno. A read of two or more gets all of it or one; then the count is made what it was. */
static int try_semaphore(int fd, uint64_t count)
{
	uint64_t got;
	int r = count < 2 ? add(fd, 2 - count) : 0;

	if (r == 0)
		r = take(fd, &got);
	if (r < 0)
		return r;
	if (got > 1)
		return count ? add(fd, count) : 0;
	if (count == 0)
		r = take(fd, &got);
	else if (count > 1)
		r = add(fd, 1);
	return r < 0 ? r : 1;
}

int eventfd_ask_semaphore(int fd, uint64_t count, bool *ret, struct ct_error *err)
{
	int *result = helper_memory(sizeof(*result)), r;
	pid_t pid;

	if (!result)
		return error_errno(err, -ENOMEM, "eventfd");
	*result = -EINTR;
	pid = helper_spawn();
	if (pid == 0) {
		*result = try_semaphore(fd, count);
		_exit(0);
	}
	if (pid > 0)
		helper_await(pid);
	r = pid < 0 ? pid : *result;
	munmap(result, sizeof(*result));
	if (r < 0)
		return error_errno(err, r, "ask whether it is a semaphore");
	*ret = r;
	return 0;
}

static int eventfd_dump(struct dump *d, const struct fd_view *v, struct node *n, struct ct_error *err)
{
	uint64_t count, value;
	bool semaphore = false;

	if (!fdinfo_get(v->fdinfo, "eventfd-count", 16, &count))
		return error_set(err, -ENOSYS, "fdinfo shows no eventfd-count");
	if (count == UINT64_MAX) {
		dump_refuse_fd(d, v, "an eventfd that has overflowed is not carried; read it first");
		return 0;
	}
	if (fdinfo_get(v->fdinfo, "eventfd-semaphore", 10, &value)) {
		semaphore = value;
	} else if (!d->preflight) {
		int r = eventfd_ask_semaphore(v->dup, count, &semaphore, err);

		if (r < 0)
			return r;
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
