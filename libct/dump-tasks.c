/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes and threads into the manifest: registers from ptrace, the rest from the kinds, which
 * ask by tapes.
 */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "libct/dump-steps.h"
#include "libct/kind.h"
#include "libct/task/regs.h"

#define ASK_ENTRIES 160
#define MAX_KINDS 64

static int find_site(struct dump_process *p, struct ct_error *err)
{
	if (p->site.stub)
		return 0;
	return tape_site_find(&p->areas, p->mem, p->pagemap, &p->site, err);
}

int dump_ask(struct dump_process *p, long nr, uint64_t a0, uint64_t a1, int64_t *ret,
	     struct ct_error *err)
{
	__cleanup(tape_release) struct tape tape = { 0 };
	size_t call;
	int r = find_site(p, err);

	/* Connections may have been looked at just before. */
	if (r == 0)
		r = dump_thaw(p->dump, err);
	if (r == 0)
		r = tape_init(&tape, &p->site, ASK_ENTRIES, err);
	if (r < 0)
		return r;
	call = tape_call(&tape, nr, a0, a1, 0, 0, 0, 0);
	r = tape_run(&tape, &p->threads[0].t, NULL, NULL, err);
	if (r < 0)
		return r;
	*ret = tape.entries[call].result;
	return tracee_put_back(&p->threads[0].t, err);
}

static void put_registers(struct dump_thread *t)
{
	struct tracee image = t->t; /* borrowed: not released */

	dump_restart_regs(t, &image.regs);
	node_put_i64(t->node, "vtid", t->t.vtid);
	regs_put(&image, t->node);
}

#define LAST_PID "/proc/sys/kernel/ns_last_pid"
#define LAST_PID_MAX 16

/* Which PID the pod gave last: only a process of it can ask. */
static struct tape_mark ask_last_pid(struct tape *tape)
{
	struct tape_mark mark = tape_mark(tape);
	uint64_t text = tape_room(tape, LAST_PID_MAX);
	size_t file = tape_call(tape, SYS_openat, (uint64_t)AT_FDCWD,
				tape_data(tape, LAST_PID, sizeof(LAST_PID)), O_RDONLY | O_CLOEXEC, 0, 0, 0);

	tape_chain(tape, file, tape_call(tape, SYS_read, 0, text, LAST_PID_MAX - 1, 0, 0, 0), 0);
	tape_chain(tape, file, tape_call(tape, SYS_close, 0, 0, 0, 0, 0, 0), 0);
	return mark;
}

/* Where it could not be read (no /proc, no free descriptor) a restore begins behind the highest one. */
static void put_last_pid(struct dump *d, const struct tape *tape, struct tape_mark mark)
{
	const char *text = tape_at(tape, mark.data);

	if (tape->entries[mark.entry].result >= 0 && tape->entries[mark.entry + 1].result > 0)
		node_put_i64(d->root, "last_pid", strtol(text, NULL, 10));
}

/* Asks one thread (the leader for its process as well) and puts the answers. */
static int ask_thread(struct dump_thread *t, bool leader, struct ct_error *err)
{
	struct dump_process *p = t->process;
	struct tape_mark process_mark[MAX_KINDS], thread_mark[MAX_KINDS], last_pid;
	bool first = leader && p->index == 0;
	__cleanup(tape_release) struct tape tape = { 0 };
	int r = tape_init(&tape, &p->site, ASK_ENTRIES, err);

	for (size_t i = 0; r == 0 && kinds[i]; i++) {
		process_mark[i] = tape_mark(&tape);
		if (leader && kinds[i]->process_ask)
			r = kinds[i]->process_ask(p->dump, p, &tape);
		thread_mark[i] = tape_mark(&tape);
		if (r == 0 && kinds[i]->thread_ask)
			r = kinds[i]->thread_ask(p->dump, t, &tape);
	}
	if (r == 0 && first)
		last_pid = ask_last_pid(&tape);
	if (r == 0)
		r = tape_run(&tape, &t->t, NULL, NULL, err);
	if (r < 0)
		return r;
	if (first)
		put_last_pid(p->dump, &tape, last_pid);
	for (size_t i = 0; r == 0 && kinds[i]; i++) {
		const struct kind *k = kinds[i];

		if (leader && k->process_dump)
			r = k->process_dump(p->dump, p, &tape, process_mark[i],
					    node_put_object(p->node, k->name), err);
		if (r == 0 && k->thread_dump)
			r = k->thread_dump(p->dump, t, &tape, thread_mark[i],
					   node_put_object(t->node, k->name), err);
		if (r < 0)
			return error_prefix(err, r, "%s", k->name);
	}
	return tracee_put_back(&t->t, err);
}

/* Stopped by job control; `reported`: its parent has asked with WUNTRACED and knows. */
static int put_stop(struct dump *d, struct dump_process *p, struct ct_error *err)
{
	struct proc_stat now;
	struct node *n;
	int r;

	if (!p->threads[0].t.stop_signal)
		return 0;
	r = proc_stat(d->proc, p->pid, 0, &now);
	if (r < 0)
		return error_errno(err, r, "read 'stat'");
	n = node_put_object(p->node, "stop");
	node_put_i64(n, "signal", p->threads[0].t.stop_signal);
	/* Field 52 is what wait(2) still has to tell (since Linux 5.19; before that, always 0). */
	node_put_bool(n, "reported", !now.f[52]);
	return 0;
}

#define CHILDREN_AT_ONCE 32

/*
 * Which of its children have been set going by SIGCONT without its knowing (WCONTINUED)? Only the parent can ask. For
 * podckpt-init it makes no difference.
 */
static int ask_continued(struct dump *d, struct dump_process *p, struct ct_error *err)
{
	for (size_t next = p->index + 1; next < d->n_processes;) {
		struct dump_process *children[CHILDREN_AT_ONCE];
		__cleanup(tape_release) struct tape tape = { 0 };
		uint64_t at[CHILDREN_AT_ONCE];
		size_t n = 0;
		int r = tape_init(&tape, &p->site, CHILDREN_AT_ONCE, err);

		for (; r == 0 && next < d->n_processes && n < CHILDREN_AT_ONCE; next++) {
			struct dump_process *c = &d->processes[next];

			/* Its own children stand before the next one of its parent. */
			if (c->parent_vpid == p->parent_vpid) {
				next = d->n_processes;
				break;
			}
			if (c->parent_vpid != p->vpid || c->zombie || c->threads[0].t.stop_signal)
				continue;
			children[n] = c;
			at[n] = tape_room(&tape, sizeof(siginfo_t));
			tape_must(&tape, "waitid", SYS_waitid, P_PID, (uint64_t)c->vpid, at[n],
				  WCONTINUED | WNOHANG | WNOWAIT | __WALL, 0, 0);
			n++;
		}
		if (r < 0)
			return r;
		if (!n)
			break;
		r = tape_run(&tape, &p->threads[0].t, NULL, NULL, err);
		if (r < 0)
			return r;
		for (size_t i = 0; i < n; i++) {
			const siginfo_t *info = tape_at(&tape, at[i]);

			children[i]->continued = info->si_pid && info->si_code == CLD_CONTINUED;
		}
	}
	return tracee_put_back(&p->threads[0].t, err);
}

static int dump_process(struct dump *d, struct dump_process *p, struct ct_error *err)
{
	struct node *threads;
	int r;

	p->node = node_put_object(d->process_array, NULL);
	node_put_i64(p->node, "vpid", p->vpid);
	node_put_i64(p->node, "parent", p->parent_vpid);
	node_put_i64(p->node, "process_group", p->vpgid);
	node_put_i64(p->node, "session", p->vsid);
	node_put_str(p->node, "name", p->stat.comm);
	node_put_bool(p->node, "zombie", p->zombie);
	/* Both are what they are unless clone(2) was told otherwise. */
	if (p->stat.f[38] != SIGCHLD)
		node_put_u64(p->node, "exit_signal", p->stat.f[38]);
	if (p->parent_vtid)
		node_put_i64(p->node, "parent_thread", p->parent_vtid);
	if (p->zombie) {
		node_put_u64(p->node, "uid", p->status.uid[0]);
		node_put_i64(p->node, "wait_status", (int64_t)p->stat.f[52]);
		return 0;
	}
	r = put_stop(d, p, err);
	if (r < 0)
		return r;
	if (p->continued)
		node_put_bool(p->node, "continued", true);
	node_put_u64(p->node, "descriptor_table", p->table);
	threads = node_put_array(p->node, "threads");
	r = find_site(p, err);
	for (size_t i = 0; r == 0 && i < p->n_threads; i++) {
		struct dump_thread *t = &p->threads[i];

		t->node = node_put_object(threads, NULL);
		put_registers(t);
		r = ask_thread(t, i == 0, err);
	}
	return r < 0 ? r : ask_continued(d, p, err);
}

int dump_tasks(struct dump *d, struct ct_error *err)
{
	d->process_array = node_put_array(d->root, "processes");
	for (size_t i = 0; i < d->n_processes; i++) {
		struct dump_process *p = &d->processes[i];
		int r = dump_process(d, p, err);

		if (r == -EOPNOTSUPP) {
			dump_refuse_process(d, p, "%s", err ? err->text : "it cannot be asked");
			continue;
		}
		if (r < 0)
			return error_prefix(err, r, "pid %d (%s)", p->vpid, p->stat.comm);
	}
	return 0;
}
