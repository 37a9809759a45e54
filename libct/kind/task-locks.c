/* SPDX-License-Identifier: Apache-2.0 */
/*
 * File locks (man 2 flock, man 2 fcntl). The "lock:" lines of /proc/PID/fdinfo/FD show those that were set
 * through that descriptor:
 *
 *	lock:	1: FLOCK  ADVISORY  WRITE 1234 fd:01:5678 0 EOF
 *
 * flock and OFD locks belong to the open file description. POSIX locks belong to the process, which
 * sets them again itself, so that F_GETLK names it. Whoever waits for a lock waits again.
 *
 * Not carried: leases.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/file.h>
#include <sys/syscall.h>

#include "libct/kind/locks.h"

#define LINE "lock:\t"

struct lock {
	char type[16], mode[16], inode[64];
	uint64_t start, end;
	bool to_end; /* of the file, wherever that is going to be */
};

bool locks_in(const char *fdinfo)
{
	return strstr(fdinfo, "\n" LINE) != NULL;
}

/* The lock of the next line from *at on, which it moves. */
static bool next_lock(const char **at, struct lock *ret)
{
	char end[32];

	while ((*at = strstr(*at, LINE))) {
		*at += strlen(LINE);
		if (sscanf(*at, "%*d: %15s %*s %15s %*d %63s %" SCNu64 " %31s", ret->type, ret->mode,
			   ret->inode, &ret->start, end) != 5)
			continue;
		ret->to_end = !strcmp(end, "EOF");
		ret->end = ret->to_end ? 0 : strtoull(end, NULL, 10);
		return true;
	}
	return false;
}

static void put_lock(struct node *list, const char *type, const struct lock *l, int fd)
{
	struct node *o = node_put_object(list, NULL);

	if (fd >= 0)
		node_put_i64(o, "fd", fd);
	if (type)
		node_put_str(o, "type", type);
	node_put_bool(o, "write", !strcmp(l->mode, "WRITE"));
	if (type && !strcmp(type, "flock"))
		return;
	node_put_u64(o, "start", l->start);
	if (!l->to_end)
		node_put_u64(o, "end", l->end);
}

void locks_put(struct dump *d, const struct fd_view *v, struct node *n)
{
	const char *at = v->fdinfo;
	struct node *list = NULL;
	struct lock l;

	while (next_lock(&at, &l)) {
		bool flock = !strcmp(l.type, "FLOCK");

		if (!strcmp(l.type, "POSIX"))
			continue;
		if (!flock && strcmp(l.type, "OFDLCK")) {
			dump_refuse_fd(d, v, "a lease (fcntl F_SETLEASE) is not carried; give it up first");
			continue;
		}
		if (!list)
			list = node_put_array(n, "locks");
		put_lock(list, flock ? "flock" : "ofd", &l, -1);
	}
}

/* ---- of processes ---- */

struct held {
	char inode[64];
	uint64_t start;
};

/* Through a duplicate of the descriptor it was seen already. One process's locks of a file never overlap. */
static bool is_known(struct held **held, size_t *n, const struct lock *l)
{
	struct held *grown;

	for (size_t i = 0; i < *n; i++)
		if ((*held)[i].start == l->start && !strcmp((*held)[i].inode, l->inode))
			return true;
	grown = reallocarray(*held, *n + 1, sizeof(*grown));
	if (!grown)
		return false; /* at worst it is set twice, which is once */
	*held = grown;
	grown[*n].start = l->start;
	memcpy(grown[(*n)++].inode, l->inode, sizeof(l->inode));
	return false;
}

static int locks_process_dump(struct dump *d, struct dump_process *p, const struct tape *tape,
			      struct tape_mark mark, struct node *n, struct ct_error *err)
{
	struct node *list = node_put_array(n, "posix");
	cleanup_free struct held *held = NULL;
	cleanup_free int *fds = NULL;
	ssize_t n_fds = p->locks ? proc_numbers(d->proc, p->pid, "fd", &fds) : 0;
	size_t n_held = 0;

	if (n_fds < 0)
		return error_errno(err, (int)n_fds, "descriptors");
	for (ssize_t i = 0; i < n_fds; i++) {
		cleanup_free char *info = NULL;
		const char *at;
		char name[64];
		struct lock l;

		snprintf(name, sizeof(name), "fdinfo/%d", fds[i]);
		if (proc_read(d->proc, p->pid, name, &info) < 0)
			return error_errno(err, -ESRCH, "read '%s'", name);
		at = info;
		while (next_lock(&at, &l))
			if (!strcmp(l.type, "POSIX") && !is_known(&held, &n_held, &l))
				put_lock(list, NULL, &l, fds[i]);
	}
	return 0;
}

/* ---- restore ---- */

static struct flock get_range(const struct node *n)
{
	struct flock l = { .l_type = node_bool(n, "write") ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET };

	l.l_start = (off_t)node_u64(n, "start", INT64_MAX);
	if (node_has(n, "end")) {
		uint64_t end = node_u64(n, "end", INT64_MAX);

		if (end < (uint64_t)l.l_start || end == INT64_MAX)
			node_complain(n, "a lock that ends before it begins");
		l.l_len = (off_t)(end - (uint64_t)l.l_start + 1);
	}
	return l;
}

int locks_restore(const struct node *n, int fd, struct ct_error *err)
{
	const struct node *list = node_has(n, "locks") ? node_array(n, "locks") : NULL;
	size_t count = list ? node_count(list) : 0;

	for (size_t i = 0; i < count; i++) {
		const struct node *o = node_at(list, i);
		const char *type = node_str(o, "type");
		struct flock range;
		int r;

		if (!strcmp(type, "flock")) {
			r = flock(fd, LOCK_NB | (node_bool(o, "write") ? LOCK_EX : LOCK_SH));
		} else {
			if (strcmp(type, "ofd"))
				node_complain(o, "a lock of unknown type");
			range = get_range(o);
			r = fcntl(fd, F_OFD_SETLK, &range);
		}
		if (r < 0)
			return error_errno(err, -errno,
					   "take the %s lock that it had (who else has it on this host?)", type);
	}
	return 0;
}

static int locks_process_restore(struct restore *r, struct restore_process *p, const struct node *n,
				 struct tape *tape, struct ct_error *err)
{
	const struct node *list = node_array(n, "posix");
	size_t count = node_count(list);

	for (size_t i = 0; i < count; i++) {
		const struct node *o = node_at(list, i);
		int fd = (int)node_i64(o, "fd", 0, 1 << 20), e;
		struct flock range = get_range(o);

		e = doc_check(r->doc, err);
		if (e == 0)
			e = tape_need(tape, 1, sizeof(range) + 16, err);
		if (e < 0)
			return e;
		tape_must(tape, "take the lock that it had", SYS_fcntl, (uint64_t)fd, F_SETLK,
			  tape_data(tape, &range, sizeof(range)), 0, 0, 0);
	}
	return 0;
}

const struct kind kind_locks = {
	.name = "locks",
	.carries = "file locks: flock, POSIX, open file description",
	.refuses = "leases",
	.victims = "lock-flock lock-posix lock-ofd lock-wait lock-lease",
	.process_dump = locks_process_dump,
	.process_restore = locks_process_restore,
};
