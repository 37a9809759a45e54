/* SPDX-License-Identifier: Apache-2.0 */
/* Open file descriptions are made once, here; processes get duplicates by pidfd_getfd(2). */
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>

#include "libct/base/cleanup.h"
#include "libct/kind.h"
#include "libct/kind/locks.h"
#include "libct/restore-steps.h"

const struct node *restore_ofd_node(struct restore *r, uint32_t id, const struct node *at)
{
	const struct node *list = node_array(r->root, "descriptors");

	if (id >= r->n_ofds) {
		node_complain(at, "a descriptor %u that is not in the manifest", id);
		return NULL;
	}
	return node_at(list, id);
}

/* What is wrong with a number here is the kind's to complain about. */
int restore_link_descriptors(struct restore *r)
{
	cleanup_free uint32_t *last = calloc(r->n_ofds + 1, sizeof(*last)); /* by first number; plus one */

	r->ofds_next = calloc(r->n_ofds + 1, sizeof(*r->ofds_next));
	if (!last || !r->ofds_next)
		return -ENOMEM;
	for (uint32_t i = 0; i < r->n_ofds; i++) {
		const struct node *n = restore_ofd_node(r, i, r->root);
		const struct kind *k = kind_find(node_str(n, "kind"));
		uint64_t first;

		r->ofds_next[i] = (uint32_t)r->n_ofds;
		if (!k || !k->fd_first || !node_has(n, k->fd_first))
			continue;
		first = node_u64(n, k->fd_first, UINT32_MAX);
		if (first >= r->n_ofds)
			continue;
		if (last[first])
			r->ofds_next[last[first] - 1] = i;
		last[first] = i + 1;
	}
	return 0;
}

uint32_t restore_ofd_next(const struct restore *r, uint32_t id)
{
	return r->ofds_next[id];
}

/* The status flags that F_SETFL can change, and SIGIO's signal; the owner comes when it exists. */
static int set_flags(int fd, const struct node *n, struct ct_error *err)
{
	const int settable = O_APPEND | O_NONBLOCK | O_DIRECT | O_NOATIME;
	int want = (int)node_hex(n, "flags"), have = fcntl(fd, F_GETFL);

	if (want & O_PATH)
		return 0;
	if (((want ^ have) & settable) && fcntl(fd, F_SETFL, (have & ~settable) | (want & settable)) < 0)
		return error_errno(err, -errno, "fcntl F_SETFL");
	if (node_has(n, "signal") &&
	    fcntl(fd, F_SETSIG, (int)node_i64(n, "signal", 1, 64)) < 0)
		return error_errno(err, -errno, "fcntl F_SETSIG");
	return 0;
}

int restore_put_ofd(struct restore *r, uint32_t id, int fd, struct ct_error *err)
{
	if (id >= r->n_ofds || r->ofds[id] >= 0) {
		fd_close(fd);
		return error_set(err, -EBADMSG, "manifest.json: descriptors[%u] is wanted twice", id);
	}
	r->ofds[id] = fd;
	return set_flags(fd, node_at(node_array(r->root, "descriptors"), id), err);
}

int restore_ofd(struct restore *r, uint32_t id, struct ct_error *err)
{
	const struct node *n = restore_ofd_node(r, id, r->root);
	const struct kind *k;
	int e, fd = -1;

	if (!n)
		return doc_check(r->doc, err);
	if (r->ofds[id] >= 0)
		return r->ofds[id];
	if (r->ofds[id] == -2)
		return error_set(err, -EBADMSG, "manifest.json: descriptors[%u] refers to itself", id);
	k = kind_find(node_str(n, "kind"));
	if (!k || !k->fd_restore)
		return error_set(err, -EPROTONOSUPPORT,
				 "descriptors[%u] is of a kind '%s' that this version does not know", id,
				 node_str(n, "kind"));
	r->ofds[id] = -2; /* under way */
	e = k->fd_restore(r, n, id, &fd, err);
	if (r->ofds[id] == -2)
		r->ofds[id] = -1;
	if (e == 0)
		e = doc_check(r->doc, err);
	if (e == 0 && r->ofds[id] < 0)
		e = restore_put_ofd(r, id, take_fd(&fd), err);
	fd_close(fd);
	if (e < 0)
		return error_prefix(err, e, "descriptors[%u] (%s)", id, k->name);
	return r->ofds[id];
}

int restore_descriptors(struct restore *r, struct ct_error *err)
{
	/* In the order of the table, which has the reasons. */
	for (size_t k = 0; kinds[k]; k++)
		for (size_t i = 0; kinds[k]->fd_restore && i < r->n_ofds; i++) {
			const struct node *n = restore_ofd_node(r, (uint32_t)i, r->root);
			int e;

			if (strcmp(node_str(n, "kind"), kinds[k]->name))
				continue;
			e = restore_ofd(r, (uint32_t)i, err);
			if (e < 0)
				return e;
		}
	for (size_t i = 0; i < r->n_ofds; i++) {
		int e = restore_ofd(r, (uint32_t)i, err);

		if (e < 0)
			return e;
	}
	return 0;
}

static struct restore_thread *find_thread(struct restore *r, pid_t vtid)
{
	for (size_t i = 0; i < r->n_processes; i++)
		for (size_t k = 0; k < r->processes[i].n_threads; k++)
			if (r->processes[i].threads[k].vtid == vtid)
				return &r->processes[i].threads[k];
	return NULL;
}

/* F_SETOWN_EX takes PIDs as we see them: on the host. */
static int set_owner(struct restore *r, const struct node *n, int fd, struct ct_error *err)
{
	const struct node *o = node_object(n, "owner");
	struct f_owner_ex owner = { .type = (int)node_i64(o, "type", F_OWNER_TID, F_OWNER_PGRP) };
	pid_t id = (pid_t)node_i64(o, "id", 0, 1 << 22);
	struct restore_thread *t = id ? find_thread(r, id) : NULL;

	if (!id)
		return 0;
	if (!t)
		return 0; /* a process group whose leader has ended: nobody to name it by */
	owner.pid = t->t.tid;
	return fcntl(fd, F_SETOWN_EX, &owner) < 0 ? error_errno(err, -errno, "fcntl F_SETOWN_EX") : 0;
}

static int restore_kind_late(struct restore *r, const struct kind *k, struct ct_error *err)
{
	for (size_t i = 0; i < r->n_ofds; i++) {
		const struct node *n = restore_ofd_node(r, (uint32_t)i, r->root);
		int e;

		if (strcmp(node_str(n, "kind"), k->name))
			continue;
		e = k->fd_restore_late(r, n, r->ofds[i], err);
		if (e < 0)
			return error_prefix(err, e, "descriptors[%zu] (%s)", i, k->name);
	}
	return 0;
}

/* Owners last: nobody gets a signal for what the others do to a descriptor. */
int restore_descriptors_late(struct restore *r, struct ct_error *err)
{
	int e = 0;

	for (size_t k = 0; e == 0 && kinds[k]; k++)
		if (kinds[k]->fd_restore_late)
			e = restore_kind_late(r, kinds[k], err);
	for (size_t i = 0; e == 0 && i < r->n_ofds; i++) {
		const struct node *n = restore_ofd_node(r, (uint32_t)i, r->root);

		if (node_has(n, "owner"))
			e = set_owner(r, n, r->ofds[i], err);
		if (e == 0 && (int)node_hex(n, "flags") & O_ASYNC &&
		    fcntl(r->ofds[i], F_SETFL, fcntl(r->ofds[i], F_GETFL) | O_ASYNC) < 0)
			e = error_errno(err, -errno, "fcntl F_SETFL");
		if (e == 0)
			e = locks_restore(n, r->ofds[i], err);
		if (e < 0)
			return error_prefix(err, e, "descriptors[%zu] (%s)", i, node_str(n, "kind"));
	}
	return e;
}

ssize_t restore_tape_fd(struct restore_process *p, struct tape *tape, int fd, int target, bool cloexec)
{
	size_t got = tape_must(tape, "pidfd_getfd", SYS_pidfd_getfd, (uint64_t)p->restorer_fd,
			       (uint64_t)fd, 0, 0, 0, 0);

	if (target < 0)
		return (ssize_t)got;
	tape_chain(tape, got,
		   tape_must(tape, "dup3", SYS_dup3, 0, (uint64_t)target, cloexec ? O_CLOEXEC : 0, 0, 0,
			     0),
		   0);
	tape_chain(tape, got, tape_call(tape, SYS_close, 0, 0, 0, 0, 0, 0), 0);
	return (ssize_t)got;
}
