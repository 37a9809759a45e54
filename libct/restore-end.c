/* SPDX-License-Identifier: Apache-2.0 */
/* What is left to do when every process exists: process groups, zombies, the end of the helpers. */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "libct/base/error.h"
#include "libct/restore-steps.h"
#include "libct/tree-plan.h"

#define IGNORED_BY_DEFAULT                                                                         \
	(1ULL << (SIGCHLD - 1) | 1ULL << (SIGCONT - 1) | 1ULL << (SIGURG - 1) | 1ULL << (SIGWINCH - 1) | \
	 1ULL << (SIGSTOP - 1) | 1ULL << (SIGTSTP - 1) | 1ULL << (SIGTTIN - 1) | 1ULL << (SIGTTOU - 1))

static int set_pgid(struct restore_process *p, struct ct_error *err)
{
	if (p->now_pgid == p->vpgid)
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

		if (p->now_pgid != p->vpgid && !group_exists(r, p->vpgid)) {
			e = restore_make_helper(r, p, p->vpgid, &h, err);
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

int restore_end_task(struct restore_process *p, struct ct_error *err)
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

/* The parent must see this end in wait(2) only: what it had pending comes later, from the image. */
static int forget_signal(struct restore_process *parent, int sig, struct ct_error *err)
{
	const uint64_t ignore[4] = { (uint64_t)(uintptr_t)SIG_IGN }, by_default[4] = { 0 };

	/* SIGCHLD is dropped where the actions are restored. */
	if (!sig || sig == SIGCHLD)
		return 0;
	tape_must(&parent->tape, "rt_sigaction", SYS_rt_sigaction, (uint64_t)sig,
		  tape_data(&parent->tape, ignore, sizeof(ignore)), 0, 8, 0, 0);
	tape_must(&parent->tape, "rt_sigaction", SYS_rt_sigaction, (uint64_t)sig,
		  tape_data(&parent->tape, by_default, sizeof(by_default)), 0, 8, 0, 0);
	return restore_run(parent, err);
}

static void tape_end_by_signal(struct tape *tape, const struct restore_process *p, int sig)
{
	const uint64_t none = 0;

	/* The image's zombie dumped no core, and this host wants none either. */
	tape_must(tape, "prctl(PR_SET_DUMPABLE)", SYS_prctl, PR_SET_DUMPABLE, 0, 0, 0, 0, 0);
	tape_must(tape, "end by a signal", SYS_tgkill, (uint64_t)p->vpid, (uint64_t)p->vpid,
		  (uint64_t)sig, 0, 0, 0);
	tape_must(tape, "unblock signals", SYS_rt_sigprocmask, SIG_SETMASK,
		  tape_data(tape, &none, sizeof(none)), 0, 8, 0, 0);
}

/* A zombie is a process that ended the way the image says. */
static int make_zombie(struct restore *r, struct restore_process *p, struct ct_error *err)
{
	int status = (int)node_i64(p->node, "wait_status", 0, 0xffff);
	uint64_t uid = node_u64(p->node, "uid", UINT32_MAX - 1);
	int sig = status & 0x7f, e;
	struct tape *tape = &p->tape;
	char name[16] = "";

	if (status & 0x80 || sig > 64 || (sig && status >> 8))
		node_complain(p->node, "a zombie of wait status 0x%x", status);
	else if (sig && IGNORED_BY_DEFAULT >> (sig - 1) & 1)
		node_complain(p->node, "a zombie of signal %d, which ends nobody", sig);
	e = doc_check(p->restore->doc, err);
	if (e < 0)
		return e;
	strncpy(name, p->name, sizeof(name) - 1);
	tape_must(tape, "prctl(PR_SET_NAME)", SYS_prctl, PR_SET_NAME,
		  tape_data(tape, name, sizeof(name)), 0, 0, 0, 0);
	/* waitid(2) tells it. */
	tape_must(tape, "setresuid", SYS_setresuid, uid, uid, uid, 0, 0, 0);
	if (sig)
		tape_end_by_signal(tape, p, sig);
	else
		tape_call(tape, SYS_exit_group, (uint64_t)(status >> 8 & 0xff), 0, 0, 0, 0, 0);
	e = restore_end_task(p, err);
	return e < 0 ? e : forget_signal(restore_by_vpid(r, p->parent_vpid), p->exit_signal, err);
}

int restore_end_helper(struct restore *r, struct restore_process *parent, struct ct_error *err)
{
	struct restore_process *h = r->helpers[r->n_helpers - 1];
	int e;

	tape_clear(&h->tape);
	tape_call(&h->tape, SYS_exit_group, 0, 0, 0, 0, 0, 0);
	e = restore_end_task(h, err);
	if (e < 0)
		return e;
	tape_must(&parent->tape, "reap a helper", SYS_wait4, (uint64_t)h->vpid, 0, __WALL, 0, 0, 0);
	e = restore_run(parent, err);
	if (e < 0)
		return e;
	r->n_helpers--;
	restore_process_release(h);
	free(h);
	return 0;
}

int restore_tree_end(struct restore *r, struct ct_error *err)
{
	return set_groups(r, err);
}

/* SIGTSTP and its like stop nobody in a group that no parent of the session looks after. */
static bool is_orphaned_group(struct restore *r, pid_t vpgid)
{
	for (size_t i = 0; i < r->n_processes; i++) {
		const struct restore_process *p = &r->processes[i];
		const struct restore_process *parent = restore_by_vpid(r, p->parent_vpid);

		if (p->vpgid == vpgid && !p->zombie && parent && parent->now_pgid != vpgid &&
		    parent->now_sid == p->vsid)
			return false;
	}
	return true;
}

/*
 * Before the signal actions of its parent are restored, which forgets the SIGCHLD of now. The tapes of a
 * stopped process go on running; it stays stopped when it is let go.
 */
static int stop_process(struct restore *r, struct restore_process *p, struct ct_error *err)
{
	struct restore_process *parent = restore_by_vpid(r, p->parent_vpid);
	bool reported = node_bool(node_object(p->node, "stop"), "reported");
	int sig = p->stop_signal, e;

	if (sig != SIGSTOP && is_orphaned_group(r, p->vpgid))
		sig = SIGSTOP;
	if (kill(p->pid, SIGSTOP) < 0)
		return error_errno(err, -errno, "pid %d: stop it", p->vpid);
	e = tracee_group_stop(&p->threads[0].t, sig, err);
	for (size_t i = 1; e == 0 && i < p->n_threads && p->threads[i].t.seized; i++)
		e = tracee_join_stop(&p->threads[i].t, err);
	if (e < 0)
		return error_prefix(err, e, "pid %d", p->vpid);
	if (!reported || !parent)
		return 0;
	tape_must(&parent->tape, "wait for a stopped child", SYS_wait4, (uint64_t)p->vpid, 0,
		  WUNTRACED | __WALL, 0, 0, 0);
	return restore_run(parent, err);
}

/* Stopped and set going again, it has its parent told so. The SIGCONT is forgotten as the SIGCHLD is. */
static int continue_process(struct restore_process *p, struct ct_error *err)
{
	int e;

	if (kill(p->pid, SIGSTOP) < 0)
		return error_errno(err, -errno, "pid %d: stop it", p->vpid);
	e = tracee_group_stop(&p->threads[0].t, SIGSTOP, err);
	for (size_t i = 1; e == 0 && i < p->n_threads && p->threads[i].t.seized; i++)
		e = tracee_join_stop(&p->threads[i].t, err);
	if (e == 0 && kill(p->pid, SIGCONT) < 0)
		e = error_errno(err, -errno, "set it going");
	for (size_t i = 0; e == 0 && i < p->n_threads && p->threads[i].t.seized; i++)
		e = tracee_leave_stop(&p->threads[i].t, err);
	return e < 0 ? error_prefix(err, e, "pid %d", p->vpid) : 0;
}

/* New processes of the pod get the numbers that they would have got. */
static int set_last_pid(struct restore *r, struct ct_error *err)
{
	struct restore_process *p = r->pod->config.no_init ? &r->processes[0] : &r->init;
	cleanup_fd int fd = openat(r->proc, "sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC);
	pid_t last = r->last_vpid;
	ssize_t mine;
	char text[16];
	int len;

	if (fd < 0)
		return error_errno(err, -errno, "open '/proc/sys/kernel/ns_last_pid'");
	if (node_has(r->root, "last_pid"))
		last = (pid_t)node_i64(r->root, "last_pid", 0, 1 << 22);
	len = snprintf(text, sizeof(text), "%d", last);
	mine = restore_tape_fd(p, &p->tape, fd, -1, true);
	tape_chain(&p->tape, (size_t)mine,
		   tape_must(&p->tape, "set the last PID", SYS_write, 0,
			     tape_data(&p->tape, text, sizeof(text)), (uint64_t)len, 0, 0, 0), 0);
	tape_chain(&p->tape, (size_t)mine, tape_call(&p->tape, SYS_close, 0, 0, 0, 0, 0, 0), 0);
	return restore_run(p, err);
}

int restore_tree_settle(struct restore *r, struct ct_error *err)
{
	int e = 0;

	/* Before the zombies: some are their parents. */
	while (e == 0 && r->n_helpers)
		e = restore_end_helper(r, restore_by_vpid(r, r->helpers[r->n_helpers - 1]->parent_vpid),
				       err);
	for (size_t i = 0; e == 0 && i < r->n_processes; i++)
		if (r->processes[i].zombie)
			e = make_zombie(r, &r->processes[i], err);
	/* Last: whoever ends may leave a group of stopped processes to nobody, which sets them going. */
	for (size_t i = 0; e == 0 && i < r->n_processes; i++)
		if (r->processes[i].stop_signal)
			e = stop_process(r, &r->processes[i], err);
		else if (r->processes[i].continued)
			e = continue_process(&r->processes[i], err);
	return e < 0 ? e : set_last_pid(r, err);
}
