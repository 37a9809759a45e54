/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The controlling terminal: /proc/PID/stat says which (tty_nr) and which process group is in its
 * foreground (tpgid). man 4 tty, man 4 tty_ioctl.
 *
 * The leader of a session takes it before it has children, who inherit it; those that had given theirs up
 * do so again. The foreground group is set by the leader when all groups exist.
 */
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "libct/base/cleanup.h"
#include "libct/base/sys.h"
#include "libct/kind/tty.h"
#include "libct/kind/tty-state.h"

#define NAME "controlling_terminal"

/* No process has the pod's own terminal open any more: PID 1 still has. */
static int add_own(struct dump *d, uint32_t *ret_id, struct ct_error *err)
{
	cleanup_fd int fd = sys_pidfd_getfd(d->pod->pid1_pidfd, 0);

	if (fd < 0)
		return error_errno(err, fd, "PID 1's terminal");
	return dump_descriptor(d, getpid(), fd, ret_id, err);
}

static void put_foreground(struct dump *d, struct dump_process *p, struct node *n)
{
	pid_t group = (pid_t)(int64_t)p->stat.f[8];

	for (size_t i = 0; i < d->n_processes; i++)
		if (d->processes[i].stat.pgrp == group) {
			node_put_i64(n, "foreground", d->processes[i].vpgid);
			return;
		}
	dump_refuse_process(d, p, "the process group in the foreground of its terminal has ended; let it take "
				  "the foreground itself (tcsetpgrp(3)) or end it");
	dump_passing(d);
}

static int terminal_dump(struct dump *d, struct dump_process *p, const struct tape *tape,
			 struct tape_mark mark, struct node *n, struct ct_error *err)
{
	uint32_t dev = (uint32_t)p->stat.tty_nr, index = (dev & 0xff) | ((dev >> 12) & 0xfff00), id;
	int r;

	if (!dev)
		return 0;
	r = ((dev >> 8) & 0xfff) == 136 ? tty_find(d, index, &id) : -ENODEV;
	if (r == -ENOENT && index == 0 && d->pod->config.tty && !d->pod->config.no_init) {
		r = add_own(d, &id, err);
		if (r < 0)
			return r;
	}
	if (r < 0) {
		dump_refuse_process(d, p, "its controlling terminal is outside the pod; start the program in a "
					  "terminal of the pod (podckpt run -t)");
		return 0;
	}
	node_put_u64(n, "descriptor", id);
	if (p->vpid == p->vsid)
		put_foreground(d, p, n);
	return 0;
}

/* ---- restore ---- */

static const struct node *of(const struct restore_process *p)
{
	const struct node *n = p->node && !p->zombie && node_has(p->node, NAME) ?
				       node_object(p->node, NAME) : NULL;

	return n && node_has(n, "descriptor") ? n : NULL;
}

int terminal_take(struct restore_process *p, struct ct_error *err)
{
	struct restore *r = p->restore;
	const struct node *n = of(p), *terminal;
	cleanup_fd int slave = -1;
	ssize_t entry;
	char name[32];
	uint32_t id;
	int e;

	if (!n || p->vpid != p->vsid)
		return 0;
	id = (uint32_t)node_u64(n, "descriptor", r->n_ofds ? r->n_ofds - 1 : 0);
	terminal = restore_ofd_node(r, id, n);
	snprintf(name, sizeof(name), "/dev/pts/%u",
		 (unsigned int)node_u64(terminal, "index", TTY_MAX_INDEX));
	e = doc_check(r->doc, err);
	if (e == 0)
		e = restore_ofd(r, id, err);
	if (e < 0)
		return e;
	slave = open(name, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (slave < 0)
		return error_errno(err, -errno, "open '%s'", name);
	e = tape_need(&p->tape, 4, 0, err);
	if (e < 0)
		return e;
	entry = restore_tape_fd(p, &p->tape, slave, -1, true);
	tape_chain(&p->tape, (size_t)entry,
		   tape_must(&p->tape, "take the controlling terminal", SYS_ioctl, 0, TIOCSCTTY, 0, 0, 0, 0), 0);
	tape_chain(&p->tape, (size_t)entry, tape_call(&p->tape, SYS_close, 0, 0, 0, 0, 0, 0), 0);
	return restore_run(p, err);
}

/* Calls on the terminal that the executing process has. */
static int on_terminal(struct tape *tape, unsigned long request, const void *data, size_t len,
		       struct ct_error *err)
{
	static const char name[] = "/dev/tty";
	int e = tape_need(tape, 4, sizeof(name) + len + 64, err);
	size_t fd;

	if (e < 0)
		return e;
	fd = tape_must(tape, "open '/dev/tty'", SYS_openat, (uint64_t)AT_FDCWD,
		       tape_data(tape, name, sizeof(name)), O_RDWR | O_NONBLOCK | O_CLOEXEC, 0, 0, 0);
	tape_chain(tape, fd,
		   tape_must(tape, "ioctl '/dev/tty'", SYS_ioctl, 0, request,
			     len ? tape_data(tape, data, len) : 0, 0, 0, 0), 0);
	tape_chain(tape, fd, tape_call(tape, SYS_close, 0, 0, 0, 0, 0, 0), 0);
	return 0;
}

static int terminal_restore(struct restore *r, struct restore_process *p, const struct node *n,
			    struct tape *tape, struct ct_error *err)
{
	struct restore_process *leader = p->vsid ? restore_by_vpid(r, p->vsid) : NULL;
	const struct node *mine = of(p), *sessions = leader ? of(leader) : NULL;
	int32_t group;
	int e;

	if (mine && (!sessions || node_u64(mine, "descriptor", UINT32_MAX) !=
					  node_u64(sessions, "descriptor", UINT32_MAX)))
		node_complain(n, "not the terminal of its session");
	e = doc_check(r->doc, err);
	if (e < 0 || !sessions)
		return e;
	if (!mine)
		return on_terminal(tape, TIOCNOTTY, NULL, 0, err);
	if (p != leader)
		return 0;
	group = (int32_t)node_i64(n, "foreground", 1, 1 << 22);
	e = doc_check(r->doc, err);
	return e < 0 ? e : on_terminal(tape, TIOCSPGRP, &group, sizeof(group), err);
}

const struct kind kind_controlling_terminal = {
	.name = NAME,
	.carries = "the controlling terminal of sessions and the process group in its foreground",
	.refuses = "controlling terminals outside the pod",
	.victims = "tty-session tty-own tty-own-closed",
	.process_dump = terminal_dump,
	.process_restore = terminal_restore,
};
