/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An epoll set: pairs of a descriptor number and an open file description, each with the events that
 * are waited for. man 7 epoll.
 *
 * fdinfo lists the numbers as they were when the pairs were added; since then a number may have been closed
 * or given to something else, so kcmp(KCMP_EPOLL_TFD) finds out which description is meant. The pairs are
 * added again under the same numbers by a thread with a descriptor table of its own.
 *
 * What the kernel shows nowhere is what of it was reported already. Where an edge was (the set is not
 * ready though its target is), the report is fetched and dropped after the restore. The same is done for
 * EPOLLONESHOT that has fired; where its target is not ready, there is nothing to make it fire again.
 *
 * A signalfd wakes a set by the signals of the process that added it: epoll-signals.c.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <linux/kcmp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>

#include "libct/base/cleanup.h"
#include "libct/base/sys.h"
#include "libct/kind.h"
#include "libct/kind/epoll.h"
#include "libct/kind/fdinfo.h"

#define PRIVATE_EVENTS (EPOLLWAKEUP | EPOLLONESHOT | EPOLLET | EPOLLEXCLUSIVE)
#define MAX_DEPTH 5 /* of sets in sets; EP_MAX_NESTS of the kernel is 4 */
#define ANY_EVENT (EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDHUP)

static bool has_fired(const struct epoll_target *t)
{
	return t->events & EPOLLONESHOT && !(t->events & ~PRIVATE_EVENTS);
}

static bool epoll_is(const struct dump *d, const struct fd_view *v)
{
	return fdinfo_is(v->link, "[eventpoll]");
}

/* Busy polling: struct epoll_params of Linux 6.9. */
struct busy_poll {
	uint32_t usecs;
	uint16_t budget;
	uint8_t prefer, unused;
};
#define GET_BUSY_POLL _IOR(0x8a, 2, struct busy_poll)
#define SET_BUSY_POLL _IOW(0x8a, 1, struct busy_poll)

/* The targets are put when every description has its number. */
static int epoll_dump(struct dump *d, const struct fd_view *v, struct node *n, struct ct_error *err)
{
	struct busy_poll busy = { 0 };
	struct node *array;

	if (ioctl(v->dup, GET_BUSY_POLL, &busy) < 0 || (!busy.usecs && !busy.budget && !busy.prefer))
		return 0;
	array = node_put_array(n, "busy_poll");
	node_put_u64(array, NULL, busy.usecs);
	node_put_u64(array, NULL, busy.budget);
	node_put_u64(array, NULL, busy.prefer);
	return 0;
}

static short ready(int fd, uint32_t events)
{
	struct pollfd p = { .fd = fd, .events = (short)(events & 0x7fff) };

	return poll(&p, 1, 0) > 0 ? p.revents : 0;
}

bool epoll_is_target(const struct kcmp_epoll_slot *slot, pid_t pid, int fd)
{
	return sys_kcmp(pid, getpid(), KCMP_EPOLL_TFD, (unsigned long)fd,
			(unsigned long)(uintptr_t)slot) == 0;
}

/* Which description a pair means: most likely the one that still has the number. */
static int find_target(struct dump *d, const struct fd_view *v, const struct kcmp_epoll_slot *slot,
		       uint32_t *ret)
{
	int fd, number = (int)slot->tfd;
	pid_t pid = v->pid;

	if (epoll_is_target(slot, pid, number) && dump_descriptor_find(d, pid, number, ret) == 0)
		return 0;
	for (size_t i = 0; i < d->n_processes; i++)
		if (!d->processes[i].zombie && epoll_is_target(slot, d->processes[i].pid, number) &&
		    dump_descriptor_find(d, d->processes[i].pid, number, ret) == 0)
			return 0;
	for (uint32_t i = 0; dump_descriptor_holder(d, i, &pid, &fd); i++)
		if (epoll_is_target(slot, pid, fd)) {
			*ret = i;
			return 0;
		}
	return -ENOENT;
}

/* Whether the program has heard of what its target is ready for; refuses what could not be made again. */
static void judge(struct dump *d, const struct fd_view *v, struct epoll_target *t)
{
	bool fired = has_fired(t);
	cleanup_fd int fd = -1;

	if (!(fired || t->events & EPOLLET))
		return;
	fd = dump_descriptor_dup(d, t->descriptor);
	if (fd < 0)
		return; /* closed meanwhile */
	if (fired && !ready(fd, ANY_EVENT))
		dump_refuse_fd(d, v,
			       "EPOLLONESHOT has fired for its descriptor %d, which is not ready any more: "
			       "that is not carried; try again when it waits for it again", t->fd);
	t->reported = !fired && ready(fd, t->events) && !ready(v->dup, POLLIN);
}

static int compare(const void *a, const void *b)
{
	const struct epoll_target *x = a, *y = b;

	if (x->fd != y->fd)
		return (x->fd > y->fd) - (x->fd < y->fd);
	return (x->descriptor > y->descriptor) - (x->descriptor < y->descriptor);
}

int epoll_read_targets(struct dump *d, const struct fd_view *v, struct epoll_target **ret,
		       size_t *ret_n, struct ct_error *err)
{
	cleanup_free struct epoll_target *list = NULL;
	const char *at = v->fdinfo;
	size_t n = 0, max = 0;

	while ((at = strstr(at, "tfd:"))) {
		struct kcmp_epoll_slot slot = { .efd = (uint32_t)v->dup };
		struct epoll_target t = { 0 };

		if (sscanf(at, "tfd: %d events: %" SCNx32 " data: %" SCNx64, &t.fd, &t.events,
			   &t.data) != 3)
			return error_set(err, -ENOSYS, "fdinfo shows an epoll set in another form");
		at += 4;
		slot.tfd = (uint32_t)t.fd;
		/* The same number more than once: the kernel counts them in the order of fdinfo. */
		for (size_t i = 0; i < n; i++)
			slot.toff += list[i].fd == t.fd;
		if (find_target(d, v, &slot, &t.descriptor) < 0) {
			if (!d->preflight)
				dump_refuse_fd(d, v, "the epoll set watches what was descriptor %d, which "
						     "no process of the pod has open any more; remove it "
						     "from the set first", t.fd);
			continue;
		}
		t.slot = slot;
		if (n == max) {
			struct epoll_target *grown =
				realloc(list, sizeof(*list) * (max = max ? max * 2 : 16));

			if (!grown)
				return error_errno(err, -ENOMEM, "epoll set");
			list = grown;
		}
		list[n++] = t;
	}
	if (n)
		qsort(list, n, sizeof(*list), compare);
	*ret = take_ptr(list);
	*ret_n = n;
	return 0;
}

static int epoll_link(struct dump *d, const struct fd_view *v, struct node *n, struct ct_error *err)
{
	struct node *array = node_put_array(n, "targets");
	cleanup_free struct epoll_target *list = NULL;
	size_t count = 0;
	int r = epoll_read_targets(d, v, &list, &count, err);
	bool signals = false;

	if (r == 0)
		r = epoll_find_signals(d, v, list, count, &signals, err);
	/* Whoever polls a set with a signalfd takes its event away from the process that it is for. */
	for (size_t i = 0; r == 0 && !signals && i < count; i++)
		judge(d, v, &list[i]);
	for (size_t i = 0; r == 0 && i < count; i++) {
		struct node *t = node_put_object(array, NULL), *state;

		node_put_i64(t, "fd", list[i].fd);
		node_put_u64(t, "descriptor", list[i].descriptor);
		node_put_hex(t, "events", list[i].events);
		node_put_hex(t, "data", list[i].data);
		if (list[i].process) {
			node_put_i64(t, "process", list[i].process);
			node_put_i64(t, "set", list[i].set);
		}
		state = node_put_object(t, "volatile");
		node_put_bool(state, "reported", list[i].reported);
	}
	return r;
}

/* ---- restore ---- */

static int epoll_restore(struct restore *r, const struct node *n, uint32_t id, int *ret_fd,
			 struct ct_error *err)
{
	const struct node *array = node_has(n, "busy_poll") ? node_array(n, "busy_poll") : NULL;
	struct busy_poll busy = { 0 };
	int e;

	*ret_fd = epoll_create1(EPOLL_CLOEXEC);
	if (*ret_fd < 0)
		return error_errno(err, -errno, "epoll_create1");
	if (!array)
		return 0;
	busy.usecs = (uint32_t)node_at_u64(array, 0, INT32_MAX);
	busy.budget = (uint16_t)node_at_u64(array, 1, 64); /* more wants CAP_NET_ADMIN */
	busy.prefer = (uint8_t)node_at_u64(array, 2, 1);
	e = doc_check(r->doc, err);
	if (e == 0 && ioctl(*ret_fd, SET_BUSY_POLL, &busy) < 0)
		e = error_errno(err, -errno, "set the busy polling of an epoll set");
	return e;
}

/* What the thread works on: descriptors are ours, in its copy of our table. */
struct filling {
	int epoll;
	struct epoll_target *targets;
	int *files; /* of the targets */
	size_t n;
	int max;
	int result;
	int failed; /* number of the target that failed, -1: none */
};

/* Adds what has been reported first, so that fetching the report again fetches nothing else. */
static int add(struct filling *f, const struct epoll_target *t, int file)
{
	struct epoll_event event = { .events = t->events, .data.u64 = t->data }, got;

	if (has_fired(t))
		event.events |= ANY_EVENT;
	if (dup2(file, t->fd) < 0 || epoll_ctl(f->epoll, EPOLL_CTL_ADD, t->fd, &event) < 0)
		return -errno;
	if (has_fired(t) || t->reported) {
		int n = epoll_wait(f->epoll, &got, 1, 0);

		if (n < 0)
			return -errno;
		if (n == 0 && has_fired(t))
			return -EAGAIN;
	}
	return 0;
}

static int fill(struct filling *f)
{
	int fd;

	/* Not only the table: entering mount namespaces again wants the caller's CLONE_FS unshared. */
	if (unshare(CLONE_FILES | CLONE_FS) < 0)
		return -errno;
	/* Out of the way of the numbers that the pairs have. */
	fd = fcntl(f->epoll, F_DUPFD_CLOEXEC, f->max + 1);
	if (fd < 0)
		return -errno;
	f->epoll = fd;
	for (size_t i = 0; i < f->n; i++) {
		f->files[i] = fcntl(f->files[i], F_DUPFD_CLOEXEC, f->max + 1);
		if (f->files[i] < 0)
			return -errno;
	}
	for (int reported = 1; reported >= 0; reported--)
		for (size_t i = 0; i < f->n; i++) {
			struct epoll_target *t = &f->targets[i];
			int r = 0;

			if (!t->process && (has_fired(t) || t->reported) == reported)
				r = add(f, t, f->files[i]);
			if (r < 0) {
				f->failed = t->fd;
				return r;
			}
		}
	return 0;
}

static void *fill_thread(void *context)
{
	struct filling *f = context;

	/*
	 * A thread that has been joined may still hold the file system attributes it shares, and who shares
	 * them cannot enter a mount namespace.
	 */
	f->result = unshare(CLONE_FS) < 0 ? -errno : fill(f);
	return NULL;
}

/* Room for the numbers: ours may be limited to less than the program's. */
static void raise_limit(struct rlimit *old)
{
	struct rlimit most;

	if (getrlimit(RLIMIT_NOFILE, old) < 0)
		return;
	most = (struct rlimit){ old->rlim_max, old->rlim_max };
	setrlimit(RLIMIT_NOFILE, &most);
}

static int run_thread(struct filling *f, struct ct_error *err)
{
	struct rlimit old = { RLIM_INFINITY, RLIM_INFINITY };
	pthread_t thread;
	int e;

	raise_limit(&old);
	e = -pthread_create(&thread, NULL, fill_thread, f);
	if (e == 0)
		pthread_join(thread, NULL);
	setrlimit(RLIMIT_NOFILE, &old);
	if (e < 0)
		return error_errno(err, e, "start a thread");
	if (f->failed >= 0)
		return error_errno(err, f->result, "add descriptor %d to the epoll set", f->failed);
	return f->result < 0 ? error_errno(err, f->result, "fill the epoll set") : 0;
}

/* Has it pairs already? fdinfo tells. */
static bool is_filled(struct restore *r, int fd)
{
	cleanup_free char *info = NULL;
	char name[32];

	snprintf(name, sizeof(name), "fdinfo/%d", fd);
	return proc_read(r->proc, getpid(), name, &info) > 0 && strstr(info, "tfd:");
}

static int restore_targets(struct restore *r, const struct node *n, int fd, int depth,
			   struct ct_error *err);

/* A set in the set comes first, because its readiness is looked at. */
static int get_target(struct restore *r, const struct node *n, struct epoll_target *t, int *ret_file,
		      int depth, struct ct_error *err)
{
	const struct node *other;
	int e;

	t->fd = (int)node_i64(n, "fd", 0, 1 << 20);
	t->descriptor = (uint32_t)node_u64(n, "descriptor", r->n_ofds - 1);
	t->events = (uint32_t)node_hex(n, "events");
	t->data = node_hex(n, "data");
	t->reported = node_bool(node_object(n, "volatile"), "reported");
	epoll_get_signals(n, t);
	if (t->process && (has_fired(t) || t->reported))
		node_complain(n, "a signalfd whose event was reported");
	if (t->events & EPOLLWAKEUP && !(r->pod->config.capabilities & 1ULL << CAP_BLOCK_SUSPEND))
		node_complain(n, "EPOLLWAKEUP, which the pod may not use");
	e = doc_check(r->doc, err);
	if (e < 0)
		return e;
	*ret_file = restore_ofd(r, t->descriptor, err);
	if (*ret_file < 0)
		return *ret_file;
	other = restore_ofd_node(r, t->descriptor, n);
	return strcmp(node_str(other, "kind"), "epoll") ?
		       0 :
		       restore_targets(r, other, *ret_file, depth + 1, err);
}

static int restore_targets(struct restore *r, const struct node *n, int fd, int depth,
			   struct ct_error *err)
{
	const struct node *array = node_array(n, "targets");
	struct filling f = { .epoll = fd, .n = node_count(array), .failed = -1 };
	cleanup_free struct epoll_target *targets = calloc(f.n + 1, sizeof(*targets));
	cleanup_free int *files = calloc(f.n + 1, sizeof(*files));

	if (!targets || !files)
		return error_errno(err, -ENOMEM, "epoll set");
	if (depth > MAX_DEPTH)
		return error_set(err, -EBADMSG, "epoll sets in each other deeper than can be");
	if (!f.n || is_filled(r, fd))
		return 0;
	f.targets = targets;
	f.files = files;
	for (size_t i = 0; i < f.n; i++) {
		int e = get_target(r, node_at(array, i), &targets[i], &files[i], depth, err);

		if (e < 0)
			return e;
		if (targets[i].fd > f.max)
			f.max = targets[i].fd;
	}
	return run_thread(&f, err);
}

static int epoll_restore_late(struct restore *r, const struct node *n, int fd, struct ct_error *err)
{
	int e = restore_targets(r, n, fd, 0, err);

	return e < 0 ? e : epoll_restore_signals(r, n, err);
}

const struct kind kind_epoll = {
	.name = "epoll",
	.carries = "epoll sets with everything in them: nested, edge-triggered, EPOLLONESHOT, EPOLLEXCLUSIVE, "
		   "descriptors that were closed or renumbered since",
	.refuses = "EPOLLONESHOT that has fired for a descriptor that is not ready any more; sets with a signalfd "
		   "that are in another set, or that have edge-triggered descriptors with events",
	.victims = "epoll-basic epoll-edge epoll-oneshot epoll-oneshot-unready epoll-exclusive epoll-nested epoll-renumbered "
		   "epoll-signalfd epoll-signalfd-nested",
	.fd_is = epoll_is,
	.fd_dump = epoll_dump,
	.fd_link = epoll_link,
	.fd_restore = epoll_restore,
	.fd_restore_late = epoll_restore_late,
};
