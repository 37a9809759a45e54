/* SPDX-License-Identifier: Apache-2.0 */
/* PID 1 of the new pod, from which all other processes are made: seized in front of its work. */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

#include "images/archive.h"
#include "libct/base/error.h"
#include "libct/base/io.h"
#include "libct/kind/memory.h"
#include "libct/restore-steps.h"

#define TRACE_OPTIONS                                                                              \
	(PTRACE_O_EXITKILL | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE |      \
	 PTRACE_O_SUSPEND_SECCOMP)

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
	p->now_sid = p->now_pgid = 1; /* it has made its session itself */
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
	e = restore_process_init(p, err);
	if (e < 0)
		return e;
	args[0] = r->tape_area;
	at = tracee_syscall(t, p->syscall_at, SYS_mmap, args, err);
	if (at != (int64_t)r->tape_area)
		return error_errno(err, at < 0 ? (int)at : -ENOMEM, "PID 1: map the tape");
	e = io_pwrite_all(p->mem, tape_stub, (size_t)(tape_stub_end - tape_stub), (off_t)r->tape_area);
	return e < 0 ? error_errno(err, e, "PID 1: write the stub") : 0;
}
