/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System call filters: man 2 seccomp. Every thread has a list of filters, the oldest first; ptrace
 * reads the programs of a stopped thread (PTRACE_SECCOMP_GET_FILTER). Each different program stands
 * once in the manifest, in "seccomp_filters"; threads refer to it by number.
 *
 * While podckpt traces a task its filters are suspended, so that tapes run: PTRACE_O_SUSPEND_SECCOMP.
 *
 * A filter that asks a supervisor (SECCOMP_RET_USER_NOTIF) is refused: the supervisor holds a
 * descriptor of exactly this filter, which cannot be made again for it.
 */
#include <linux/bpf_common.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

#include "libct/dump-steps.h"
#include "libct/kind.h"

#define MAX_FILTERS 4096
#define STRICT 1
#define FILTER 2

/* <linux/ptrace.h> and <sys/ptrace.h> do not go together. */
#ifndef PTRACE_SECCOMP_GET_METADATA
#define PTRACE_SECCOMP_GET_METADATA 0x420d
#endif
struct metadata {
	uint64_t index, flags;
};

/* The programs seen so far. */
struct seccomp_registry {
	struct program {
		struct sock_filter *code;
		uint16_t len;
		uint64_t flags;
	} *programs;
	size_t n;
	struct node *list;
};

void seccomp_registry_free(struct seccomp_registry *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n; i++)
		free(s->programs[i].code);
	free(s->programs);
	free(s);
}

/* ---- dump ---- */

static bool asks_supervisor(const struct sock_filter *code, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (code[i].code == (BPF_RET | BPF_K) &&
		    (code[i].k & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_USER_NOTIF)
			return true;
	return false;
}

/* The number of a program in the manifest, where it is put if it is new. Takes `code`. */
static int program_number(struct dump *d, struct sock_filter *code, uint16_t len, uint64_t flags,
			  size_t *ret)
{
	cleanup_free struct sock_filter *mine = code;
	struct seccomp_registry *s = d->seccomp;
	struct program *grown;
	struct node *one;

	if (!s) {
		s = d->seccomp = calloc(1, sizeof(*s));
		if (!s)
			return -ENOMEM;
		s->list = node_put_array(d->root, "seccomp_filters");
	}
	for (*ret = 0; *ret < s->n; ++*ret) {
		struct program *p = &s->programs[*ret];

		if (p->len == len && p->flags == flags && !memcmp(p->code, code, len * sizeof(*code)))
			return 0;
	}
	grown = realloc(s->programs, (s->n + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	s->programs = grown;
	one = node_put_object(s->list, NULL);
	node_put_bool(one, "log", flags & SECCOMP_FILTER_FLAG_LOG);
	node_put_blob(one, "program", code, len * sizeof(*code));
	s->programs[s->n++] = (struct program){ take_ptr(mine), len, flags };
	return 0;
}

static int dump_filter(struct dump *d, struct dump_thread *t, size_t index, long len,
		       struct node *list, struct ct_error *err)
{
	struct sock_filter *code = calloc((size_t)len, sizeof(*code));
	struct metadata meta = { .index = index };
	size_t number = 0;
	int r;

	if (!code)
		return error_errno(err, -ENOMEM, "seccomp filter");
	if (ptrace(PTRACE_SECCOMP_GET_FILTER, t->t.tid, index, code) != len ||
	    ptrace(PTRACE_SECCOMP_GET_METADATA, t->t.tid, sizeof(meta), &meta) < 0) {
		r = -errno;
		free(code);
		return error_errno(err, r, "read its seccomp filter %zu", index);
	}
	if (asks_supervisor(code, (size_t)len)) {
		free(code);
		dump_refuse_process(d, t->process, "its seccomp filter asks a supervisor (SECCOMP_RET_USER_NOTIF), "
						   "which is not carried");
		return 0;
	}
	r = program_number(d, code, (uint16_t)len, meta.flags, &number);
	node_put_u64(list, NULL, number);
	return r < 0 ? error_errno(err, r, "seccomp filter") : 0;
}

static int process_dump(struct dump *d, struct dump_process *p, const struct tape *tape,
			struct tape_mark mark, struct node *n, struct ct_error *err)
{
	return 0; /* all of it is with the threads */
}

static int thread_dump(struct dump *d, struct dump_thread *t, const struct tape *tape,
		       struct tape_mark mark, struct node *n, struct ct_error *err)
{
	struct node *list;

	if (t->status.seccomp == STRICT)
		node_put_bool(n, "strict", true);
	if (t->status.seccomp != FILTER)
		return 0;
	list = node_put_array(n, "filters");
	for (size_t i = 0;; i++) {
		long len = ptrace(PTRACE_SECCOMP_GET_FILTER, t->t.tid, i, NULL);
		int r;

		if (len < 0 && errno == ENOENT && i > 0)
			return 0;
		if (len < 0)
			return error_errno(err, -errno, "read its seccomp filters");
		r = dump_filter(d, t, i, len, list, err);
		if (r < 0)
			return r;
	}
}

/* ---- restore ---- */

static int tape_filter(struct restore *r, uint64_t number, unsigned int flags, struct tape *tape,
		       struct ct_error *err)
{
	const struct node *one = node_at(node_array(r->root, "seccomp_filters"), number);
	struct sock_fprog program = { 0 };
	size_t len = 0;
	const void *code = node_blob(one, "program", &len);
	bool log = node_bool(one, "log");

	if (!len || len % sizeof(struct sock_filter) || len / sizeof(struct sock_filter) > BPF_MAXINSNS)
		node_complain(one, "a filter of %zu bytes", len);
	if (doc_check(r->doc, err) < 0)
		return -EBADMSG;
	program.len = (unsigned short)(len / sizeof(struct sock_filter));
	program.filter = (struct sock_filter *)(uintptr_t)tape_data(tape, code, len);
	/* Whether the filter itself limited speculation is with the thread's other attributes. */
	tape_must(tape, "seccomp(SECCOMP_SET_MODE_FILTER)", SYS_seccomp, SECCOMP_SET_MODE_FILTER,
		  SECCOMP_FILTER_FLAG_SPEC_ALLOW | (log ? SECCOMP_FILTER_FLAG_LOG : 0) | flags,
		  tape_data(tape, &program, sizeof(program)), 0, 0, 0);
	return 0;
}

static const struct node *filters_of(const struct node *seccomp)
{
	return node_has(seccomp, "filters") ? node_array(seccomp, "filters") : NULL;
}

static uint64_t filter_number(struct restore *r, const struct node *list, size_t i)
{
	size_t n = node_has(r->root, "seccomp_filters")
			   ? node_count(node_array(r->root, "seccomp_filters"))
			   : 0;

	if (!n)
		node_complain(list, "filters that are not in the manifest");
	return node_at_u64(list, i, n ? n - 1 : 0);
}

/* How many of the oldest filters all threads of the process have in common. */
static size_t common(struct restore *r, struct restore_process *p)
{
	const struct node *first = filters_of(node_object(p->threads[0].node, "seccomp"));
	size_t n = node_count(first);

	for (size_t k = 1; n && k < p->n_threads; k++) {
		const struct node *other = filters_of(node_object(p->threads[k].node, "seccomp"));
		size_t same = 0;

		while (same < n && same < node_count(other) &&
		       filter_number(r, first, same) == filter_number(r, other, same))
			same++;
		n = same;
	}
	return n;
}

/*
 * Every process of a pod has the pod's own filter first, and cannot get rid of it. Bytes are compared: whether
 * another program denies as much nobody can tell.
 */
static void thread_asks(struct restore *r, struct restore_thread *t, const struct node *n)
{
	const struct node *list = filters_of(n), *first;
	size_t len = 0;
	const void *code = NULL;

	if (!r->grants.filter || (node_has(n, "strict") && node_bool(n, "strict")))
		return;
	if (node_count(list)) {
		first = node_at(node_array(r->root, "seccomp_filters"), filter_number(r, list, 0));
		code = node_blob(first, "program", &len);
	}
	if (!code)
		grants_refuse(&r->grants, "pid %d (%s): it runs without the pod's system call filter; grant that with "
					  "--seccomp unconfined",
			      t->process->vpid, t->process->name);
	else if (len != r->grants.filter_len || memcmp(code, r->grants.filter, len))
		grants_refuse(&r->grants, "pid %d (%s): its system call filter is not the one that podckpt makes for "
					  "such a pod here (was it another version?); grant it with --seccomp unconfined",
			      t->process->vpid, t->process->name);
}

/*
 * Filters that all threads have are installed before there are threads, which inherit them: a later
 * SECCOMP_FILTER_FLAG_TSYNC of the program demands that they are the same ones, not equal ones. Where
 * the threads exist already, being the parents of processes, they are handed the leader's.
 */
static int process_restore(struct restore *r, struct restore_process *p, const struct node *n,
			   struct tape *tape, struct ct_error *err)
{
	const struct node *list = filters_of(node_object(p->threads[0].node, "seccomp"));
	bool threads = p->n_threads > 1 && p->threads[1].t.seized;
	unsigned int flags = threads ? SECCOMP_FILTER_FLAG_TSYNC : 0;

	p->n_common_filters = common(r, p);
	for (size_t i = 0; i < p->n_common_filters; i++) {
		int e = tape_need(tape, 1, BPF_MAXINSNS * sizeof(struct sock_filter) + 64, err);

		if (e == 0)
			e = tape_filter(r, filter_number(r, list, i), flags, tape, err);
		if (e < 0)
			return e;
	}
	return 0;
}

static int thread_restore(struct restore *r, struct restore_thread *t, const struct node *n,
			  struct tape *tape, struct ct_error *err)
{
	const struct node *list = filters_of(n);

	if (node_count(list) > MAX_FILTERS)
		node_complain(n, "%zu filters", node_count(list));
	for (size_t i = t->process->n_common_filters; i < node_count(list); i++) {
		int e = 0;

		/* By this thread, unlike tape_need(). */
		if (tape->data_len + BPF_MAXINSNS * sizeof(struct sock_filter) + 64 > tape->data_max)
			e = restore_run_thread(t, tape, err);
		if (e == 0)
			e = tape_filter(r, filter_number(r, list, i), 0, tape, err);
		if (e < 0)
			return e;
	}
	if (node_has(n, "strict") && node_bool(n, "strict"))
		tape_must(tape, "prctl(PR_SET_SECCOMP)", SYS_prctl, PR_SET_SECCOMP, SECCOMP_MODE_STRICT,
			  0, 0, 0, 0);
	return 0;
}

const struct kind kind_seccomp = {
	.name = "seccomp",
	.carries = "system call filters and strict mode of each thread",
	.refuses = "filters that ask a supervisor",
	.victims = "seccomp-filter seccomp-threads seccomp-strict seccomp-notify seccomp-notify-ended "
		   "seccomp-unseen",
	.process_dump = process_dump,
	.process_restore = process_restore,
	.thread_dump = thread_dump,
	.thread_asks = thread_asks,
	.thread_restore = thread_restore,
};
