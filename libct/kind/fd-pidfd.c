/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pidfd: a reference to a process, which fdinfo names. Before Linux 6.9 it is an anonymous inode,
 * since then one of pidfs. man 2 pidfd_open.
 *
 * Not carried: references to what is not one of the pod's processes any more, or never was, and to
 * threads (PIDFD_THREAD) other than main ones.
 */
#include <fcntl.h>

#include "libct/base/cleanup.h"
#include "libct/base/sys.h"
#include "libct/kind.h"
#include "libct/kind/fdinfo.h"

#define PIDFD_THREAD_FLAG O_EXCL /* PIDFD_THREAD, Linux 6.9 */

static bool pidfd_is(const struct dump *d, const struct fd_view *v)
{
	return fdinfo_is(v->link, "[pidfd]") || !strncmp(v->link, "pidfd:[", 7);
}

static int pidfd_dump(struct dump *d, const struct fd_view *v, struct node *n, struct ct_error *err)
{
	struct dump_process *p;
	uint64_t value;
	pid_t pid;

	if (!fdinfo_get(v->fdinfo, "Pid", 10, &value))
		return error_set(err, -ENOSYS, "fdinfo shows no Pid");
	pid = (pid_t)value; /* "-1" and "0" come back as that */
	if (pid < 0) {
		dump_refuse_fd(d, v, "a pidfd of a process that has ended is not carried; close it first");
		dump_passing(d);
		return 0;
	}
	if (pid > 0 && pid == d->pod->state.pid1 && !d->pod->config.no_init) {
		node_put_i64(n, "vpid", 1);
		return 0;
	}
	p = pid ? dump_by_pid(d, pid) : NULL;
	if (!p && d->preflight)
		return 0; /* perhaps just born */
	if (!p)
		dump_refuse_fd(d, v, "a pidfd of a process outside the pod is not carried; close it first");
	else if (p->pid != pid)
		dump_refuse_fd(d, v, "a pidfd of a thread (PIDFD_THREAD) is not carried; close it first");
	else
		node_put_i64(n, "vpid", p->vpid);
	return 0;
}

static int pidfd_restore(struct restore *r, const struct node *n, uint32_t id, int *ret_fd,
			 struct ct_error *err)
{
	pid_t vpid = (pid_t)node_i64(n, "vpid", 1, 1 << 22);
	unsigned int flags = node_hex(n, "flags") & PIDFD_THREAD_FLAG;
	struct restore_process *p;
	int e = doc_check(r->doc, err);

	if (e < 0)
		return e;
	p = restore_by_vpid(r, vpid);
	if (!p || !p->pid)
		return error_set(err, -EBADMSG, "a pidfd of process %d, which the pod does not have", vpid);
	*ret_fd = sys_pidfd_open(p->pid, flags);
	return *ret_fd < 0 ? error_errno(err, *ret_fd, "pidfd_open") : 0;
}

const struct kind kind_pidfd = {
	.name = "pidfd",
	.carries = "pidfd of a process of the pod",
	.refuses = "pidfd of a process that has ended or is outside, of a thread",
	.victims = "pidfd pidfd-ended",
	.fd_is = pidfd_is,
	.fd_dump = pidfd_dump,
	.fd_restore = pidfd_restore,
};
