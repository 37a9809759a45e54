/* SPDX-License-Identifier: Apache-2.0 */
/* Asking from inside the pod's PID namespace, where PIDs in credentials are the pod's own. */
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "libct/base/sys.h"
#include "libct/kind/unix.h"

/*
 * Numbers for the child: given with set_tid, since a number from the namespace's own counter
 * would be missing from what the pod's next fork gets. Below every pid_max but a very small one.
 */
#define LAST_PID 32700
#define FIRST_PID 301

static pid_t birth(void)
{
	for (pid_t pid = LAST_PID; pid >= FIRST_PID; pid--) {
		struct clone_args args = { .flags = CLONE_FILES,
					   .set_tid = (uint64_t)(uintptr_t)&pid,
					   .set_tid_size = 1 };
		pid_t child = sys_clone3(&args);

		if (child == -EEXIST)
			continue;
		if (child == -EINVAL && pid > 1000) {
			pid = pid / 2;
			continue;
		}
		return child;
	}
	return -EAGAIN;
}

int unix_inside(struct dump *d, void (*work)(void *), void *context, struct ct_error *err)
{
	cleanup_fd int theirs = proc_open(d->proc, d->pod->state.pid1, "ns/pid", O_RDONLY);
	cleanup_fd int own = proc_open(d->proc, getpid(), "ns/pid", O_RDONLY);
	pid_t child;
	int status;

	if (theirs < 0 || own < 0)
		return error_errno(err, theirs < 0 ? theirs : own, "open the pod's PID namespace");
	if (setns(theirs, CLONE_NEWPID) < 0)
		return error_errno(err, -errno, "enter the pod's PID namespace");
	child = birth();
	if (child == 0) {
		work(context);
		_exit(0);
	}
	if (setns(own, CLONE_NEWPID) < 0)
		return error_errno(err, -errno, "leave the pod's PID namespace");
	if (child < 0)
		return error_errno(err, child, "clone3");
	while (waitpid(child, &status, __WALL) < 0)
		if (errno != EINTR)
			return error_errno(err, -errno, "waitpid");
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		return error_set(err, -EIO, "the helper in the pod ended with status 0x%x", status);
	return 0;
}

struct question {
	int fd;
	int result;
	struct ucred answer;
};

static void ask_peer(void *context)
{
	struct question *q = context;
	socklen_t len = sizeof(q->answer);

	q->result = getsockopt(q->fd, SOL_SOCKET, SO_PEERCRED, &q->answer, &len) < 0 ? -errno : 0;
}

/* The PID of one that is no process of the pod now: gone, or outside. */
static int ask_inside(struct dump *d, int fd, pid_t *ret, struct ct_error *err)
{
	struct question *q = mmap(NULL, sizeof(*q), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
				  -1, 0);
	int r;

	if (q == MAP_FAILED)
		return error_errno(err, -errno, "mmap");
	q->fd = fd;
	r = unix_inside(d, ask_peer, q, err);
	if (r == 0)
		r = q->result < 0 ? error_errno(err, q->result, "SO_PEERCRED") : 0;
	*ret = q->answer.pid;
	munmap(q, sizeof(*q));
	return r;
}

static int read_groups(int fd, struct unix_who *who, struct ct_error *err)
{
	socklen_t len = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &len) == 0 || !len)
		return 0;
	if (errno != ERANGE)
		return error_errno(err, -errno, "SO_PEERGROUPS");
	who->groups = malloc(len);
	if (!who->groups)
		return error_errno(err, -ENOMEM, "groups");
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, who->groups, &len) < 0)
		return error_errno(err, -errno, "SO_PEERGROUPS");
	who->n_groups = len / sizeof(gid_t);
	return 0;
}

int unix_who_read(struct dump *d, const struct fd_view *v, struct unix_who *ret, struct ct_error *err)
{
	const struct dump_process *p;
	struct ucred c = { 0 };
	socklen_t len = sizeof(c);

	if (getsockopt(v->dup, SOL_SOCKET, SO_PEERCRED, &c, &len) < 0)
		return error_errno(err, -errno, "SO_PEERCRED");
	if (!c.pid && c.uid == (uid_t)-1)
		return 0;
	ret->known = true;
	ret->uid = c.uid;
	ret->gid = c.gid;
	p = dump_by_pid(d, c.pid);
	if (p) {
		ret->vpid = p->vpid;
	} else if (c.pid == d->pod->state.pid1) {
		ret->vpid = 1;
	} else if (!d->preflight) {
		int r = ask_inside(d, v->dup, &ret->vpid, err);

		if (r < 0)
			return r;
	}
	return read_groups(v->dup, ret, err);
}
