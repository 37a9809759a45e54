/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open file descriptions, each found once however many descriptors of however many processes lead
 * to it (kcmp(2) tells), and the tables of descriptors.
 */
#include <fcntl.h>
#include <linux/kcmp.h>
#include <string.h>
#include <sys/vfs.h>

#include "libct/base/io.h"
#include "libct/base/sys.h"
#include "libct/dump-steps.h"
#include "libct/kind.h"
#include "libct/kind/clock.h"
#include "libct/kind/locks.h"

#define BUCKETS 4096

struct fd_entry {
	pid_t pid; /* who holds it */
	int fd, own; /* `own`: kept by us because only a socket's queue held it, else -1 */
	dev_t dev;
	ino_t ino;
	const struct kind *kind;
	struct node *node;
	/* All plus one. Of each inode the first is in the bucket, the others are in a tree below it. */
	uint32_t next, child[2];
};

/* Where a description belongs that is not there yet. */
struct fd_spot {
	uint32_t parent; /* plus one; 0: in the bucket, as the first of its inode */
	int side;
};

struct fd_registry {
	struct fd_entry *entries;
	size_t n, max;
	uint32_t bucket[BUCKETS]; /* plus one */
	struct node *array;
};

void fd_registry_free(struct fd_registry *fds)
{
	if (!fds)
		return;
	for (size_t i = 0; i < fds->n; i++)
		fd_close(fds->entries[i].own);
	free(fds->entries);
	free(fds);
}

static size_t bucket_of(const struct stat *st)
{
	return (st->st_ino * 31 + st->st_dev) % BUCKETS;
}

/*
 * All eventfds of a host have one inode, so an inode's descriptions can be many. kcmp(2) puts them in order; as it
 * scrambles the order that they have in memory, the tree needs no balance. What was closed meanwhile (in a preflight)
 * has no place in the order: then both sides are looked at.
 */
static int find_below(struct fd_registry *fds, uint32_t i, pid_t pid, int fd, struct fd_spot *ret_spot,
		      uint32_t *ret)
{
	while (i) {
		struct fd_entry *e = &fds->entries[i - 1];
		int r = e->pid == pid && e->fd == fd
				? 0
				: sys_kcmp(e->pid, pid, KCMP_FILE, (unsigned long)e->fd, (unsigned long)fd);

		if (r == 0) {
			*ret = i - 1;
			return 1;
		}
		if (r < 0 && r != -ESRCH && r != -EBADF)
			return r;
		*ret_spot = (struct fd_spot){ i, r == 1 };
		if (r != 1 && r != 2) {
			r = find_below(fds, e->child[0], pid, fd, ret_spot, ret);
			if (r)
				return r;
			*ret_spot = (struct fd_spot){ i, 1 };
		}
		i = e->child[ret_spot->side];
	}
	return 0;
}

/* 1: found. 0: *ret_spot is where it belongs. */
static int find(struct fd_registry *fds, pid_t pid, int fd, const struct stat *st, struct fd_spot *ret_spot,
		uint32_t *ret)
{
	uint32_t i = fds->bucket[bucket_of(st)];

	while (i && (fds->entries[i - 1].dev != st->st_dev || fds->entries[i - 1].ino != st->st_ino))
		i = fds->entries[i - 1].next;
	*ret_spot = (struct fd_spot){ 0 };
	return find_below(fds, i, pid, fd, ret_spot, ret);
}

static void insert(struct fd_registry *fds, uint32_t id, const struct stat *st, struct fd_spot spot)
{
	uint32_t *slot = spot.parent ? &fds->entries[spot.parent - 1].child[spot.side]
				     : &fds->bucket[bucket_of(st)];

	fds->entries[id].next = spot.parent ? 0 : *slot;
	*slot = id + 1;
}

struct node *dump_descriptor_first(struct dump *d, const struct fd_view *v, const struct kind *kind,
				   uint32_t *ret_id)
{
	struct fd_registry *fds = d->fds;

	*ret_id = v->id;
	for (uint32_t i = fds->bucket[bucket_of(&v->st)]; i; i = fds->entries[i - 1].next) {
		struct fd_entry *e = &fds->entries[i - 1];

		if (e->dev == v->st.st_dev && e->ino == v->st.st_ino && e->kind == kind)
			*ret_id = i - 1;
	}
	return fds->entries[*ret_id].node;
}

bool dump_descriptor_holder(struct dump *d, uint32_t id, pid_t *ret_pid, int *ret_fd)
{
	if (!d->fds || id >= d->fds->n)
		return false;
	*ret_pid = d->fds->entries[id].pid;
	*ret_fd = d->fds->entries[id].fd;
	return true;
}

/* A duplicate of somebody's descriptor; our own are ours to duplicate. */
static int duplicate(struct dump *d, pid_t pid, int fd)
{
	struct dump_process *p;
	int r;

	if (pid == getpid()) {
		r = fcntl(fd, F_DUPFD_CLOEXEC, 3);
		return r < 0 ? -errno : r;
	}
	p = dump_by_pid(d, pid);
	return p ? sys_pidfd_getfd(p->pidfd, fd) : -ESRCH;
}

int dump_descriptor_dup(struct dump *d, uint32_t id)
{
	pid_t pid;
	int fd;

	return dump_descriptor_holder(d, id, &pid, &fd) ? duplicate(d, pid, fd) : -ENOENT;
}

struct node *dump_descriptor_node(struct dump *d, uint32_t id)
{
	return d->fds && id < d->fds->n ? d->fds->entries[id].node : NULL;
}

/* What every kind wants to know. The strings are freed by view_release(). */
static int view_fill(struct dump *d, struct fd_view *v, struct ct_error *err)
{
	char name[64], *link = NULL, *info = NULL;
	const char *at;
	struct statfs fs;
	ssize_t n;
	int r;

	snprintf(name, sizeof(name), "fd/%d", v->fd);
	r = proc_readlink(d->proc, v->pid, name, &link);
	if (r == -ENAMETOOLONG)
		return error_set(err, -EOPNOTSUPP,
				 "fd %d: a file whose path is longer than the kernel can tell is not carried", v->fd);
	if (r < 0)
		return error_errno(err, r, "read '%s'", name);
	v->link = link;
	snprintf(name, sizeof(name), "fdinfo/%d", v->fd);
	n = proc_read(d->proc, v->pid, name, &info);
	if (n < 0)
		return error_errno(err, (int)n, "read '%s'", name);
	v->fdinfo = info;
	at = strstr(info, "pos:");
	v->pos = at ? strtoull(at + 4, NULL, 10) : 0;
	at = strstr(info, "mnt_id:");
	v->mnt_id = at ? (unsigned int)strtoul(at + 7, NULL, 10) : 0;
	v->flags = fcntl(v->dup, F_GETFL);
	if (v->flags < 0)
		return error_errno(err, -errno, "fcntl F_GETFL");
	v->fstype = fstatfs(v->dup, &fs) < 0 ? 0 : fs.f_type;
	return 0;
}

static void view_release(struct fd_view *v)
{
	free((char *)v->link);
	free((char *)v->fdinfo);
	v->dup = fd_close(v->dup);
}

/* F_GETOWN_EX and F_GETSIG: who gets SIGIO. */
static void put_owner(struct dump *d, const struct fd_view *v, struct node *n)
{
	struct f_owner_ex owner = { 0 };
	struct node *o;
	int sig;

	if (v->flags & O_PATH)
		return;
	sig = fcntl(v->dup, F_GETSIG);
	if (sig > 0)
		node_put_i64(n, "signal", sig);
	if (fcntl(v->dup, F_GETOWN_EX, &owner) < 0 || !owner.pid)
		return;
	/* Nothing shows what F_NOTIFY waits for, but it makes its caller the owner, which has no other use. */
	if (S_ISDIR(v->st.st_mode))
		dump_refuse_fd(d, v, "it may report changes of its directory (F_NOTIFY), which is not carried; "
				     "close it first, or let the program use inotify");
	o = node_put_object(n, "owner");
	node_put_i64(o, "type", owner.type);
	if (owner.type == F_OWNER_PGRP) {
		for (size_t i = 0; i < d->n_processes; i++)
			if (d->processes[i].stat.pgrp == owner.pid) {
				node_put_i64(o, "id", d->processes[i].vpgid);
				return;
			}
	} else {
		struct dump_process *p = dump_by_pid(d, owner.pid);

		for (size_t k = 0; p && k < p->n_threads; k++)
			if (p->threads[k].t.tid == owner.pid) {
				node_put_i64(o, "id", p->threads[k].t.vtid);
				return;
			}
	}
	node_put_i64(o, "id", 0); /* it has ended: nobody gets the signal */
}

static int describe(struct dump *d, struct fd_view *v, struct fd_entry *e, struct ct_error *err)
{
	for (size_t i = 0; kinds[i]; i++) {
		int r;

		if (!kinds[i]->fd_is || !kinds[i]->fd_is(d, v))
			continue;
		e->kind = kinds[i];
		node_put_str(e->node, "kind", kinds[i]->name);
		node_put_hex(e->node, "flags", (uint64_t)v->flags);
		put_owner(d, v, e->node);
		locks_put(d, v, e->node);
		r = kinds[i]->fd_dump(d, v, e->node, err);
		d->descriptors_at = clock_now(CLOCK_MONOTONIC);
		return r < 0 ? error_prefix(err, r, "fd %d (%s)", v->fd, kinds[i]->name) : 0;
	}
	dump_refuse_fd(d, v, "%s is not carried yet; close it before the checkpoint", v->link);
	return 0;
}

static int registry(struct dump *d, struct fd_registry **ret)
{
	if (!d->fds) {
		d->fds = calloc(1, sizeof(*d->fds));
		if (!d->fds)
			return -ENOMEM;
		d->fds->array = node_put_array(d->root, "descriptors");
	}
	*ret = d->fds;
	return 0;
}

int dump_descriptor(struct dump *d, pid_t pid, int fd, uint32_t *ret_id, struct ct_error *err)
{
	struct fd_view v = { .pid = pid, .fd = fd, .dup = -1 };
	struct fd_registry *fds;
	struct fd_spot spot;
	struct fd_entry *e;
	uint32_t id;
	int r = registry(d, &fds);

	if (r < 0)
		return error_errno(err, r, "descriptors");
	v.dup = duplicate(d, pid, fd);
	if (v.dup < 0)
		return error_errno(err, v.dup, "fd %d", fd);
	if (fstat(v.dup, &v.st) < 0) {
		r = error_errno(err, -errno, "fd %d: fstat", fd);
		goto out;
	}
	r = find(fds, pid, fd, &v.st, &spot, ret_id);
	if (r != 0) {
		r = r < 0 ? error_errno(err, r, "kcmp") : 0;
		goto out;
	}
	r = view_fill(d, &v, err);
	if (r < 0)
		goto out;
	if (fds->n == fds->max) {
		e = realloc(fds->entries, sizeof(*e) * (fds->max = fds->max ? fds->max * 2 : 256));
		if (!e) {
			r = error_errno(err, -ENOMEM, "descriptors");
			goto out;
		}
		fds->entries = e;
	}
	id = v.id = (uint32_t)fds->n++;
	e = &fds->entries[id];
	*e = (struct fd_entry){ .pid = pid, .fd = fd, .own = -1, .dev = v.st.st_dev, .ino = v.st.st_ino,
				.node = node_put_object(fds->array, NULL) };
	insert(fds, id, &v.st, spot);
	if (pid == getpid()) {
		/* Kept, so that the number cannot be taken by another while the dump goes on. */
		e->own = take_fd(&v.dup);
		e->fd = e->own;
		v.fd = e->own;
		v.dup = fcntl(e->own, F_DUPFD_CLOEXEC, 3);
	}
	*ret_id = id;
	/* A kind may register others: `fds->entries` moves then, so the entry is found anew. */
	{
		struct fd_entry mine = *e;

		r = describe(d, &v, &mine, err);
		fds->entries[id].kind = mine.kind;
	}
out:
	view_release(&v);
	return r;
}

int dump_descriptor_find(struct dump *d, pid_t pid, int fd, uint32_t *ret_id)
{
	int r, dup = duplicate(d, pid, fd);
	struct fd_registry *fds;
	struct fd_spot spot;
	struct stat st;

	if (dup < 0)
		return dup;
	r = registry(d, &fds);
	if (r == 0 && fstat(dup, &st) < 0)
		r = -errno;
	if (r == 0)
		r = find(fds, pid, fd, &st, &spot, ret_id);
	fd_close(dup);
	return r < 0 ? r : r ? 0 : -ENOENT;
}

/*
 * fdinfo shows FD_CLOEXEC among the flags of the open file. A file that has O_CLOEXEC among its own (a
 * terminal from ioctl TIOCGPTPEER) shows it always: then only the process itself can tell.
 */
static int close_on_exec(struct dump *d, struct dump_process *p, int fd, const char *info,
			 bool *ret, struct ct_error *err)
{
	const char *at = strstr(info, "flags:");
	cleanup_fd int dup = -1;
	int64_t flags;
	int r;

	*ret = at && strtoul(at + 6, NULL, 8) & O_CLOEXEC;
	if (!*ret || d->preflight)
		return 0;
	dup = sys_pidfd_getfd(p->pidfd, fd);
	if (dup < 0 || !(fcntl(dup, F_GETFL) & O_CLOEXEC))
		return 0;
	r = dump_ask(p, SYS_fcntl, (uint64_t)fd, F_GETFD, &flags, err);
	if (r == 0)
		*ret = flags & FD_CLOEXEC;
	return r;
}

static int dump_table(struct dump *d, struct dump_process *p, struct node *table, struct ct_error *err)
{
	cleanup_free int *list = NULL;
	ssize_t n = proc_numbers(d->proc, p->pid, "fd", &list);

	if (n < 0)
		return error_errno(err, (int)n, "descriptors");
	d->stats.n_descriptors += (uint64_t)n;
	for (ssize_t i = 0; i < n; i++) {
		struct node *row;
		cleanup_free char *info = NULL;
		ssize_t n_info;
		char name[64];
		bool cloexec;
		uint32_t id;
		int r;

		r = dump_descriptor(d, p->pid, list[i], &id, err);
		if (r < 0 && d->preflight)
			continue; /* closed meanwhile, or will be met again after the stop */
		if (r < 0)
			return r;
		snprintf(name, sizeof(name), "fdinfo/%d", list[i]);
		n_info = proc_read(d->proc, p->pid, name, &info);
		if (n_info < 0 && d->preflight)
			continue;
		if (n_info < 0)
			return error_errno(err, (int)n_info, "read '%s'", name);
		p->locks |= locks_in(info);
		r = close_on_exec(d, p, list[i], info, &cloexec, err);
		if (r < 0)
			return error_prefix(err, r, "fd %d", list[i]);
		row = node_put_array(table, NULL);
		node_put_u64(row, NULL, (uint64_t)list[i]);
		node_put_u64(row, NULL, id);
		node_put_u64(row, NULL, cloexec);
	}
	return 0;
}

int dump_descriptors(struct dump *d, struct ct_error *err)
{
	struct node *tables = node_put_array(d->root, "descriptor_tables");
	struct fd_registry *fds;
	uint32_t n_tables = 0;
	int r = registry(d, &fds);

	if (r < 0)
		return error_errno(err, r, "descriptors");
	for (size_t i = 0; i < d->n_processes; i++) {
		struct dump_process *p = &d->processes[i];

		if (p->zombie)
			continue;
		p->table = n_tables++;
		r = dump_table(d, p, node_put_array(tables, NULL), err);
		if (r < 0 && !(d->preflight && r == -ESRCH))
			return error_prefix(err, r, "pid %d (%s)", p->vpid, p->stat.comm);
	}
	return 0;
}

bool dump_find_fd(const struct dump *d, ino_t ino, const struct kind *kind, struct fd_view *ret)
{
	for (size_t i = 0; ino && d->fds && i < d->fds->n; i++) {
		const struct fd_entry *e = &d->fds->entries[i];

		if (e->ino != ino || e->kind != kind)
			continue;
		*ret = (struct fd_view){ .pid = e->pid, .fd = e->fd, .id = (uint32_t)i, .dup = -1 };
		return true;
	}
	return false;
}

int dump_link_descriptors(struct dump *d, struct ct_error *err)
{
	for (size_t i = 0; d->fds && i < d->fds->n; i++) {
		struct fd_entry *e = &d->fds->entries[i];
		struct fd_view v = { .pid = e->pid, .fd = e->fd, .id = (uint32_t)i };
		int r;

		if (!e->kind || !e->kind->fd_link)
			continue;
		v.dup = duplicate(d, e->pid, e->fd);
		if (v.dup < 0 && d->preflight)
			continue;
		if (v.dup < 0 || fstat(v.dup, &v.st) < 0)
			return error_errno(err, v.dup < 0 ? v.dup : -errno, "fd %d", e->fd);
		r = view_fill(d, &v, err);
		if (r == 0)
			r = e->kind->fd_link(d, &v, e->node, err);
		view_release(&v);
		if (r < 0 && !d->preflight)
			return r;
	}
	return 0;
}
