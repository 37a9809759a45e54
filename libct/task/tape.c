/* SPDX-License-Identifier: Apache-2.0 */
#include "libct/task/tape.h"

#include <elf.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <ucontext.h>

#include "libct/base/cleanup.h"
#include "libct/base/error.h"
#include "libct/base/io.h"
#include "libct/task/proc.h"
#include "libct/task/restart.h"

#define PAGE 4096UL

int tape_init(struct tape *tape, const struct tape_site *site, size_t max, struct ct_error *err)
{
	size_t used = TAPE_FRAME + max * sizeof(struct tape_entry);

	memset(tape, 0, sizeof(*tape));
	if (used + PAGE > site->area_size)
		return error_set(err, -ENOSPC, "no room for a tape of %zu entries in %zu bytes", max,
				 site->area_size);
	tape->site = *site;
	tape->max = max;
	tape->entries_at = site->area + TAPE_FRAME;
	tape->data_at = site->area + used;
	tape->data_max = site->area_size - used;
	tape->entries = calloc(max, sizeof(*tape->entries));
	tape->what = calloc(max, sizeof(*tape->what));
	tape->data = calloc(1, tape->data_max);
	if (!tape->entries || !tape->what || !tape->data) {
		tape_release(tape);
		return error_errno(err, -ENOMEM, "tape");
	}
	return 0;
}

void tape_release(struct tape *tape)
{
	free(tape->entries);
	free(tape->what);
	free(tape->data);
	memset(tape, 0, sizeof(*tape));
}

void tape_clear(struct tape *tape)
{
	memset(tape->entries, 0, tape->n * sizeof(*tape->entries));
	memset(tape->data, 0, tape->data_len);
	tape->n = tape->data_len = 0;
	tape->error = 0;
}

int tape_need(struct tape *tape, size_t entries, size_t bytes, struct ct_error *err)
{
	bytes += 16;
	if (tape->n + entries <= tape->max && tape->data_len + bytes <= tape->data_max)
		return 0;
	if (!tape->flush || entries > tape->max || bytes > tape->data_max)
		return error_set(err, -ENOSPC, "a tape of %zu entries is too short", tape->max);
	return tape->flush(tape, tape->flush_context, err);
}

size_t tape_call(struct tape *tape, long nr, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3,
		 uint64_t a4, uint64_t a5)
{
	struct tape_entry *e;

	if (tape->n == tape->max) {
		tape->error = -ENOSPC;
		return 0;
	}
	e = &tape->entries[tape->n];
	e->nr = (uint64_t)nr;
	e->arg[0] = a0;
	e->arg[1] = a1;
	e->arg[2] = a2;
	e->arg[3] = a3;
	e->arg[4] = a4;
	e->arg[5] = a5;
	e->result = TAPE_NOT_RUN;
	e->out[0] = e->out[1] = 0;
	e->must = 0;
	tape->what[tape->n] = NULL;
	return tape->n++;
}

size_t tape_must(struct tape *tape, const char *what, long nr, uint64_t a0, uint64_t a1,
		 uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5)
{
	size_t i = tape_call(tape, nr, a0, a1, a2, a3, a4, a5);

	tape->entries[i].must = 1;
	tape->what[i] = what;
	return i;
}

void tape_chain_data(struct tape *tape, size_t from, uint64_t address)
{
	struct tape_entry *e = &tape->entries[from];

	if (e->out[1])
		tape->error = -EINVAL;
	e->out[e->out[0] ? 1 : 0] = address;
}

void tape_chain(struct tape *tape, size_t from, size_t to, unsigned int arg)
{
	tape_chain_data(tape, from,
			tape->entries_at + to * sizeof(struct tape_entry) +
				offsetof(struct tape_entry, arg) + arg * sizeof(uint64_t));
}

uint64_t tape_room(struct tape *tape, size_t len)
{
	uint64_t at = tape->data_at + tape->data_len;

	len = (len + 15) & ~15UL;
	if (tape->data_len + len > tape->data_max) {
		tape->error = -ENOSPC;
		return tape->data_at;
	}
	tape->data_len += len;
	return at;
}

uint64_t tape_data(struct tape *tape, const void *data, size_t len)
{
	uint64_t at = tape_room(tape, len);

	if (!tape->error)
		memcpy(tape->data + (at - tape->data_at), data, len);
	return at;
}

const void *tape_at(const struct tape *tape, uint64_t address)
{
	return tape->data + (address - tape->data_at);
}

struct tape_mark tape_mark(const struct tape *tape)
{
	return (struct tape_mark){ tape->n, tape->data_at + tape->data_len };
}

/* man 2 ptrace knows no words for this layout: arch/x86/include/uapi/asm/sigcontext.h. */
#define FP_XSTATE_MAGIC1 0x46505853U
#define FP_XSTATE_MAGIC2 0x46505845U
struct fpx_sw_bytes {
	uint32_t magic1, extended_size;
	uint64_t xfeatures;
	uint32_t xstate_size, padding[7];
};
#define XSAVE_SW_OFFSET 464
#define UC_FP_XSTATE 1
#define UC_SIGCONTEXT_SS 2
#define UC_STRICT_RESTORE_SS 4

/*
 * The frame that rt_sigreturn(2) returns through to the task's own state; returns its length. Its
 * alternate stack is given as invalid, which the kernel ignores: the task keeps the one it has.
 */
static size_t build_frame(const struct tracee *t, uint64_t at, uint8_t *frame)
{
	const size_t fp_offset = (8 + sizeof(ucontext_t) + 63) & ~63UL;
	ucontext_t *uc = (ucontext_t *)(frame + 8);
	struct user_regs_struct r = t->regs;
	struct fpx_sw_bytes sw = { FP_XSTATE_MAGIC1, (uint32_t)t->xstate_len + 4, 0,
				   (uint32_t)t->xstate_len, { 0 } };
	const uint32_t magic2 = FP_XSTATE_MAGIC2;
	greg_t *g = uc->uc_mcontext.gregs;

	memset(frame, 0, fp_offset);
	restart_rewind(&r);
	uc->uc_flags = UC_FP_XSTATE | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS;
	uc->uc_stack.ss_flags = -1;
	g[REG_R8] = (greg_t)r.r8;
	g[REG_R9] = (greg_t)r.r9;
	g[REG_R10] = (greg_t)r.r10;
	g[REG_R11] = (greg_t)r.r11;
	g[REG_R12] = (greg_t)r.r12;
	g[REG_R13] = (greg_t)r.r13;
	g[REG_R14] = (greg_t)r.r14;
	g[REG_R15] = (greg_t)r.r15;
	g[REG_RDI] = (greg_t)r.rdi;
	g[REG_RSI] = (greg_t)r.rsi;
	g[REG_RBP] = (greg_t)r.rbp;
	g[REG_RBX] = (greg_t)r.rbx;
	g[REG_RDX] = (greg_t)r.rdx;
	g[REG_RAX] = (greg_t)r.rax;
	g[REG_RCX] = (greg_t)r.rcx;
	g[REG_RSP] = (greg_t)r.rsp;
	g[REG_RIP] = (greg_t)r.rip;
	g[REG_EFL] = (greg_t)r.eflags;
	g[REG_CSGSFS] = (greg_t)(r.cs | r.gs << 16 | r.fs << 32 | r.ss << 48);
	uc->uc_mcontext.fpregs = (void *)(at + fp_offset);
	memcpy(&uc->uc_sigmask, &t->sigmask, sizeof(t->sigmask));

	memcpy(frame + fp_offset, t->xstate, t->xstate_len);
	memcpy(&sw.xfeatures, (uint8_t *)t->xstate + XSAVE_SW_OFFSET, sizeof(sw.xfeatures));
	memcpy(frame + fp_offset + XSAVE_SW_OFFSET, &sw, sizeof(sw));
	memcpy(frame + fp_offset + t->xstate_len, &magic2, sizeof(magic2));
	return fp_offset + t->xstate_len + sizeof(magic2);
}

static int write_remote(pid_t pid, uint64_t at, const void *data, size_t len)
{
	struct iovec local = { (void *)data, len }, remote = { (void *)at, len };
	ssize_t n = process_vm_writev(pid, &local, 1, &remote, 1, 0);

	return n < 0 ? -errno : (size_t)n == len ? 0 : -EFAULT;
}

static int read_remote(pid_t pid, uint64_t at, void *data, size_t len)
{
	struct iovec local = { data, len }, remote = { (void *)at, len };
	ssize_t n = process_vm_readv(pid, &local, 1, &remote, 1, 0);

	return n < 0 ? -errno : (size_t)n == len ? 0 : -EFAULT;
}

int tape_start(struct tape *tape, struct tracee *t, struct ct_error *err)
{
	const uint64_t mask = ~(1ULL << (SIGURG - 1));
	struct user_regs_struct regs = t->regs;
	struct iovec io = { &regs, sizeof(regs) };
	int r = tape->error;

	if (r < 0)
		return error_set(err, r, "a tape of %zu entries is too short", tape->max);
	if (!t->frame)
		t->frame = malloc(TAPE_FRAME);
	if (!t->frame)
		return error_errno(err, -ENOMEM, "tape");
	r = write_remote(t->tid, tape->site.area, t->frame,
			 build_frame(t, tape->site.area, t->frame));
	if (r == 0)
		r = write_remote(t->tid, tape->entries_at, tape->entries,
				 tape->n * sizeof(*tape->entries));
	if (r == 0 && tape->data_len)
		r = write_remote(t->tid, tape->data_at, tape->data, tape->data_len);
	if (r < 0)
		return error_errno(err, r, "write the tape");

	regs.rip = tape->site.stub;
	regs.rsp = tape->site.area + 8;
	regs.rbx = tape->entries_at;
	regs.r12 = tape->entries_at + tape->n * sizeof(*tape->entries);
	regs.r13 = (uint64_t)t->vpid;
	regs.r14 = (uint64_t)t->vtid;
	regs.r15 = SIGURG;
	regs.orig_rax = UINT64_MAX; /* or the kernel would restart a call we are not in */
	regs.eflags &= ~0x10500UL; /* no single-stepping, direction down or resume flag in the stub */
	t->dirty = true;
	if (ptrace(PTRACE_SETREGSET, t->tid, NT_PRSTATUS, &io) < 0)
		return error_errno(err, -errno, "write registers");
	if (ptrace(PTRACE_SETSIGMASK, t->tid, sizeof(mask), &mask) < 0)
		return error_errno(err, -errno, "write the signal mask");
	if (ptrace(PTRACE_CONT, t->tid, 0, 0) < 0)
		return error_errno(err, -errno, "ptrace cont");
	return 0;
}

/* Waits for the tape's end: the stub's own SIGURG, told from anybody else's by its siginfo. */
static int wait_end(struct tracee *t, tape_event_fn event, void *context, struct ct_error *err)
{
	for (;;) {
		siginfo_t info;
		int status, r;

		if (waitpid(t->tid, &status, __WALL) < 0) {
			if (errno == EINTR)
				continue;
			return error_errno(err, -errno, "waitpid");
		}
		if (!WIFSTOPPED(status)) {
			t->seized = false;
			return error_set(err, -ESRCH, "it ended");
		}
		if (status >> 16 != 0 && status >> 16 != PTRACE_EVENT_STOP) {
			unsigned long child = 0;

			if (event && ptrace(PTRACE_GETEVENTMSG, t->tid, 0, &child) == 0) {
				r = event(context, (pid_t)child, err);
				if (r < 0)
					return r;
			}
		} else if (status >> 16 == 0 && WSTOPSIG(status) == SIGURG) {
			if (ptrace(PTRACE_GETSIGINFO, t->tid, 0, &info) < 0)
				return error_errno(err, -errno, "ptrace siginfo");
			if (info.si_code == SI_TKILL && info.si_pid == t->vpid)
				return 0;
			/* Somebody else's: back into the queue, for when the task is itself again. */
			t->urgent = true;
			t->urgent_info = info;
		} else if (status >> 16 == 0) {
			return error_set(err, -EIO, "signal %d (%s) while a tape ran", WSTOPSIG(status),
					 strsignal(WSTOPSIG(status)));
		}
		if (ptrace(PTRACE_CONT, t->tid, 0, 0) < 0)
			return error_errno(err, -errno, "ptrace cont");
	}
}

int tape_run(struct tape *tape, struct tracee *t, tape_event_fn event, void *context,
	     struct ct_error *err)
{
	int r = tape_start(tape, t, err);

	if (r < 0)
		return r;
	r = wait_end(t, event, context, err);
	if (r < 0)
		return r;
	r = read_remote(t->tid, tape->entries_at, tape->entries, tape->n * sizeof(*tape->entries));
	if (r == 0 && tape->data_len)
		r = read_remote(t->tid, tape->data_at, tape->data, tape->data_len);
	if (r < 0)
		return error_errno(err, r, "read the tape");
	for (size_t i = 0; i < tape->n; i++) {
		const struct tape_entry *e = &tape->entries[i];

		if (e->must && e->result < 0 && e->result >= -4095)
			return error_errno(err, (int)e->result, "%s", tape->what[i]);
	}
	return 0;
}

/* Pages of the pod's memory that were never touched: neither present nor swapped in pagemap. */
static size_t untouched_pages(int pagemap, uint64_t start, size_t max)
{
	uint64_t entry[64];
	size_t n = 0;

	if (max > 64)
		max = 64;
	if (io_pread_exact(pagemap, entry, max * 8, (off_t)(start / PAGE * 8)) < 0)
		return 0;
	while (n < max && !(entry[n] >> 62))
		n++;
	return n;
}

/* The last bytes of the vdso, where the stub goes: free, or with our stub in them already. */
static int place_stub(const struct vma *vdso, int mem, uint64_t *ret, struct ct_error *err)
{
	const size_t len = (size_t)(tape_stub_end - tape_stub);
	uint64_t at = (vdso->end - len) & ~15UL;
	uint8_t old[512];
	int r;

	if (len > sizeof(old))
		return error_set(err, -EINVAL, "the stub is too long");
	r = io_pread_exact(mem, old, len, (off_t)at);
	if (r < 0)
		return error_errno(err, r, "read the vdso");
	if (memcmp(old, tape_stub, len)) {
		for (size_t i = 0; i < len; i++)
			if (old[i])
				return error_set(err, -EOPNOTSUPP,
						 "no room for %zu bytes at the end of its vdso", len);
		r = io_pwrite_all(mem, tape_stub, len, (off_t)at);
		if (r < 0)
			return error_errno(err, r, "write to the vdso");
	}
	*ret = at;
	return 0;
}

int tape_site_find(const struct vma_list *areas, int mem, int pagemap, struct tape_site *ret,
		   struct ct_error *err)
{
	const struct vma *vdso = NULL, *stack = NULL;
	struct tape_site site = { 0 };
	int r;

	for (size_t i = 0; i < areas->n; i++) {
		if (!strcmp(areas->v[i].name, "[vdso]"))
			vdso = &areas->v[i];
		if (areas->v[i].flags & VMA_GROWSDOWN && !strcmp(areas->v[i].name, "[stack]"))
			stack = &areas->v[i];
	}
	if (!vdso)
		return error_set(err, -EOPNOTSUPP, "it has no vdso");
	if (!stack)
		return error_set(err, -EOPNOTSUPP, "it has no [stack]");
	site.area = stack->start;
	site.area_size = untouched_pages(pagemap, stack->start, (stack->end - stack->start) / PAGE) *
			 PAGE;
	if (site.area_size < TAPE_FRAME + 4 * PAGE)
		return error_set(err, -EOPNOTSUPP,
				 "no untouched pages at the end of its stack (%zu bytes)",
				 site.area_size);
	r = place_stub(vdso, mem, &site.stub, err);
	if (r == 0)
		*ret = site;
	return r;
}

int tape_site_remove(const struct tape_site *site, int mem, int pagemap)
{
	static const uint8_t zero[PAGE];
	int r = io_pwrite_all(mem, zero, (size_t)(tape_stub_end - tape_stub), (off_t)site->stub);

	for (size_t at = 0; r == 0 && at < site->area_size; at += PAGE)
		if (!untouched_pages(pagemap, site->area + at, 1))
			r = io_pwrite_all(mem, zero, PAGE, (off_t)(site->area + at));
	return r;
}
