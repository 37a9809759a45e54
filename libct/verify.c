/* SPDX-License-Identifier: Apache-2.0 */
#include "libct/verify.h"

#include <string.h>

#include "libct/dump-steps.h"
#include "libct/kind.h"
#include "libct/kind/memory.h"

#define MAX_DIFFERENCES 20

/* The tracees are the restore's: the dump borrows them. */
static int borrow(struct dump *d, struct restore *r, struct ct_error *err)
{
	for (size_t i = 0; i < d->n_processes; i++) {
		struct dump_process *p = &d->processes[i];
		struct restore_process *q = restore_by_vpid(r, p->vpid);

		if (!q)
			return error_set(err, -EUCLEAN, "pid %d is not in the image", p->vpid);
		for (size_t k = 0; k < p->n_threads; k++) {
			struct tracee *t = &p->threads[k].t;
			int e;

			if (p->zombie)
				continue;
			t->seized = true;
			t->stop_signal = q->stop_signal;
			e = tracee_read(t, err);
			if (e < 0)
				return error_prefix(err, e, "pid %d", p->vpid);
		}
	}
	return 0;
}

static void give_back(struct dump *d)
{
	for (size_t i = 0; i < d->n_processes; i++)
		for (size_t k = 0; k < d->processes[i].n_threads; k++)
			d->processes[i].threads[k].t.seized = false;
}

static int compare(struct restore *r, struct dump *d, struct ct_error *err)
{
	static const struct {
		const char *name;
		const struct node *(*get)(const struct node *, const char *);
	} parts[] = {
		{ "processes", node_array },
		{ "descriptors", node_array },
		{ "descriptor_tables", node_array },
		{ "pod_state", node_object },
	};
	char text[sizeof(err->text)] = "";
	size_t n = 0;

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		size_t used = strlen(text);

		if (used && used + 1 < sizeof(text))
			text[used++] = '\n', text[used] = '\0';
		n += node_diff(parts[i].get(r->root, parts[i].name),
			       parts[i].get(d->root, parts[i].name), MAX_DIFFERENCES, text + used,
			       sizeof(text) - used);
	}
	if (!n)
		return 0;
	return error_lines(err, -EUCLEAN, text);
}

int verify(struct restore *r, struct ct_error *err)
{
	__cleanup(dump_free_cleanup) struct dump *d = NULL;
	int e = dump_new(r->pod, false, &d, err);

	if (e < 0)
		return e;
	d->verify = true;
	d->orphans = r->orphans;
	d->n_orphans = r->n_orphans;
	e = dump_find_processes(d, err);
	if (e == 0)
		e = borrow(d, r, err);
	if (e == 0)
		e = dump_describe(d, err);
	if (e == 0)
		e = compare(r, d, err);
	if (e == 0)
		e = memory_verify(r, d, err);
	give_back(d);
	if (e < 0 && e != -EUCLEAN)
		error_prefix(err, -EUCLEAN, "read back"); /* what cannot be read back differs too */
	return e < 0 ? -EUCLEAN : 0;
}
