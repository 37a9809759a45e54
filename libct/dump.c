/* SPDX-License-Identifier: Apache-2.0 */
/* What is found out in a dump: findings, processes looked up, and their end. */
#include "libct/dump.h"

#include <stdarg.h>
#include <string.h>

#include "libct/base/error.h"
#include "libct/dump-steps.h"
#include "libct/findings.h"
#include "libct/kind.h"

static void add_finding(struct dump *d, const char *where, const char *format, va_list ap)
{
	char text[512], line[768];

	vsnprintf(text, sizeof(text), format, ap);
	snprintf(line, sizeof(line), "%s%s%s", where, *where ? ": " : "", text);
	d->n_findings++;
	finding_add(&d->findings, line); /* where it is lost, the count alone refuses the dump */
	d->lasting_before = d->lasting ? strlen(d->lasting) : 0;
	finding_add(&d->lasting, line);
}

void dump_refuse(struct dump *d, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	add_finding(d, "", format, ap);
	va_end(ap);
}

void dump_passing(struct dump *d)
{
	d->n_passing++;
	if (d->lasting)
		d->lasting[d->lasting_before] = '\0';
}

void dump_refuse_process(struct dump *d, const struct dump_process *p, const char *format, ...)
{
	char where[128];
	va_list ap;

	snprintf(where, sizeof(where), "pid %d (%s)", p->vpid, p->stat.comm);
	va_start(ap, format);
	add_finding(d, where, format, ap);
	va_end(ap);
}

void dump_refuse_fd(struct dump *d, const struct fd_view *v, const char *format, ...)
{
	const struct dump_process *p = dump_by_pid(d, v->pid);
	char where[128];
	va_list ap;

	if (p)
		snprintf(where, sizeof(where), "pid %d (%s) fd %d", p->vpid, p->stat.comm, v->fd);
	else if (d->mapping)
		snprintf(where, sizeof(where), "pid %d (%s) memory", d->mapping->vpid,
			 d->mapping->stat.comm);
	else
		snprintf(where, sizeof(where), "a descriptor under way in a unix socket");
	va_start(ap, format);
	add_finding(d, where, format, ap);
	va_end(ap);
}

struct dump_process *dump_by_pid(struct dump *d, pid_t pid)
{
	for (size_t i = 0; i < d->n_processes; i++) {
		struct dump_process *p = &d->processes[i];

		if (p->pid == pid)
			return p;
		for (size_t k = 1; k < p->n_threads; k++)
			if (p->threads[k].t.tid == pid)
				return p;
	}
	return NULL;
}

struct dump_process *dump_by_vpid(struct dump *d, pid_t vpid)
{
	for (size_t i = 0; i < d->n_processes; i++)
		if (d->processes[i].vpid == vpid)
			return &d->processes[i];
	return NULL;
}

static void thread_release(struct dump_thread *t)
{
	tracee_release(&t->t);
	proc_status_release(&t->status);
	free(t->pending.infos);
}

static void remove_tape(struct dump_process *p)
{
	if (p->site.stub)
		tape_site_remove(&p->site, &p->threads[0].t, p->pagemap);
	p->site.stub = 0;
}

void dump_remove_tapes(struct dump *d)
{
	/* Where what was done in the freeze has failed. */
	if (dump_thaw(d, NULL) < 0)
		return;
	for (size_t i = 0; i < d->n_processes; i++)
		remove_tape(&d->processes[i]);
}

void dump_process_release(struct dump_process *p)
{
	remove_tape(p);
	for (size_t i = 0; i < p->n_threads; i++)
		thread_release(&p->threads[i]);
	free(p->threads);
	free(p->inherited);
	free(p->aio);
	vma_list_release(&p->areas);
	task_timers_release(&p->timers);
	free(p->pending.infos);
	proc_status_release(&p->status);
	fd_close(p->mem);
	fd_close(p->pagemap);
	fd_close(p->pidfd);
}
