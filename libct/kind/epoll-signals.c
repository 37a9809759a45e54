/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signalfds in epoll sets. The kernel hangs such a pair on the signals of the process that called
 * epoll_ctl(2), not on the signalfd. So that process adds it again itself. Nothing shows which one
 * it was: it is the one that has both, and of a family that inherited them the eldest.
 *
 * Is the set polled by anybody else, for whom no signal is pending, the kernel takes the pair off its
 * list of those that are ready. So these sets are never polled in a dump, and what would have to be
 * polled (edge-triggered descriptors with events) is refused.
 */
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>

#include "libct/base/cleanup.h"
#include "libct/kind.h"
#include "libct/kind/epoll.h"

static bool is_kind(struct dump *d, uint32_t id, const char *kind)
{
	const struct node *n = dump_descriptor_node(d, id);

	return n && node_has(n, "kind") && !strcmp(node_str(n, "kind"), kind);
}

/* The number that the process has the set under; negative: none. */
static int number_of(struct dump *d, const struct dump_process *p, const struct fd_view *v)
{
	cleanup_free int *list = NULL;
	ssize_t n = proc_numbers(d->proc, p->pid, "fd", &list);
	uint32_t id;

	for (ssize_t i = 0; i < n; i++)
		if (dump_descriptor_find(d, p->pid, list[i], &id) == 0 && id == v->id)
			return list[i];
	return -ENOENT;
}

static bool descends(struct dump *d, const struct dump_process *p, const struct dump_process *from)
{
	while (p && p != from)
		p = p->parent_vpid ? dump_by_vpid(d, p->parent_vpid) : NULL;
	return p != NULL;
}

static bool any_pending(const struct dump_process *p)
{
	uint64_t set = p->status.sig_shared_pending;

	for (size_t i = 0; i < p->n_threads; i++)
		set |= p->threads[i].status.sig_pending;
	return set != 0;
}

static void find_process(struct dump *d, const struct fd_view *v, struct epoll_target *t)
{
	const struct dump_process *found = NULL;

	for (size_t i = 0; i < d->n_processes; i++) {
		const struct dump_process *p = &d->processes[i];
		int set;

		if (p->zombie || !epoll_is_target(&t->slot, p->pid, t->fd))
			continue;
		set = number_of(d, p, v);
		if (set < 0)
			continue;
		if (!found) {
			found = p;
			t->process = p->vpid;
			t->set = set;
		} else if (!descends(d, p, found)) {
			dump_refuse_fd(d, v, "the epoll set watches a signalfd (descriptor %d) that "
					     "unrelated processes have, and whose signals it reports is "
					     "not to be seen; close it in all but one", t->fd);
			return;
		}
	}
	if (!found && !d->preflight)
		dump_refuse_fd(d, v, "the epoll set watches a signalfd that no process has as "
				     "descriptor %d together with the set any more, which is not "
				     "carried; remove it from the set first", t->fd);
	else if (found && t->events & EPOLLET && any_pending(found))
		dump_refuse_fd(d, v, "the epoll set watches a signalfd (descriptor %d) edge-triggered, "
				     "and signals are pending: that is not carried; try again when "
				     "they have been read", t->fd);
}

/* Others that were reported perhaps: to find out, the set would have to be polled. */
static void check_edges(struct dump *d, const struct fd_view *v, const struct epoll_target *t)
{
	cleanup_fd int fd = dump_descriptor_dup(d, t->descriptor);
	struct pollfd p = { .fd = fd, .events = (short)(t->events & 0x7fff) };
	const uint32_t flags = EPOLLWAKEUP | EPOLLONESHOT | EPOLLET | EPOLLEXCLUSIVE;

	if (fd < 0)
		return;
	if (t->events & EPOLLONESHOT && !(t->events & ~flags))
		dump_refuse_fd(d, v, "EPOLLONESHOT has fired for descriptor %d of an epoll set with a "
				     "signalfd, which is not carried; try again when it waits again",
			       t->fd);
	else if (t->events & EPOLLET && poll(&p, 1, 0) > 0)
		dump_refuse_fd(d, v, "descriptor %d is watched edge-triggered and has events, in an "
				     "epoll set with a signalfd: that is not carried; use "
				     "level-triggered events or a set of its own for the signalfd",
			       t->fd);
}

/* A set in this one: has it a signalfd? */
static int check_nested(struct dump *d, const struct fd_view *v, const struct epoll_target *t,
			struct ct_error *err)
{
	cleanup_free struct epoll_target *list = NULL;
	struct fd_view inner = { .dup = -1 };
	cleanup_free char *info = NULL;
	char name[32];
	size_t n = 0;
	int r;

	if (!dump_descriptor_holder(d, t->descriptor, &inner.pid, &inner.fd))
		return 0;
	snprintf(name, sizeof(name), "fdinfo/%d", inner.fd);
	cleanup_fd int dup = dump_descriptor_dup(d, t->descriptor);
	if (dup < 0 || proc_read(d->proc, inner.pid, name, &info) < 0)
		return 0;
	inner.dup = dup;
	inner.fdinfo = info;
	inner.id = t->descriptor;
	r = epoll_read_targets(d, &inner, &list, &n, err);
	for (size_t i = 0; r == 0 && i < n; i++)
		if (is_kind(d, list[i].descriptor, "signalfd")) {
			dump_refuse_fd(d, v, "the epoll set watches another one (descriptor %d) that "
					     "watches a signalfd, which is not carried; put the "
					     "signalfd into the outer set", t->fd);
			break;
		}
	return r;
}

int epoll_find_signals(struct dump *d, const struct fd_view *v, struct epoll_target *list, size_t n,
		       bool *ret, struct ct_error *err)
{
	int r = 0;

	*ret = false;
	for (size_t i = 0; i < n; i++)
		*ret |= is_kind(d, list[i].descriptor, "signalfd");
	for (size_t i = 0; r == 0 && i < n; i++) {
		if (is_kind(d, list[i].descriptor, "epoll"))
			r = check_nested(d, v, &list[i], err);
		else if (is_kind(d, list[i].descriptor, "signalfd"))
			find_process(d, v, &list[i]);
		if (*ret && !list[i].process)
			check_edges(d, v, &list[i]);
	}
	return r;
}

/* ---- restore ---- */

void epoll_get_signals(const struct node *n, struct epoll_target *t)
{
	if (!node_has(n, "process"))
		return;
	t->process = (pid_t)node_i64(n, "process", 1, 1 << 22);
	t->set = (int)node_i64(n, "set", 0, 1 << 20);
}

static int add(struct restore *r, const struct node *n, struct ct_error *err)
{
	struct epoll_target t = { 0 };
	struct epoll_event event;
	struct restore_process *p;
	int e;

	epoll_get_signals(n, &t);
	t.fd = (int)node_i64(n, "fd", 0, 1 << 20);
	event = (struct epoll_event){ .events = (uint32_t)node_hex(n, "events"),
				      .data.u64 = node_hex(n, "data") };
	p = restore_by_vpid(r, t.process);
	if (!p || p->zombie)
		node_complain(n, "pid %d, which is not in the manifest", t.process);
	e = doc_check(r->doc, err);
	if (e == 0)
		e = tape_need(&p->tape, 1, sizeof(event), err);
	if (e < 0)
		return e;
	tape_must(&p->tape, "add a signalfd to an epoll set", SYS_epoll_ctl, (uint64_t)t.set,
		  EPOLL_CTL_ADD, (uint64_t)t.fd, tape_data(&p->tape, &event, sizeof(event)), 0, 0);
	e = restore_run(p, err);
	return error_prefix(err, e, "pid %d", p->vpid);
}

int epoll_restore_signals(struct restore *r, const struct node *n, struct ct_error *err)
{
	const struct node *array = node_array(n, "targets");
	int e = 0;

	for (size_t i = 0; e == 0 && i < node_count(array); i++)
		if (node_has(node_at(array, i), "process"))
			e = add(r, node_at(array, i), err);
	return e;
}
