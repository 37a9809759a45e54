/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The last touch before a restored pod is let go: what moves by itself from the moment it is set. By
 * then the tapes of the restore are gone from the address spaces, so the few processes that have
 * anything of that kind run one as in a dump: on the unused end of the stack.
 */
#include <fcntl.h>

#include "libct/kind.h"
#include "libct/restore-steps.h"
#include "libct/task/proc.h"

#define START_ENTRIES 64

struct place {
	struct restore_process *p;
	struct vma_list areas;
	int mem, pagemap;
	struct tape_site site;
	struct tape tape;
};

static void place_release(struct place *at)
{
	tape_release(&at->tape);
	if (at->site.stub)
		tape_site_remove(&at->site, &at->p->threads[0].t, at->pagemap);
	vma_list_release(&at->areas);
	fd_close(at->mem);
	fd_close(at->pagemap);
}

static int run(struct tape *tape, void *context, struct ct_error *err)
{
	struct place *at = context;
	int e = tape->n ? tape_run(tape, &at->p->threads[0].t, NULL, NULL, err) : 0;

	tape_clear(tape);
	return e;
}

static int place_find(struct place *at, struct ct_error *err)
{
	int proc = at->p->restore->proc, e = proc_areas(proc, at->p->pid, &at->areas);

	if (e == 0)
		e = at->mem = proc_open(proc, at->p->pid, "mem", O_RDWR);
	if (e >= 0)
		e = at->pagemap = proc_open(proc, at->p->pid, "pagemap", O_RDONLY);
	if (e < 0)
		return error_errno(err, e, "look into its memory");
	e = tape_site_find(&at->areas, at->mem, at->pagemap, &at->site, err);
	if (e == 0)
		e = tape_init(&at->tape, &at->site, START_ENTRIES, err);
	at->tape.flush = run;
	at->tape.flush_context = at;
	return e;
}

static int start_process(struct restore_process *p, struct ct_error *err)
{
	__cleanup(place_release) struct place at = { .p = p, .mem = -1, .pagemap = -1 };

	for (size_t i = 0; kinds[i]; i++) {
		const struct node *n;
		int e;

		if (!kinds[i]->process_start)
			continue;
		n = node_object(p->node, kinds[i]->name);
		e = kinds[i]->process_start(p->restore, p, n, NULL, err);
		if (e > 0 && !at.site.stub)
			e = place_find(&at, err);
		else if (e == 0)
			continue;
		if (e >= 0)
			e = kinds[i]->process_start(p->restore, p, n, &at.tape, err);
		if (e >= 0)
			e = doc_check(p->restore->doc, err);
		if (e < 0)
			return error_prefix(err, e, "%s", kinds[i]->name);
	}
	if (restore_enters(p) && !at.site.stub) {
		int e = place_find(&at, err);

		if (e < 0)
			return e;
	}
	if (at.site.stub) {
		int e = run(&at.tape, &at, err);

		if (e == 0)
			e = tracee_put_back(&p->threads[0].t, err);
		if (e < 0)
			return e;
	}
	/* After the tape, whose calls the kernel would forget these for. */
	return restore_enter(p, at.site.area, err);
}

int restore_start(struct restore *r, struct ct_error *err)
{
	for (size_t i = 0; i < r->n_processes; i++) {
		struct restore_process *p = &r->processes[i];
		int e = p->zombie ? 0 : start_process(p, err);

		if (e < 0)
			return error_prefix(err, e, "pid %d", p->vpid);
	}
	return doc_check(r->doc, err);
}
