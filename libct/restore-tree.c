/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process tree: every process is made by clone3(set_tid) on a tape of another one, in the order
 * of the plan (tree-plan.h), so that parent, session and process group come out as they were.
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "images/archive.h"
#include "libct/base/error.h"
#include "libct/base/sys.h"
#include "libct/kind/tty.h"
#include "libct/restore-steps.h"
#include "libct/task/proc.h"
#include "libct/tree-plan.h"

static int flush(struct tape *tape, void *context, struct ct_error *err)
{
	return restore_run(context, err);
}

int restore_process_init(struct restore_process *p, struct ct_error *err)
{
	struct restore *r = p->restore;
	struct tape_site site = { r->tape_area, r->tape_area + IMAGE_PAGE,
				  TAPE_AREA_SIZE - IMAGE_PAGE, -1, false };
	int e;

	site.mem = p->mem = proc_open(r->proc, p->pid, "mem", O_RDWR);
	if (p->mem < 0)
		return error_errno(err, p->mem, "open 'mem'");
	e = tape_init(&p->tape, &site, TAPE_ENTRIES, err);
	if (e < 0)
		return e;
	p->tape.flush = flush;
	p->tape.flush_context = p;
	p->pidfd = sys_pidfd_open(p->pid, 0);
	return p->pidfd < 0 ? error_errno(err, p->pidfd, "pidfd_open") : 0;
}

void restore_process_release(struct restore_process *p)
{
	for (size_t i = 0; i < p->n_threads; i++)
		tracee_release(&p->threads[i].t);
	free(p->threads);
	free(p->areas);
	free(p->sums.list);
	free(p->sums.holes);
	free(p->inherited);
	free(p->kept);
	tape_release(&p->tape);
	if (p->pid) {
		fd_close(p->pidfd);
		fd_close(p->mem);
		fd_close(p->uffd);
	}
}

struct restore_process *restore_by_vpid(struct restore *r, pid_t vpid)
{
	if (r->init.pid && vpid == 1)
		return &r->init;
	for (size_t i = 0; i < r->n_processes; i++)
		if (r->processes[i].vpid == vpid)
			return &r->processes[i];
	return NULL;
}

int restore_run_keep(struct restore_process *p, struct ct_error *err)
{
	int e = tape_run(&p->tape, &p->threads[0].t, NULL, NULL, err);

	return e < 0 ? error_prefix(err, e, "pid %d", p->vpid) : 0;
}

int restore_run(struct restore_process *p, struct ct_error *err)
{
	int e = p->tape.n ? restore_run_keep(p, err) : 0;

	tape_clear(&p->tape);
	return e;
}

int restore_run_thread(struct restore_thread *t, struct tape *tape, struct ct_error *err)
{
	int e = tape->n ? tape_run(tape, &t->t, NULL, NULL, err) : 0;

	tape_clear(tape);
	return e < 0 ? error_prefix(err, e, "pid %d thread %d", t->process->vpid, t->vtid) : 0;
}

static int take_child(void *context, pid_t child, struct ct_error *err)
{
	*(pid_t *)context = child;
	return 0;
}

int restore_birth(struct restore_thread *creator, struct restore_process *p, struct ct_error *err)
{
	struct restore_process *parent = creator->process;
	struct clone_args args = { .set_tid_size = 1, .exit_signal = (unsigned int)p->exit_signal };
	struct tape *tape = &parent->tape;
	struct tracee *t = &p->threads[0].t;
	pid_t child = 0;
	int e = tape_need(tape, 1, sizeof(args) + 32, err);

	if (e < 0)
		return e;
	args.set_tid = tape_data(tape, &p->vpid, sizeof(p->vpid));
	tape_must(tape, "clone3", SYS_clone3, tape_data(tape, &args, sizeof(args)), sizeof(args), 0, 0,
		  0, 0);
	e = tape_run(tape, &creator->t, take_child, &child, err);
	tape_clear(tape);
	/* From here on it is ours to end, whatever else failed. */
	if (child) {
		*t = (struct tracee){ .pid = child, .tid = child, .vpid = p->vpid, .vtid = p->vpid,
				      .seized = true };
		p->pid = child;
	}
	if (e == -EEXIST)
		return error_set(err, e, "PID %d is taken in the new pod", p->vpid);
	if (e < 0)
		return error_prefix(err, e, "make pid %d", p->vpid);
	p->restorer_fd = parent->restorer_fd;
	p->syscall_at = parent->syscall_at;
	p->now_sid = parent->now_sid;
	p->now_pgid = parent->now_pgid;
	e = tracee_wait_stop(t, err);
	if (e == 0)
		e = tracee_read(t, err);
	if (e == 0)
		e = restore_process_init(p, err);
	return e < 0 ? error_prefix(err, e, "pid %d", p->vpid) : 0;
}

static int set_sid(struct restore_process *p, struct ct_error *err)
{
	tape_must(&p->tape, "setsid", SYS_setsid, 0, 0, 0, 0, 0, 0);
	p->now_sid = p->now_pgid = p->vpid;
	return restore_run(p, err);
}

int restore_make_helper(struct restore *r, struct restore_process *parent, pid_t vpid,
			struct restore_process **ret, struct ct_error *err)
{
	struct restore_process *h = calloc(1, sizeof(*h)), **grown;

	grown = realloc(r->helpers, sizeof(*grown) * (r->n_helpers + 1));
	if (grown)
		r->helpers = grown;
	if (h)
		h->threads = calloc(1, sizeof(*h->threads));
	if (!h || !grown || !h->threads) {
		free(h);
		return error_errno(err, -ENOMEM, "restore");
	}
	r->helpers[r->n_helpers++] = h;
	h->restore = r;
	h->vpid = vpid;
	h->parent_vpid = parent->vpid;
	h->n_threads = 1;
	h->threads[0].process = h;
	h->threads[0].vtid = vpid;
	h->mem = h->uffd = h->pidfd = -1;
	*ret = h;
	return restore_birth(&parent->threads[0], h, err);
}

/* ---- the steps of the plan ---- */

static struct restore_process *actor(struct restore *r, int index)
{
	if (index == TREE_ROOT)
		return &r->init;
	if (index >= (int)r->n_processes)
		return r->stand_ins[index - (int)r->n_processes];
	return &r->processes[index];
}

static int give_birth(struct restore_process *parent, struct restore_process *p,
		      struct ct_error *err)
{
	int e;

	if (!p->parent_vtid)
		return restore_birth(&parent->threads[0], p, err);
	e = restore_make_threads(parent, err);
	for (size_t i = 1; e == 0 && i < parent->n_threads; i++)
		if (parent->threads[i].vtid == p->parent_vtid)
			return restore_birth(&parent->threads[i], p, err);
	return e < 0 ? error_prefix(err, e, "pid %d", parent->vpid)
		     : error_set(err, -EBADMSG, "manifest.json: pid %d has no thread %d to be the parent of pid %d",
				 parent->vpid, p->parent_vtid, p->vpid);
}

static int set_subreaper(struct restore_process *p, bool on, struct ct_error *err)
{
	if (p->vpid == 1)
		return 0; /* it is one anyway */
	tape_must(&p->tape, "prctl(PR_SET_CHILD_SUBREAPER)", SYS_prctl, PR_SET_CHILD_SUBREAPER, on, 0, 0,
		  0, 0);
	return restore_run(p, err);
}

/* Nobody else is a subreaper while the tree grows, so the one that `p` belongs to is the nearest. */
static int adopt(struct restore *r, struct restore_process *member, struct restore_process *p,
		 struct ct_error *err)
{
	struct restore_process *parent = restore_by_vpid(r, p->parent_vpid), *h;
	int e;

	if (p->exit_signal != SIGCHLD)
		return error_set(err, -EBADMSG, "manifest.json: pid %d was adopted, so its end sends SIGCHLD",
				 p->vpid);
	e = restore_make_helper(r, member, r->spare_vpid, &h, err);
	if (e == 0)
		e = restore_birth(&h->threads[0], p, err);
	if (e == 0)
		e = set_subreaper(parent, true, err);
	if (e == 0)
		e = restore_end_helper(r, member, err);
	return e < 0 ? e : set_subreaper(parent, false, err);
}

static int add_stand_in(struct restore *r, struct restore_process *parent, int number,
			struct ct_error *err)
{
	struct restore_process *h;
	int e = restore_make_helper(r, parent, r->plan->stand_ins[number].vpid, &h, err);

	r->stand_ins[number] = h;
	return e < 0 ? e : set_sid(h, err);
}

static int run_steps(struct restore *r, size_t begin, size_t end, struct ct_error *err)
{
	int e = 0;

	for (size_t i = begin; e == 0 && i < end; i++) {
		const struct tree_step *s = &r->plan->steps[i];
		struct restore_process *subject = s->what == TREE_STAND_IN ? NULL : actor(r, s->subject);

		switch (s->what) {
		case TREE_BIRTH:
			e = give_birth(actor(r, s->actor), subject, err);
			break;
		case TREE_ADOPTION:
			e = adopt(r, actor(r, s->actor), subject, err);
			break;
		case TREE_SESSION:
			e = set_sid(subject, err);
			/* Its children inherit it. */
			if (e == 0)
				e = terminal_take(subject, err);
			break;
		case TREE_STAND_IN:
			e = add_stand_in(r, actor(r, s->actor), s->subject, err);
			break;
		}
	}
	return e;
}

int restore_stand_in(struct restore *r, pid_t vpid, struct restore_process **ret,
		     struct ct_error *err)
{
	for (size_t i = 0; i < r->n_helpers; i++)
		if (r->helpers[i]->vpid == vpid) {
			*ret = r->helpers[i];
			return 0;
		}
	return restore_make_helper(r, r->pod->config.no_init ? &r->processes[0] : &r->init, vpid, ret,
				   err);
}

int restore_tree(struct restore *r, struct ct_error *err)
{
	int e = 0;

	r->stand_ins = calloc(r->plan->n_stand_ins + 1, sizeof(struct restore_process *));
	if (!r->stand_ins)
		return error_errno(err, -ENOMEM, "restore");
	if (r->pod->config.no_init)
		e = terminal_take(&r->processes[0], err);
	return e < 0 ? e : run_steps(r, 0, r->plan->n_first, err);
}

int restore_heirs(struct restore *r, struct restore_process *p, struct ct_error *err)
{
	int e = 0;

	for (int c = r->plan->first_child[p->index]; e == 0 && c >= 0; c = r->plan->next_sibling[c])
		e = run_steps(r, r->plan->heir[c].begin, r->plan->heir[c].end, err);
	return e;
}
