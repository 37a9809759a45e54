/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process tree: every process is made by clone3(set_tid) on a tape of another one, so that parent, session
 * and process group come out as they were.
 *
 * A session can only be inherited. So a child in its parent's earlier session is made before the
 * parent's setsid(2); one whose parent in the session has died is made by a sibling in that session
 * with CLONE_PARENT; where nobody of the session but orphans is left, a helper with the dead
 * leader's PID stands in until they exist. Dead leaders of process groups likewise.
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "images/archive.h"
#include "libct/base/error.h"
#include "libct/base/io.h"
#include "libct/base/sys.h"
#include "libct/kind/memory.h"
#include "libct/kind/tty.h"
#include "libct/restore-steps.h"

#define TRACE_OPTIONS                                                                              \
	(PTRACE_O_EXITKILL | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE |      \
	 PTRACE_O_SUSPEND_SECCOMP)

static int flush(struct tape *tape, void *context, struct ct_error *err)
{
	return restore_run(context, err);
}

static int process_init(struct restore_process *p, struct ct_error *err)
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

/* A heir is made by its own parent, after that one's setsid(2). */
static bool can_inherit(struct restore *r, const struct restore_process *p)
{
	struct restore_process *parent = restore_by_vpid(r, p->parent_vpid);

	return parent && parent != &r->init && (p->vsid == p->vpid || p->vsid == parent->vsid);
}

static int parse_process(struct restore *r, size_t index, const struct node *n, struct ct_error *err)
{
	struct restore_process *p = &r->processes[index];
	const struct node *threads;

	p->restore = r;
	p->index = (uint32_t)index;
	p->node = n;
	p->mem = p->uffd = p->pidfd = -1;
	p->vpid = (pid_t)node_i64(n, "vpid", 1, 1 << 22);
	p->parent_vpid = (pid_t)node_i64(n, "parent", 0, 1 << 22);
	p->vpgid = (pid_t)node_i64(n, "process_group", 0, 1 << 22);
	p->vsid = (pid_t)node_i64(n, "session", 0, 1 << 22);
	p->zombie = node_bool(n, "zombie");
	p->name = node_str(n, "name");
	for (size_t i = 0; i < index; i++)
		if (r->processes[i].vpid == p->vpid)
			node_complain(n, "two processes with PID %d", p->vpid);
	if (p->parent_vpid != (r->pod->config.no_init ? 0 : 1)) {
		bool found = false;

		/* Parents stand before their children: so there is no cycle either. */
		for (size_t i = 0; i < index; i++)
			found |= r->processes[i].vpid == p->parent_vpid && !r->processes[i].zombie;
		if (!found)
			node_complain(n, "its parent %d is not in front of it", p->parent_vpid);
	} else if (r->pod->config.no_init && index > 0) {
		node_complain(n, "a second process without a parent");
	}
	p->stopped = !p->zombie && node_bool(n, "stopped");
	threads = p->zombie ? NULL : node_array(n, "threads");
	p->n_threads = p->zombie ? 1 : node_count(threads);
	if (p->n_threads < 1)
		node_complain(n, "a process without threads");
	p->threads = calloc(p->n_threads ? p->n_threads : 1, sizeof(*p->threads));
	if (!p->threads)
		return error_errno(err, -ENOMEM, "threads");
	for (size_t i = 0; i < p->n_threads; i++) {
		p->threads[i].process = p;
		p->threads[i].node = p->zombie ? NULL : node_at(threads, i);
		p->threads[i].vtid =
			p->zombie ? p->vpid : (pid_t)node_i64(p->threads[i].node, "vtid", 1, 1 << 22);
	}
	if (p->n_threads && p->threads[0].vtid != p->vpid)
		node_complain(n, "its first thread is not its main thread");
	if (p->zombie)
		return 0;
	p->inherits = node_has(node_object(n, "memory"), "inherited");
	if (p->inherits && !can_inherit(r, p))
		node_complain(n, "it cannot inherit memory from where it is made");
	return memory_parse(p, err);
}

int restore_parse(struct restore *r, struct ct_error *err)
{
	const struct node *list = node_array(r->root, "processes");
	int e;

	r->n_ofds = node_count(node_array(r->root, "descriptors"));
	r->ofds = malloc((r->n_ofds ? r->n_ofds : 1) * sizeof(int));
	r->n_processes = node_count(list);
	r->processes = calloc(r->n_processes ? r->n_processes : 1, sizeof(*r->processes));
	if (!r->ofds || !r->processes)
		return error_errno(err, -ENOMEM, "restore");
	for (size_t i = 0; i < r->n_ofds; i++)
		r->ofds[i] = -1;
	for (size_t i = 0; i < r->n_processes; i++) {
		e = parse_process(r, i, node_at(list, i), err);
		if (e < 0)
			return e;
	}
	if (!r->n_processes)
		return error_set(err, -EBADMSG, "manifest.json: a pod without processes");
	return doc_check(r->doc, err);
}

/* The offset of a `syscall` instruction in the vdso. */
static int find_syscall(struct restore *r, pid_t pid, const struct vma_list *areas, uint64_t *ret)
{
	for (size_t i = 0; i < areas->n; i++) {
		const struct vma *v = &areas->v[i];
		uint8_t code[16384];
		cleanup_fd int mem = -1;

		if (strcmp(v->name, "[vdso]") || v->end - v->start > sizeof(code))
			continue;
		mem = proc_open(r->proc, pid, "mem", O_RDONLY);
		if (mem < 0 || io_pread_exact(mem, code, v->end - v->start, (off_t)v->start) < 0)
			return -EIO;
		for (size_t k = 0; k + 1 < v->end - v->start; k++)
			if (code[k] == 0x0f && code[k + 1] == 0x05) {
				*ret = v->start + k;
				return 0;
			}
	}
	return -ENOENT;
}

int restore_seize_init(struct restore *r, struct ct_error *err)
{
	struct restore_process *p = r->pod->config.no_init ? &r->processes[0] : &r->init;
	__cleanup(vma_list_release) struct vma_list areas = { 0 };
	struct tracee *t;
	uint64_t args[6] = { 0, TAPE_AREA_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, UINT64_MAX, 0 };
	int64_t at;
	int e;

	if (p == &r->init) {
		p->restore = r;
		p->threads = calloc(1, sizeof(*p->threads));
		if (!p->threads)
			return error_errno(err, -ENOMEM, "restore");
		p->n_threads = 1;
		p->vpid = p->threads[0].vtid = 1;
		p->threads[0].process = p;
		p->mem = p->uffd = -1;
	}
	p->pid = r->pod->state.pid1;
	p->restorer_fd = POD_RESTORER_FD;
	t = &p->threads[0].t;
	*t = (struct tracee){ .pid = p->pid, .tid = p->pid, .vpid = 1, .vtid = 1 };
	e = tracee_seize(t, TRACE_OPTIONS, err);
	if (e == 0)
		e = tracee_wait_stop(t, err);
	if (e == 0)
		e = tracee_read(t, err);
	if (e == 0) {
		e = proc_areas(r->proc, p->pid, &areas);
		if (e == 0)
			e = find_syscall(r, p->pid, &areas, &p->syscall_at);
		if (e < 0)
			return error_errno(err, e, "PID 1: find its vdso");
	}
	if (e == 0)
		e = memory_find_hole(r, &areas, TAPE_HOLE_SIZE, &r->tape_area, err);
	if (e < 0)
		return error_prefix(err, e, "PID 1");
	e = process_init(p, err);
	if (e < 0)
		return e;
	args[0] = r->tape_area;
	at = tracee_syscall(t, p->syscall_at, SYS_mmap, args, err);
	if (at != (int64_t)r->tape_area)
		return error_errno(err, at < 0 ? (int)at : -ENOMEM, "PID 1: map the tape");
	e = io_pwrite_all(p->mem, tape_stub, (size_t)(tape_stub_end - tape_stub), (off_t)r->tape_area);
	return e < 0 ? error_errno(err, e, "PID 1: write the stub") : 0;
}

static int take_child(void *context, pid_t child, struct ct_error *err)
{
	*(pid_t *)context = child;
	return 0;
}

int restore_birth(struct restore_process *creator, struct restore_process *p, uint64_t flags,
		  struct ct_error *err)
{
	struct clone_args args = { .flags = flags, .set_tid_size = 1 };
	struct tape *tape = &creator->tape;
	struct tracee *t = &p->threads[0].t;
	pid_t child = 0;
	int e = tape_need(tape, 1, sizeof(args) + 32, err);

	if (e < 0)
		return e;
	/* With CLONE_PARENT the signal is the creator's own (man 2 clone). Helpers end without one. */
	args.exit_signal = flags & CLONE_PARENT || p->helper ? 0 : SIGCHLD;
	args.set_tid = tape_data(tape, &p->vpid, sizeof(p->vpid));
	tape_must(tape, "clone3", SYS_clone3, tape_data(tape, &args, sizeof(args)), sizeof(args), 0, 0,
		  0, 0);
	e = tape_run(tape, &creator->threads[0].t, take_child, &child, err);
	tape_clear(tape);
	if (e == -EEXIST)
		return error_set(err, e, "PID %d is taken in the new pod", p->vpid);
	if (e < 0)
		return error_prefix(err, e, "make pid %d", p->vpid);
	*t = (struct tracee){ .pid = child, .tid = child, .vpid = p->vpid, .vtid = p->vpid,
			      .seized = true };
	p->pid = child;
	p->restorer_fd = creator->restorer_fd;
	p->syscall_at = creator->syscall_at;
	p->now_sid = creator->now_sid;
	p->now_pgid = creator->now_pgid;
	e = tracee_wait_stop(t, err);
	if (e == 0)
		e = tracee_read(t, err);
	if (e == 0)
		e = process_init(p, err);
	return e < 0 ? error_prefix(err, e, "pid %d", p->vpid) : 0;
}

static int set_sid(struct restore_process *p, struct ct_error *err)
{
	if (p->vsid != p->vpid || p->now_sid == p->vpid)
		return 0;
	tape_must(&p->tape, "setsid", SYS_setsid, 0, 0, 0, 0, 0, 0);
	p->now_sid = p->now_pgid = p->vpid;
	return restore_run(p, err);
}

/* A process that exists only while the tree grows: with a dead leader's PID, a child of `parent`. */
static int make_helper(struct restore *r, struct restore_process *parent, pid_t vpid,
		       struct restore_process **ret, struct ct_error *err)
{
	struct restore_process *h = calloc(1, sizeof(*h)), **grown;
	int e;

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
	h->helper = true;
	h->vpid = vpid;
	h->parent_vpid = parent->vpid;
	h->n_threads = 1;
	h->threads[0].process = h;
	h->threads[0].vtid = vpid;
	h->mem = h->uffd = h->pidfd = -1;
	e = restore_birth(parent, h, 0, err);
	*ret = h;
	return e;
}

/* Who can make `c` so that it has the session it needs; *ret_flags is 0 or CLONE_PARENT. */
static int find_creator(struct restore *r, struct restore_process *parent, struct restore_process *c,
			struct restore_process **ret, uint64_t *ret_flags, struct ct_error *err)
{
	int e;

	*ret_flags = 0;
	*ret = parent;
	if (c->vsid == c->vpid || c->vsid == parent->now_sid)
		return 0;
	*ret_flags = CLONE_PARENT;
	for (size_t i = 0; i < r->n_processes; i++) {
		struct restore_process *x = &r->processes[i];

		if (x->pid && !x->zombie && x->parent_vpid == parent->vpid && x->now_sid == c->vsid) {
			*ret = x;
			return 0;
		}
	}
	for (size_t i = 0; i < r->n_helpers; i++)
		if (r->helpers[i]->parent_vpid == parent->vpid && r->helpers[i]->now_sid == c->vsid) {
			*ret = r->helpers[i];
			return 0;
		}
	if (restore_by_vpid(r, c->vsid))
		return error_set(err, -EOPNOTSUPP,
				 "pid %d is in the session of pid %d, which is no relative of it",
				 c->vpid, c->vsid);
	e = make_helper(r, parent, c->vsid, ret, err);
	if (e < 0)
		return e;
	(*ret)->vsid = c->vsid;
	return set_sid(*ret, err);
}

/* Makes one child and, at once, what can be made below it. */
static int make_child(struct restore *r, struct restore_process *creator, struct restore_process *c,
		      uint64_t flags, struct ct_error *err)
{
	int e = restore_birth(creator, c, flags, err);

	return e < 0 ? e : restore_children(r, c, err);
}

int restore_children(struct restore *r, struct restore_process *p, struct ct_error *err)
{
	struct restore_process *creator;
	uint64_t flags;
	int e = 0;

	/* Those in the session that p is about to leave. */
	for (size_t i = 0; e == 0 && p->vsid == p->vpid && i < r->n_processes; i++) {
		struct restore_process *c = &r->processes[i];

		if (c->parent_vpid == p->vpid && c != p && c->vsid == p->now_sid && c->vsid != c->vpid)
			e = make_child(r, p, c, 0, err);
	}
	if (e == 0)
		e = set_sid(p, err);
	/* Children inherit it. */
	if (e == 0)
		e = terminal_take(p, err);
	/*
	 * Leaders of sessions first: they may have to make the others. Those that inherit memory come
	 * when p has its own: restore_heirs().
	 */
	for (int pass = 0; pass < 2; pass++)
		for (size_t i = 0; e == 0 && i < r->n_processes; i++) {
			struct restore_process *c = &r->processes[i];

			if (c->parent_vpid != p->vpid || c == p || c->pid || c->inherits ||
			    (pass == 0) != (c->vsid == c->vpid))
				continue;
			e = find_creator(r, p, c, &creator, &flags, err);
			if (e == 0)
				e = make_child(r, creator, c, flags, err);
		}
	return e;
}

int restore_heirs(struct restore *r, struct restore_process *p, struct ct_error *err)
{
	for (size_t i = 0; i < r->n_processes; i++) {
		struct restore_process *c = &r->processes[i];
		int e;

		if (c->parent_vpid != p->vpid || c == p || !c->inherits)
			continue;
		e = make_child(r, p, c, 0, err);
		if (e < 0)
			return e;
	}
	return 0;
}

static int set_pgid(struct restore_process *p, struct ct_error *err)
{
	if (p->now_pgid == p->vpgid || !p->vpgid)
		return 0;
	tape_must(&p->tape, "setpgid", SYS_setpgid, 0, (uint64_t)p->vpgid, 0, 0, 0, 0);
	p->now_pgid = p->vpgid;
	return restore_run(p, err);
}

static bool group_exists(struct restore *r, pid_t vpgid)
{
	for (size_t i = 0; i < r->n_processes; i++)
		if (r->processes[i].now_pgid == vpgid)
			return true;
	for (size_t i = 0; i < r->n_helpers; i++)
		if (r->helpers[i]->now_pgid == vpgid)
			return true;
	return false;
}

static int set_groups(struct restore *r, struct ct_error *err)
{
	struct restore_process *h;
	int e = 0;

	for (size_t i = 0; e == 0 && i < r->n_processes; i++)
		if (r->processes[i].vpgid == r->processes[i].vpid)
			e = set_pgid(&r->processes[i], err);
	for (size_t i = 0; e == 0 && i < r->n_processes; i++) {
		struct restore_process *p = &r->processes[i];

		if (p->vpgid && p->now_pgid != p->vpgid && !group_exists(r, p->vpgid)) {
			e = make_helper(r, p, p->vpgid, &h, err);
			if (e < 0)
				return e;
			h->vpgid = p->vpgid;
			e = set_pgid(h, err);
		}
		if (e == 0)
			e = set_pgid(p, err);
	}
	return e;
}

/* Ends a task by its own hand and waits until it is a zombie of its parent. */
static int end_task(struct restore_process *p, struct ct_error *err)
{
	struct tracee *t = &p->threads[0].t;
	int status, e = tape_start(&p->tape, t, err);

	while (e == 0) {
		if (waitpid(t->tid, &status, __WALL) < 0) {
			if (errno == EINTR)
				continue;
			e = error_errno(err, -errno, "waitpid");
		} else if (!WIFSTOPPED(status)) {
			t->seized = false;
			return 0;
		} else if (ptrace(PTRACE_CONT, t->tid, 0, WSTOPSIG(status) == SIGURG ? 0 : WSTOPSIG(status)) < 0) {
			e = error_errno(err, -errno, "ptrace cont");
		}
	}
	return error_prefix(err, e, "pid %d", p->vpid);
}

/* A zombie is a process that ended the way the image says. */
static int make_zombie(struct restore_process *p, struct ct_error *err)
{
	int status = (int)node_i64(p->node, "wait_status", 0, 0xffff);
	int sig = status & 0x7f;
	struct tape *tape = &p->tape;

	if (status & 0x80)
		node_complain(p->node, "a zombie that dumped core");
	if (sig) {
		const uint64_t none = 0;
		const uint64_t default_action[4] = { 0 };

		tape_call(tape, SYS_rt_sigaction, (uint64_t)sig,
			  tape_data(tape, default_action, sizeof(default_action)), 0, 8, 0, 0);
		tape_must(tape, "end by a signal", SYS_tgkill, (uint64_t)p->vpid, (uint64_t)p->vpid,
			  (uint64_t)sig, 0, 0, 0);
		tape_must(tape, "unblock signals", SYS_rt_sigprocmask, SIG_SETMASK,
			  tape_data(tape, &none, sizeof(none)), 0, 8, 0, 0);
	} else {
		tape_call(tape, SYS_exit_group, (uint64_t)(status >> 8 & 0xff), 0, 0, 0, 0, 0);
	}
	return end_task(p, err);
}

static int end_helpers(struct restore *r, struct ct_error *err)
{
	for (size_t i = r->n_helpers; i-- > 0;) {
		struct restore_process *h = r->helpers[i], *parent = restore_by_vpid(r, h->parent_vpid);
		int e;

		tape_clear(&h->tape);
		tape_call(&h->tape, SYS_exit_group, 0, 0, 0, 0, 0, 0);
		e = end_task(h, err);
		if (e < 0)
			return e;
		tape_must(&parent->tape, "reap a helper", SYS_wait4, (uint64_t)h->vpid, 0, __WALL, 0, 0,
			  0);
		e = restore_run(parent, err);
		if (e < 0)
			return e;
	}
	return 0;
}

int restore_tree(struct restore *r, struct ct_error *err)
{
	return restore_children(r, r->pod->config.no_init ? &r->processes[0] : &r->init, err);
}

int restore_tree_end(struct restore *r, struct ct_error *err)
{
	return set_groups(r, err);
}

int restore_stand_in(struct restore *r, pid_t vpid, struct restore_process **ret,
		     struct ct_error *err)
{
	for (size_t i = 0; i < r->n_helpers; i++)
		if (r->helpers[i]->vpid == vpid) {
			*ret = r->helpers[i];
			return 0;
		}
	return make_helper(r, r->pod->config.no_init ? &r->processes[0] : &r->init, vpid, ret, err);
}

int restore_tree_settle(struct restore *r, struct ct_error *err)
{
	int e = 0;

	for (size_t i = 0; e == 0 && i < r->n_processes; i++)
		if (r->processes[i].zombie)
			e = make_zombie(&r->processes[i], err);
	return e < 0 ? e : end_helpers(r, err);
}
