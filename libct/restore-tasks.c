/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptor tables, attributes, threads and registers of the processes; and their release. */
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

#include "libct/base/cleanup.h"
#include "libct/kind.h"
#include "libct/restore-steps.h"
#include "libct/task/regs.h"

struct table_row {
	int fd;
	uint32_t ofd;
	bool cloexec;
};

static int parse_table(struct restore_process *p, struct table_row **ret, size_t *ret_n,
		       struct ct_error *err)
{
	const struct node *tables = p->restore->tables, *table;
	uint64_t index = node_u64(p->node, "descriptor_table", node_count(tables) - 1);
	cleanup_free struct table_row *rows = NULL;
	int last = -1;

	if (index >= node_count(tables))
		return doc_check(p->restore->doc, err);
	table = node_at(tables, index);
	rows = calloc(node_count(table) + 1, sizeof(*rows));
	if (!rows)
		return error_errno(err, -ENOMEM, "descriptor table");
	for (size_t i = 0; i < node_count(table); i++) {
		const struct node *row = node_at(table, i);

		rows[i].fd = (int)node_at_i64(row, 0, 0, 1 << 20);
		rows[i].ofd = (uint32_t)node_at_u64(row, 1, p->restore->n_ofds - 1);
		rows[i].cloexec = node_at_u64(row, 2, 1);
		if (rows[i].fd <= last)
			node_complain(row, "descriptors out of order");
		last = rows[i].fd;
	}
	*ret_n = node_count(table);
	*ret = take_ptr(rows);
	return doc_check(p->restore->doc, err);
}

/* The lowest number from 5 on (0 to 4 are PID 1's) that the table leaves free: for our own pidfd. */
static int free_number(const struct table_row *rows, size_t n)
{
	int number = POD_RESTORER_FD + 1;

	for (size_t i = 0; i < n; i++)
		if (rows[i].fd == number)
			number++;
	return number;
}

/*
 * Fills the table in ascending order, so that the number that pidfd_getfd(2) will give is known: the
 * lowest free one. `at` follows it.
 */
static int fill_table(struct restore_process *p, const struct table_row *rows, size_t n,
		      struct ct_error *err)
{
	struct tape *tape = &p->tape;
	int at = 0;

	for (size_t i = 0; i < n; i++) {
		int fd = restore_ofd(p->restore, rows[i].ofd, err), e;

		if (fd < 0)
			return fd;
		e = tape_need(tape, 4, 0, err);
		if (e < 0)
			return e;
		if (at == p->restorer_fd)
			at++;
		tape_must(tape, "pidfd_getfd", SYS_pidfd_getfd, (uint64_t)p->restorer_fd,
			  (uint64_t)fd, 0, 0, 0, 0);
		if (at == rows[i].fd) {
			at++;
			if (!rows[i].cloexec)
				tape_must(tape, "fcntl F_SETFD", SYS_fcntl, (uint64_t)rows[i].fd,
					  F_SETFD, 0, 0, 0, 0);
			continue;
		}
		tape_must(tape, "dup3", SYS_dup3, (uint64_t)at, (uint64_t)rows[i].fd,
			  rows[i].cloexec ? O_CLOEXEC : 0, 0, 0, 0);
		tape_call(tape, SYS_close, (uint64_t)at, 0, 0, 0, 0, 0);
	}
	return 0;
}

static int restore_table(struct restore_process *p, struct ct_error *err)
{
	cleanup_free struct table_row *rows = NULL;
	struct tape *tape = &p->tape;
	size_t n = 0;
	int e = parse_table(p, &rows, &n, err), number;

	if (e < 0)
		return e;
	number = free_number(rows, n);
	e = tape_need(tape, 3, 0, err);
	if (e < 0)
		return e;
	tape_must(tape, "dup3", SYS_dup3, (uint64_t)p->restorer_fd, (uint64_t)number, O_CLOEXEC, 0, 0,
		  0);
	tape_must(tape, "close_range", SYS_close_range, 0, (uint64_t)number - 1, 0, 0, 0, 0);
	tape_must(tape, "close_range", SYS_close_range, (uint64_t)number + 1, ~0U, 0, 0, 0, 0);
	p->restorer_fd = number;
	e = fill_table(p, rows, n, err);
	return e < 0 ? e : restore_run(p, err);
}

static int process_kinds(struct restore_process *p, struct ct_error *err)
{
	for (size_t i = 0; kinds[i]; i++) {
		int e;

		if (!kinds[i]->process_restore)
			continue;
		e = kinds[i]->process_restore(p->restore, p, node_object(p->node, kinds[i]->name),
					      &p->tape, err);
		if (e == 0)
			e = doc_check(p->restore->doc, err);
		if (e < 0)
			return error_prefix(err, e, "%s", kinds[i]->name);
	}
	return restore_run(p, err);
}

struct births {
	struct restore_process *p;
	size_t n;
};

static int take_thread(void *context, pid_t tid, struct ct_error *err)
{
	struct births *b = context;
	struct restore_thread *t = &b->p->threads[b->n++];

	t->t = (struct tracee){ .pid = b->p->pid, .tid = tid, .vpid = b->p->vpid, .vtid = t->vtid,
				.seized = true };
	return 0;
}

int restore_make_threads(struct restore_process *p, struct ct_error *err)
{
	struct births births = { p, 1 };
	struct tape *tape = &p->tape;

	if (p->n_threads > 1 && p->threads[1].t.seized)
		return 0;
	while (births.n < p->n_threads) {
		size_t first = births.n, batch = p->n_threads - first;
		int e;

		/* What one tape holds. */
		if (batch > 512)
			batch = 512;
		for (size_t i = first; i < first + batch; i++) {
			struct clone_args args = {
				.flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND |
					 CLONE_THREAD | CLONE_SYSVSEM,
				.set_tid_size = 1,
			};

			args.set_tid = tape_data(tape, &p->threads[i].vtid, sizeof(pid_t));
			tape_must(tape, "clone3 (thread)", SYS_clone3,
				  tape_data(tape, &args, sizeof(args)), sizeof(args), 0, 0, 0, 0);
		}
		e = tape_run(tape, &p->threads[0].t, take_thread, &births, err);
		tape_clear(tape);
		if (e < 0)
			return e;
		for (size_t i = first; i < first + batch; i++) {
			e = tracee_wait_stop(&p->threads[i].t, err);
			if (e == 0)
				e = tracee_read(&p->threads[i].t, err);
			if (e < 0)
				return error_prefix(err, e, "thread %d", p->threads[i].vtid);
		}
	}
	return 0;
}

static int thread_kinds(struct restore_thread *t, struct ct_error *err)
{
	struct restore_process *p = t->process;
	/* A flush in the middle must run in this thread, not in the leader. */
	struct tape *tape = &p->tape;

	for (size_t i = 0; kinds[i]; i++) {
		int e;

		if (!kinds[i]->thread_restore)
			continue;
		if (tape->n > tape->max / 2 || tape->data_len > tape->data_max / 2) {
			e = restore_run_thread(t, tape, err);
			if (e < 0)
				return e;
		}
		e = kinds[i]->thread_restore(p->restore, t, node_object(t->node, kinds[i]->name), tape,
					     err);
		if (e == 0)
			e = doc_check(p->restore->doc, err);
		if (e < 0)
			return error_prefix(err, e, "%s", kinds[i]->name);
	}
	return restore_run_thread(t, tape, err);
}

static int restore_process(struct restore_process *p, struct ct_error *err)
{
	int e = restore_table(p, err);

	/* Locks and timers belong to the process; making threads wants capabilities that it loses below. */
	if (e == 0)
		e = process_kinds(p, err);
	if (e == 0)
		e = restore_make_threads(p, err);
	if (e < 0)
		return e;
	tape_must(&p->tape, "close", SYS_close, (uint64_t)p->restorer_fd, 0, 0, 0, 0, 0);
	p->restorer_fd = -1;
	e = restore_run(p, err);
	for (size_t i = p->n_threads; e == 0 && i-- > 0;)
		e = thread_kinds(&p->threads[i], err);
	return e;
}

int restore_tasks(struct restore *r, struct ct_error *err)
{
	int e = 0;

	for (size_t i = 0; e == 0 && i < r->n_processes; i++)
		if (!r->processes[i].zombie) {
			e = restore_process(&r->processes[i], err);
			if (e < 0)
				return error_prefix(err, e, "pid %d", r->processes[i].vpid);
		}
	for (size_t i = 0; e == 0 && i < r->n_processes; i++)
		for (size_t k = 0; e == 0 && kinds[k]; k++)
			if (!r->processes[i].zombie && kinds[k]->process_restore_late)
				e = kinds[k]->process_restore_late(
					r, &r->processes[i],
					node_object(r->processes[i].node, kinds[k]->name), err);
	return e;
}

/* The tape's own area goes last, by an instruction of the vdso. */
static int remove_area(struct restore_process *p, struct ct_error *err)
{
	const uint64_t args[6] = { p->restore->tape_area, TAPE_AREA_SIZE };
	int64_t e = tracee_syscall(&p->threads[0].t, p->syscall_at, SYS_munmap, args, err);

	return e < 0 ? error_errno(err, (int)e, "pid %d: unmap the tape", p->vpid) : 0;
}

int restore_registers(struct restore *r, struct ct_error *err)
{
	int e = 0;

	for (size_t i = 0; e == 0 && i < r->n_processes; i++) {
		struct restore_process *p = &r->processes[i];

		if (p->zombie)
			continue;
		e = remove_area(p, err);
		for (size_t k = 0; e == 0 && k < p->n_threads; k++) {
			struct tracee *t = &p->threads[k].t;

			free(take_ptr(t->xstate));
			e = regs_get(p->threads[k].node, t, err);
			if (e == 0)
				e = doc_check(r->doc, err);
			if (e == 0)
				e = tracee_write(t, err);
			t->dirty = false;
		}
		if (e < 0)
			return error_prefix(err, e, "pid %d", p->vpid);
	}
	if (e == 0 && r->init.pid) {
		e = remove_area(&r->init, err);
		if (e == 0)
			e = tracee_put_back(&r->init.threads[0].t, err);
	}
	return e;
}

static int let_go(struct restore_process *p, bool stopped, struct ct_error *err)
{
	int e = 0;

	if (!p->zombie && stopped && !p->stop_signal)
		kill(p->pid, SIGSTOP);
	for (size_t i = 0; e == 0 && i < p->n_threads; i++)
		e = tracee_detach(&p->threads[i].t, err);
	return e < 0 ? error_prefix(err, e, "pid %d", p->vpid) : 0;
}

int restore_release_tasks(struct restore *r, struct ct_error *err)
{
	/*
	 * Let go by us, they stay frozen: the monitor thaws them when it has taken the pod over, so that they run all at
	 * once, and never with nobody to look after them.
	 */
	int e = cgroup_freeze(r->pod->state.cgroup, 10000, err);

	for (size_t i = 0; e == 0 && i < r->n_processes; i++)
		e = let_go(&r->processes[i], r->options->leave_stopped, err);
	if (e == 0 && r->init.pid)
		e = tracee_detach(&r->init.threads[0].t, err);
	return e;
}
