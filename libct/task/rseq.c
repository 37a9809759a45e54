/* SPDX-License-Identifier: Apache-2.0 */
#include "libct/task/rseq.h"

#include <errno.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

#ifndef PTRACE_GET_RSEQ_CONFIGURATION
#define PTRACE_GET_RSEQ_CONFIGURATION 0x420f
#endif

/* struct ptrace_rseq_configuration of <linux/ptrace.h>. */
struct configuration {
	uint64_t pointer;
	uint32_t size, signature, flags, pad;
};

/* struct rseq_cs of <linux/rseq.h>; struct rseq has a pointer to it at offset 8. */
struct sequence {
	uint32_t version, flags;
	uint64_t start, length, abort;
};
#define SEQUENCE_OFFSET 8

int rseq_read(const struct tracee *t, struct rseq_registration *ret)
{
	struct configuration c = { 0 };

	memset(ret, 0, sizeof(*ret));
	if (ptrace(PTRACE_GET_RSEQ_CONFIGURATION, t->tid, sizeof(c), &c) < 0)
		return errno == EIO || errno == EINVAL ? 0 : -errno;
	ret->address = c.pointer;
	ret->size = c.size;
	ret->signature = c.signature;
	return 0;
}

static bool read_task(pid_t pid, uint64_t at, void *data, size_t len)
{
	struct iovec local = { data, len }, remote = { (void *)at, len };

	return process_vm_readv(pid, &local, 1, &remote, 1, 0) == (ssize_t)len;
}

bool rseq_abort(struct tracee *t)
{
	struct rseq_registration rseq;
	struct sequence s;
	uint64_t at;

	if (rseq_read(t, &rseq) < 0 || !rseq.address ||
	    !read_task(t->tid, rseq.address + SEQUENCE_OFFSET, &at, sizeof(at)) || !at ||
	    !read_task(t->tid, at, &s, sizeof(s)))
		return false;
	if (t->regs.rip - s.start >= s.length)
		return false;
	t->regs.rip = s.abort;
	return true;
}
