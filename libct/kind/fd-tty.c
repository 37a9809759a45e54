/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptions of pseudo-terminals of the pod's own devpts: the master (/dev/ptmx), slaves (/dev/pts/N),
 * and /dev/tty, which is a slave by another name. The terminal itself is in tty-state.c: in the manifest
 * it is part of the first description of it.
 *
 * One restore makes all descriptions of a terminal: whether its other end was ever open decides what a
 * master reads. The pod's own terminal (run -t) is there already, its master held by the monitor;
 * PID 1's standard streams are its slave.
 *
 * Not carried: terminals of the host or of `podckpt exec`.
 */
#include "libct/kind/tty-state.h"

#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

#include "libct/base/cleanup.h"
#include "libct/base/sys.h"
#include "libct/kind/pipe.h"

#define SLAVE_MAJOR 136 /* to 143: man 4 pts */
#define PTMX makedev(5, 2)
#define CURRENT makedev(5, 0)

static bool is_slave(dev_t dev)
{
	return major(dev) >= SLAVE_MAJOR && major(dev) < SLAVE_MAJOR + 8;
}

static bool tty_is(const struct dump *d, const struct fd_view *v)
{
	return S_ISCHR(v->st.st_mode) && !(v->flags & O_PATH) &&
	       (is_slave(v->st.st_rdev) || v->st.st_rdev == PTMX || major(v->st.st_rdev) == 4 ||
		(major(v->st.st_rdev) == 5 && minor(v->st.st_rdev) < 2));
}

/* The kernel's 32-bit form of a device number, as TIOCGDEV and /proc/PID/stat have it. */
static bool index_of_device(uint32_t dev, uint32_t *ret)
{
	*ret = (dev & 0xff) | ((dev >> 12) & 0xfff00);
	return ((dev >> 8) & 0xfff) == SLAVE_MAJOR;
}

int tty_find(struct dump *d, uint32_t index, uint32_t *ret_id)
{
	struct node *n;

	for (uint32_t i = 0; (n = dump_descriptor_node(d, i)); i++)
		if (node_has(n, "kind") && !strcmp(node_str(n, "kind"), kind_tty.name) &&
		    node_has(n, "index") && node_u64(n, "index", UINT32_MAX) == index) {
			*ret_id = i;
			return 0;
		}
	return -ENOENT;
}

/* Of the pod's own devpts: its /dev/pts/N is on the same file system. */
static bool is_own_slave(struct dump *d, const struct fd_view *v)
{
	struct stat st;
	char name[64];

	snprintf(name, sizeof(name), "%d/root/dev/pts", d->pod->state.pid1);
	return fstatat(d->proc, name, &st, 0) == 0 && st.st_dev == v->st.st_dev;
}

/* Which terminal and which side of it. False: refused. */
static bool identify(struct dump *d, const struct fd_view *v, const char **ret_side, uint32_t *ret_index)
{
	uint32_t dev;

	if (is_slave(v->st.st_rdev)) {
		*ret_side = "slave";
		*ret_index = minor(v->st.st_rdev);
		if (is_own_slave(d, v))
			return true;
	} else if (v->st.st_rdev == PTMX) {
		*ret_side = "master";
		if (ioctl(v->dup, TIOCGPTN, ret_index) == 0)
			return true;
	} else if (v->st.st_rdev == CURRENT) {
		*ret_side = "current";
		if (ioctl(v->dup, TIOCGDEV, &dev) == 0 && index_of_device(dev, ret_index))
			return true;
		dump_refuse_fd(d, v, "/dev/tty of a terminal that was hung up is not carried; close it first");
		return false;
	}
	dump_refuse_fd(d, v, "%s is a terminal outside the pod; start the program in a terminal of the pod "
			     "(podckpt run -t)", v->link);
	return false;
}

static int tty_dump(struct dump *d, const struct fd_view *v, struct node *n, struct ct_error *err)
{
	static const char deleted[] = " (deleted)";
	cleanup_free char *path = strdup(v->link);
	size_t len = strlen(v->link), cut = sizeof(deleted) - 1;
	uint32_t index, first = v->id;
	const char *side;

	if (!path)
		return error_errno(err, -ENOMEM, "terminal");
	if (!identify(d, v, &side, &index))
		return 0;
	if (len > cut && !strcmp(path + len - cut, deleted))
		path[len - cut] = '\0';
	tty_find(d, index, &first);
	node_put_u64(n, "index", index);
	node_put_u64(n, "terminal", first);
	node_put_str(n, "side", side);
	node_put_str(n, "path", path);
	return 0;
}

/* The first description of a terminal speaks for it when all are known. */
static int tty_link(struct dump *d, const struct fd_view *v, struct node *n, struct ct_error *err)
{
	struct tty_sides sides = { .slave = -1, .master = -1, .view = v };
	const char *side;
	struct node *other;
	int r = 0, *to;

	if (!node_has(n, "index") || node_u64(n, "terminal", UINT32_MAX) != v->id)
		return 0;
	sides.index = (uint32_t)node_u64(n, "index", UINT32_MAX);
	for (uint32_t i = v->id; (other = dump_descriptor_node(d, i)); i++) {
		if (!node_has(other, "terminal") || !node_has(other, "side") ||
		    node_u64(other, "terminal", UINT32_MAX) != v->id)
			continue;
		side = node_str(other, "side");
		to = !strcmp(side, "master") ? &sides.master : &sides.slave;
		sides.has_slave |= to == &sides.slave;
		if (*to < 0)
			*to = dump_descriptor_dup(d, i);
	}
	sides.own = d->pod->config.tty && sides.index == 0;
	r = tty_state_dump(d, &sides, n, err);
	fd_close(sides.slave);
	fd_close(sides.master);
	return r;
}

/* ---- restore ---- */

static int open_master(const struct node *n, uint32_t index, int *ret, struct ct_error *err)
{
	cleanup_free int *spare = NULL;
	size_t n_spare = 0;
	unsigned int got;
	int unlock = 0, fd, e = 0;

	/* The kernel gives the lowest free number: those below are taken meanwhile. */
	spare = calloc((size_t)index + 1, sizeof(*spare));
	if (!spare)
		return error_errno(err, -ENOMEM, "terminal");
	while (e == 0) {
		fd = sys_openat2(AT_FDCWD, "/dev/pts/ptmx", O_RDWR | O_NOCTTY, 0, RESOLVE_NO_SYMLINKS);
		if (fd < 0)
			e = error_errno(err, fd, "open '/dev/pts/ptmx'");
		else if (ioctl(fd, TIOCGPTN, &got) < 0)
			e = error_errno(err, -errno, "number of a new terminal");
		else if (got == index)
			break;
		else if (got > index || n_spare == index)
			e = error_set(err, -EBUSY, "terminal %u exists already", index);
		else
			spare[n_spare++] = take_fd(&fd);
		if (e < 0)
			fd_close(fd);
	}
	while (n_spare)
		fd_close(spare[--n_spare]);
	if (e == 0 && ioctl(fd, TIOCSPTLCK, &unlock) < 0)
		e = error_errno(err, -errno, "unlock terminal %u", index);
	if (e == 0)
		*ret = fd;
	return e;
}

struct making {
	const struct node *first;
	uint32_t id, index;
	bool own;
	int master, slave; /* ours to work with */
};

static void making_release(struct making *m)
{
	fd_close(m->slave);
	fd_close(m->master);
}

/* The pod's own terminal exists: PID 1 has it. */
static int take_own(struct restore *r, struct making *m, struct ct_error *err)
{
	struct stat st;

	if (r->stream[0] < 0 || fstat(r->stream[0], &st) < 0 || !S_ISCHR(st.st_mode) ||
	    !is_slave(st.st_rdev) || minor(st.st_rdev) != m->index)
		return error_set(err, -EBADMSG, "the new pod's terminal is not terminal %u", m->index);
	m->slave = fcntl(r->stream[0], F_DUPFD_CLOEXEC, 3);
	return m->slave < 0 ? error_errno(err, -errno, "terminal") : 0;
}

static int open_slave(struct making *m, const struct node *n, int flags, bool *own_used)
{
	const int kept = O_ACCMODE | O_SYNC | O_DSYNC;
	int fd;

	if (flags & KERNEL_O_LARGEFILE)
		return sys_openat2(AT_FDCWD, node_path(n, "path"),
				   (uint64_t)(flags & kept) | O_NOCTTY | O_NONBLOCK, 0, RESOLVE_NO_SYMLINKS);
	if (!m->own)
		fd = ioctl(m->master, TIOCGPTPEER, (flags & (kept | O_CLOEXEC)) | O_NOCTTY | O_NONBLOCK);
	else if (!*own_used)
		fd = fcntl(m->slave, F_DUPFD_CLOEXEC, 3);
	else
		return -EBADMSG;
	*own_used = true;
	if (fd >= 0 && fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		fd = fd_close(fd);
	return fd < 0 ? -errno : fd;
}

/* Is it a terminal's node that names this one? */
static bool is_of(const struct making *m, const struct node *n)
{
	return !strcmp(node_str(n, "kind"), kind_tty.name) &&
	       node_u64(n, "terminal", UINT32_MAX) == m->id;
}

static int make_current(struct restore *r, struct making *m, struct ct_error *err)
{
	for (uint32_t i = m->id; i < r->n_ofds; i = restore_ofd_next(r, i)) {
		const struct node *n = restore_ofd_node(r, i, m->first);
		int flags, fd, e;

		if (!is_of(m, n) || strcmp(node_str(n, "side"), "current"))
			continue;
		flags = ((int)node_hex(n, "flags") & (O_ACCMODE | O_SYNC | O_DSYNC)) | O_NONBLOCK;
		e = tty_open_current(m->slave, &flags, &fd, 1, err);
		if (e == 0)
			e = restore_put_ofd(r, i, fd, err);
		if (e < 0)
			return e;
	}
	return 0;
}

static int make_slaves(struct restore *r, struct making *m, struct ct_error *err)
{
	bool own_used = false;

	for (uint32_t i = m->id; i < r->n_ofds; i = restore_ofd_next(r, i)) {
		const struct node *n = restore_ofd_node(r, i, m->first);
		struct stat st;
		int fd, e;

		if (!is_of(m, n) || strcmp(node_str(n, "side"), "slave"))
			continue;
		fd = open_slave(m, n, (int)node_hex(n, "flags"), &own_used);
		if (fd < 0)
			return error_errno(err, fd, "open '%s'", node_str(n, "path"));
		if (fstat(fd, &st) < 0 || !S_ISCHR(st.st_mode) || !is_slave(st.st_rdev) ||
		    minor(st.st_rdev) != m->index) {
			fd_close(fd);
			return error_set(err, -EBADMSG, "'%s' is not terminal %u", node_str(n, "path"),
					 m->index);
		}
		e = restore_put_ofd(r, i, fd, err);
		if (e < 0)
			return e;
	}
	return 0;
}

static int make_master(struct restore *r, struct making *m, struct ct_error *err)
{
	for (uint32_t i = m->id; i < r->n_ofds; i = restore_ofd_next(r, i)) {
		const struct node *n = restore_ofd_node(r, i, m->first);

		if (!is_of(m, n) || strcmp(node_str(n, "side"), "master"))
			continue;
		if (m->master < 0)
			return error_set(err, -EBADMSG, "a terminal with two masters");
		return restore_put_ofd(r, i, take_fd(&m->master), err);
	}
	return 0;
}

/* Every description's fields, as far as the passes do not read them. */
static void check_descriptions(struct restore *r, struct making *m)
{
	for (uint32_t i = m->id; i < r->n_ofds; i = restore_ofd_next(r, i)) {
		const struct node *n = restore_ofd_node(r, i, m->first);
		const char *side;

		if (!is_of(m, n))
			continue;
		side = node_str(n, "side");
		node_path(n, "path");
		if (node_u64(n, "index", UINT32_MAX) != m->index)
			node_complain(n, "a description of two terminals");
		if (strcmp(side, "master") && strcmp(side, "slave") && strcmp(side, "current"))
			node_complain(n, "a side that no terminal has");
	}
}

static int make_terminal(struct restore *r, struct making *m, struct ct_error *err)
{
	const struct node *state = node_object(m->first, "state");
	bool opened = node_bool(state, "opened"), hung_up = node_bool(state, "hung_up");
	int e;

	check_descriptions(r, m);
	e = doc_check(r->doc, err);
	if (e == 0)
		e = m->own ? take_own(r, m, err) : open_master(m->first, m->index, &m->master, err);
	if (e == 0 && !m->own && opened) {
		m->slave = ioctl(m->master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
		if (m->slave < 0)
			e = error_errno(err, -errno, "open the slave of terminal %u", m->index);
	}
	/* Before anything controls it. */
	if (e == 0)
		e = make_current(r, m, err);
	if (e == 0)
		e = make_slaves(r, m, err);
	if (e == 0)
		e = tty_state_restore(r, state, m->index, m->slave, m->master, err);
	if (e == 0 && !hung_up)
		e = make_master(r, m, err);
	return e; /* a master left over is closed: that hangs up */
}

static int tty_restore(struct restore *r, const struct node *n, uint32_t id, int *ret_fd,
		       struct ct_error *err)
{
	__cleanup(making_release) struct making m = { .master = -1, .slave = -1 };
	int e;

	m.id = (uint32_t)node_u64(n, "terminal", r->n_ofds - 1);
	m.index = (uint32_t)node_u64(n, "index", TTY_MAX_INDEX);
	if (m.id > id || r->ofds[m.id] >= 0)
		node_complain(n, "a terminal whose first description is not the first");
	e = doc_check(r->doc, err);
	if (e < 0)
		return e;
	m.first = restore_ofd_node(r, m.id, n);
	if (!is_of(&m, m.first))
		node_complain(n, "a terminal that is none");
	m.own = r->pod->config.tty && m.index == 0;
	e = make_terminal(r, &m, err);
	if (e == 0 && r->ofds[id] < 0)
		e = error_set(err, -EBADMSG, "terminal %u is hung up and has a master", m.index);
	return e < 0 ? error_prefix(err, e, "terminal %u", m.index) : 0;
}

/* What the monitor had for the pod's own terminal and not typed yet. */
static int tty_restore_late(struct restore *r, const struct node *n, int fd, struct ct_error *err)
{
	const void *more;
	size_t len;
	int e;

	if (!r->pod->config.tty || node_u64(n, "index", TTY_MAX_INDEX) != 0 || !node_has(n, "state") ||
	    !node_has(r->root, "stdin_more"))
		return 0;
	more = node_blob(r->root, "stdin_more", &len);
	e = doc_check(r->doc, err);
	if (e == 0)
		e = tty_type(fd, more, len < TTY_QUEUE ? len : TTY_QUEUE - 1);
	return e < 0 ? error_errno(err, e, "type ahead") : 0;
}

const struct kind kind_tty = {
	.name = "tty",
	.carries = "pseudo-terminals, the pod's own too: modes, size, packet mode, exclusive use, what was "
		   "typed or printed and not read yet, hung-up ones, /dev/tty",
	.refuses = "terminals outside the pod, /dev/tty of a terminal that was hung up, stopped output (^S), more than 2 KB "
		   "unread in one direction",
	.victims = "tty-modes tty-input tty-output tty-closed tty-hung-up tty-packet tty-session tty-own tty-own-closed "
		   "tty-stopped",
	.fd_is = tty_is,
	.fd_dump = tty_dump,
	.fd_link = tty_link,
	.fd_restore = tty_restore,
	.fd_first = "terminal",
	.fd_restore_late = tty_restore_late,
};
