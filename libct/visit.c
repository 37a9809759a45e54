/* SPDX-License-Identifier: Apache-2.0 */
#include "libct/visit.h"

#include <fcntl.h>
#include <sched.h>

#include "libct/base/error.h"
#include "libct/base/sys.h"
#include "libct/task/proc.h"

static int open_own(int proc, const char *name)
{
	return proc_open(proc, getpid(), name, O_RDONLY);
}

static void forget(struct visit *i)
{
	fd_close(i->mnt);
	fd_close(i->net);
	fd_close(i->ipc);
	fd_close(i->uts);
	fd_close(i->cwd);
	fd_close(i->root);
	*i = VISIT_NONE;
}

int visit_begin(int proc, pid_t pid1, struct visit *ret, struct ct_error *err)
{
	static const struct {
		const char *name;
		int type;
	} spaces[] = {
		/* The mount namespace last: the paths of the others are the host's. */
		{ "ns/net", CLONE_NEWNET },
		{ "ns/ipc", CLONE_NEWIPC },
		{ "ns/uts", CLONE_NEWUTS },
		{ "ns/mnt", CLONE_NEWNS },
	};
	struct visit back = VISIT_NONE;
	int r = 0;

	if (unshare(CLONE_FS) < 0)
		return error_errno(err, -errno, "unshare(CLONE_FS)");
	back.mnt = open_own(proc, "ns/mnt");
	back.net = open_own(proc, "ns/net");
	back.ipc = open_own(proc, "ns/ipc");
	back.uts = open_own(proc, "ns/uts");
	back.cwd = open(".", O_PATH | O_CLOEXEC);
	back.root = open("/", O_PATH | O_CLOEXEC);
	if (back.mnt < 0 || back.net < 0 || back.ipc < 0 || back.uts < 0 || back.cwd < 0 ||
	    back.root < 0) {
		forget(&back);
		return error_set(err, -EMFILE, "cannot open our own namespaces");
	}
	for (size_t i = 0; r == 0 && i < sizeof(spaces) / sizeof(spaces[0]); i++) {
		cleanup_fd int fd = proc_open(proc, pid1, spaces[i].name, O_RDONLY);

		if (fd < 0)
			r = error_errno(err, fd, "open the pod's '%s'", spaces[i].name);
		else if (setns(fd, spaces[i].type) < 0)
			r = error_errno(err, -errno, "enter the pod's '%s'", spaces[i].name);
	}
	*ret = back;
	if (r < 0)
		visit_end(ret, NULL);
	return r;
}

/* Whatever fails, the rest is done: what the caller has to remove then is found by paths of the host. */
int visit_end(struct visit *i, struct ct_error *err)
{
	int results[7], r = 0;

	if (i->mnt < 0)
		return 0;
	results[0] = sys_setns_back(i->mnt, CLONE_NEWNS);
	results[1] = sys_setns_back(i->net, CLONE_NEWNET);
	results[2] = sys_setns_back(i->ipc, CLONE_NEWIPC);
	results[3] = sys_setns_back(i->uts, CLONE_NEWUTS);
	results[4] = fchdir(i->root) < 0 ? -errno : 0;
	results[5] = chroot(".") < 0 ? -errno : 0;
	results[6] = fchdir(i->cwd) < 0 ? -errno : 0;
	for (size_t k = 0; r == 0 && k < sizeof(results) / sizeof(results[0]); k++)
		r = results[k];
	if (r < 0)
		error_errno(err, r, "leave the pod's namespaces");
	forget(i);
	return r;
}
