/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A signalfd: a set of signals. It reads those of whoever reads it, so it has no state but the set,
 * which fdinfo shows. man 2 signalfd.
 */
#include <sys/signalfd.h>

#include "libct/base/cleanup.h"
#include "libct/base/sys.h"
#include "libct/kind.h"
#include "libct/kind/fdinfo.h"

static bool signalfd_is(const struct dump *d, const struct fd_view *v)
{
	return fdinfo_is(v->link, "[signalfd]");
}

static int signalfd_dump(struct dump *d, const struct fd_view *v, struct node *n, struct ct_error *err)
{
	uint64_t mask;

	if (!fdinfo_get(v->fdinfo, "sigmask", 16, &mask))
		return error_set(err, -ENOSYS, "fdinfo shows no sigmask");
	node_put_hex(n, "mask", mask);
	return 0;
}

static int signalfd_restore(struct restore *r, const struct node *n, uint32_t id, int *ret_fd,
			    struct ct_error *err)
{
	uint64_t mask = node_hex(n, "mask");
	int e = doc_check(r->doc, err);

	if (e < 0)
		return e;
	/* The system call itself: glibc's sigset_t has other signals than the kernel's. */
	*ret_fd = SYS_RET(syscall(SYS_signalfd4, -1, &mask, sizeof(mask), SFD_CLOEXEC));
	return *ret_fd < 0 ? error_errno(err, *ret_fd, "signalfd") : 0;
}

const struct kind kind_signalfd = {
	.name = "signalfd",
	.carries = "signalfd with its set of signals",
	.victims = "signalfd",
	.fd_is = signalfd_is,
	.fd_dump = signalfd_dump,
	.fd_restore = signalfd_restore,
};
