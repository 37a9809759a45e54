/* SPDX-License-Identifier: Apache-2.0 */
#include "libct/task/tape.h"

#include <elf.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "libct/base/cleanup.h"
#include "libct/base/error.h"
#include "libct/base/io.h"
#include "libct/task/proc.h"
#include "libct/task/restart.h"

#define PAGE 4096UL
#define AREA_MAGIC 0x6570617470636b70ULL /* in front of the entries */

/* Of its entries, their words and its data, one behind the other. */
static size_t memory_size(const struct tape *tape)
{
	return tape->max * (sizeof(*tape->entries) + sizeof(*tape->what)) + tape->data_max;
}

int tape_init(struct tape *tape, const struct tape_site *site, size_t max, struct ct_error *err)
{
	size_t used = 16 + max * sizeof(struct tape_entry);

	memset(tape, 0, sizeof(*tape));
	if (used + PAGE > site->area_size)
		return error_set(err, -ENOSPC, "no room for a tape of %zu entries in %zu bytes", max,
				 site->area_size);
	tape->site = *site;
	tape->max = max;
	tape->entries_at = site->area + 16; /* behind AREA_MAGIC */
	tape->data_at = site->area + used;
	tape->data_max = site->area_size - used;
	/*
	 * Every process of a restore has a long one, of which it uses little: calloc() would touch it all
	 * where it has such a piece at hand.
	 */
	tape->entries = mmap(NULL, memory_size(tape), PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (tape->entries == MAP_FAILED) {
		tape->entries = NULL;
		return error_errno(err, -errno, "tape");
	}
	(void)madvise(tape->entries, memory_size(tape), MADV_NOHUGEPAGE);
	tape->what = (const char **)(tape->entries + max);
	tape->data = (uint8_t *)(tape->what + max);
	return 0;
}

void tape_release(struct tape *tape)
{
	if (tape->entries)
		munmap(tape->entries, memory_size(tape));
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

/* Behind the stub's code: what it goes back to. */
struct tape_block {
	uint64_t regs[15]; /* rax rbx rcx rdx rsi rdi rbp r8-r15 */
	uint64_t rsp, flags, rip, mask;
	uint64_t area, area_size; /* for who finds the stub of a killed podckpt */
};

#define STUB_LEN ((size_t)(tape_stub_end - tape_stub))
#define BLOCK_AT(site) ((site)->stub + (uint64_t)(tape_stub_block - tape_stub))

/* The system calls of a tape leave the extended state alone, so that needs no way back. */
static void fill_block(const struct tracee *t, struct tape_block *block)
{
	struct user_regs_struct r = t->regs;

	restart_rewind(&r);
	*block = (struct tape_block){
		.regs = { r.rax, r.rbx, r.rcx, r.rdx, r.rsi, r.rdi, r.rbp, r.r8, r.r9, r.r10, r.r11,
			  r.r12, r.r13, r.r14, r.r15 },
		.rsp = r.rsp,
		.flags = r.eflags & ~0x10100UL, /* neither single-stepping nor the resume flag */
		.rip = r.rip,
		.mask = t->sigmask,
	};
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

/* Is a signal in one of the queues that the thread takes from? */
static bool is_pending(const struct tracee *t, int sig)
{
	for (int shared = 0; shared < 2; shared++) {
		struct __ptrace_peeksiginfo_args args = {
			.flags = shared ? PTRACE_PEEKSIGINFO_SHARED : 0, .nr = 16 };
		siginfo_t infos[16];
		long n;

		do {
			n = ptrace(PTRACE_PEEKSIGINFO, t->tid, &args, infos);
			for (long i = 0; i < n; i++)
				if (infos[i].si_signo == sig)
					return true;
			args.off += n > 0 ? (uint64_t)n : 0;
		} while (n == 16);
	}
	return false;
}

/* One that does nothing by default, and that is not pending: it would be taken out of its queue. */
static int choose_signal(const struct tracee *t)
{
	static const int signals[] = { SIGURG, SIGWINCH, SIGCHLD };

	for (size_t i = 0; i < 3; i++)
		if (!(t->avoid >> (signals[i] - 1) & 1) && !is_pending(t, signals[i]))
			return signals[i];
	return SIGURG;
}

/* Lets the task go into the stub with these registers, which the caller has set up but for the way out. */
static int start(const struct tape_site *site, struct tracee *t, struct user_regs_struct *regs,
		 struct ct_error *err)
{
	uint64_t mask;
	struct iovec io = { regs, sizeof(*regs) };
	struct tape_block block;
	int r;

	fill_block(t, &block);
	block.area = site->area;
	block.area_size = site->area_size;
	/* It lies in pages that the task itself cannot write to. */
	r = io_pwrite_all(site->mem, &block, sizeof(block), (off_t)BLOCK_AT(site));
	if (r < 0)
		return error_errno(err, r, "write the tape");
	regs->r13 = (uint64_t)t->vpid;
	regs->r14 = (uint64_t)t->vtid;
	t->tape_signal = choose_signal(t);
	mask = ~(1ULL << (t->tape_signal - 1));
	regs->r15 = (uint64_t)t->tape_signal;
	regs->orig_rax = UINT64_MAX; /* or the kernel would restart a call we are not in */
	regs->eflags &= ~0x10500UL; /* no single-stepping, direction down or resume flag in the stub */
	t->dirty = true;
	if (ptrace(PTRACE_SETREGSET, t->tid, NT_PRSTATUS, &io) < 0)
		return error_errno(err, -errno, "write registers");
	if (ptrace(PTRACE_SETSIGMASK, t->tid, sizeof(mask), &mask) < 0)
		return error_errno(err, -errno, "write the signal mask");
	if (ptrace(PTRACE_CONT, t->tid, 0, 0) < 0)
		return error_errno(err, -errno, "ptrace cont");
	return 0;
}

int tape_start(struct tape *tape, struct tracee *t, struct ct_error *err)
{
	const uint64_t magic = AREA_MAGIC;
	struct user_regs_struct regs = t->regs;
	int r = tape->error;

	if (r < 0)
		return error_set(err, r, "a tape of %zu entries is too short", tape->max);
	r = write_remote(t->tid, tape->site.area, &magic, sizeof(magic));
	if (r == 0)
		r = write_remote(t->tid, tape->entries_at, tape->entries,
				 tape->n * sizeof(*tape->entries));
	if (r == 0 && tape->data_len)
		r = write_remote(t->tid, tape->data_at, tape->data, tape->data_len);
	if (r < 0)
		return error_errno(err, r, "write the tape");
	regs.rip = tape->site.stub;
	regs.rbx = tape->entries_at;
	regs.r12 = tape->entries_at + tape->n * sizeof(struct tape_entry);
	return start(&tape->site, t, &regs, err);
}

/*
 * Has the tape ended, now that its signal is here? Where RLIMIT_SIGPENDING is exhausted the siginfo
 * is lost and the place in the stub tells.
 */
static int check_end(const struct tape_site *site, struct tracee *t, struct ct_error *err)
{
	struct user_regs_struct regs;
	struct iovec io = { &regs, sizeof(regs) };
	siginfo_t info;

	if (ptrace(PTRACE_GETSIGINFO, t->tid, 0, &info) < 0)
		return error_errno(err, -errno, "ptrace siginfo");
	if (info.si_code == SI_TKILL && info.si_pid == t->vpid)
		return 1;
	if (ptrace(PTRACE_GETREGSET, t->tid, NT_PRSTATUS, &io) < 0)
		return error_errno(err, -errno, "read registers");
	if (info.si_code != SI_USER || info.si_pid) {
		t->late = true;
		t->late_info = info;
	}
	return regs.rip == site->stub + (uint64_t)(tape_stub_over - tape_stub);
}

/* Waits for the tape's end: the stub's own signal, told from anybody else's. */
static int wait_end(const struct tape_site *site, struct tracee *t, tape_event_fn event,
		    void *context, struct ct_error *err)
{
	for (;;) {
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

			if (event && ptrace(PTRACE_GETEVENTMSG, t->tid, 0, &child) < 0)
				return error_errno(err, -errno, "ptrace event");
			r = event ? event(context, (pid_t)child, err) : 0;
			if (r < 0)
				return r;
		} else if (status >> 16 == 0 && WSTOPSIG(status) == t->tape_signal) {
			r = check_end(site, t, err);
			if (r)
				return r < 0 ? r : 0;
		} else if (status >> 16 == 0 && WSTOPSIG(status) == SIGSTOP) {
			t->stop_later = true;
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
	r = wait_end(&tape->site, t, event, context, err);
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

/* Pages that are as if never touched, or hold nothing but zeros: those of a locked stack. */
static size_t blank_pages(int mem, int pagemap, uint64_t start, size_t max)
{
	uint64_t page[PAGE / 8];
	size_t n = 0;

	while (n < max && n < 64) {
		uint64_t any = 0;

		if (!untouched_pages(pagemap, start + n * PAGE, 1)) {
			if (io_pread_exact(mem, page, PAGE, (off_t)(start + n * PAGE)) < 0)
				break;
			for (size_t i = 0; i < PAGE / 8; i++)
				any |= page[i];
		}
		if (any)
			break;
		n++;
	}
	return n;
}

/*
 * A podckpt that was killed leaves its stub, and pages of the area that are touched now. As long as
 * the task has not written over their beginning they are still ours.
 */
static void find_leftover(const struct tape_block *block, struct tape_site *site)
{
	uint64_t magic = 0;

	if (block->area < site->area || block->area + block->area_size > site->area + site->area_size ||
	    block->area_size < TAPE_AREA_MIN || block->area % PAGE || block->area_size % PAGE ||
	    io_pread_exact(site->mem, &magic, sizeof(magic), (off_t)block->area) < 0 ||
	    magic != AREA_MAGIC)
		return;
	site->area = block->area;
	site->area_size = block->area_size;
	site->leftover = true;
}

/* The last bytes of the vdso, where the stub goes: free, or with our stub in them already. */
static int place_stub(const struct vma *vdso, int mem, struct tape_site *site, struct ct_error *err)
{
	uint64_t at = (vdso->end - STUB_LEN) & ~15UL;
	uint8_t old[1024];
	int r;

	if (STUB_LEN > sizeof(old) ||
	    (size_t)(tape_stub_end - tape_stub_block) != sizeof(struct tape_block))
		return error_set(err, -EINVAL, "the stub has the wrong length");
	r = io_pread_exact(mem, old, STUB_LEN, (off_t)at);
	if (r < 0)
		return error_errno(err, r, "read the vdso");
	if (!memcmp(old, tape_stub, (size_t)(tape_stub_block - tape_stub))) {
		find_leftover((const struct tape_block *)(old + (tape_stub_block - tape_stub)), site);
	} else {
		for (size_t i = 0; i < STUB_LEN; i++)
			if (old[i])
				return error_set(err, -EOPNOTSUPP,
						 "no room for %zu bytes at the end of its vdso", STUB_LEN);
		r = io_pwrite_all(mem, tape_stub, STUB_LEN, (off_t)at);
		if (r < 0)
			return error_errno(err, r, "write to the vdso");
	}
	site->stub = at;
	return 0;
}

static int remove_stub(const struct tape_site *site)
{
	static const uint8_t zero[1024];

	return io_pwrite_all(site->mem, zero, STUB_LEN, (off_t)site->stub);
}

/*
 * A stack that is used down to its end grows by what is missing, as it would under the task
 * itself: the kernel does that for writes through /proc/PID/mem too. What lies next below must be
 * farther away than the guard gap, or the write would hit it.
 */
static int grow_stack(const struct vma_list *areas, const struct vma *stack, struct tape_site *site,
		      struct ct_error *err)
{
	const uint64_t at = stack->start - (TAPE_AREA_MIN - site->area_size), gap = 256 * PAGE;
	const char zero = 0;

	for (size_t i = 0; i < areas->n; i++)
		if (areas->v[i].start < stack->start && areas->v[i].end + gap > at)
			return error_set(err, -EOPNOTSUPP, "no room below its stack");
	if (io_pwrite_all(site->mem, &zero, 1, (off_t)at) < 0)
		return error_set(err, -EOPNOTSUPP, "its stack cannot grow by %zu bytes",
				 TAPE_AREA_MIN - site->area_size);
	site->area = at;
	site->area_size = TAPE_AREA_MIN;
	return 0;
}

int tape_site_find(const struct vma_list *areas, int mem, int pagemap, struct tape_site *ret,
		   struct ct_error *err)
{
	const struct vma *vdso = NULL, *stack = NULL;
	struct tape_site site = { .mem = mem };
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
	site.area_size = stack->end - stack->start;
	r = place_stub(vdso, mem, &site, err);
	if (r < 0)
		return r;
	if (!site.leftover)
		site.area_size =
			blank_pages(mem, pagemap, stack->start, site.area_size / PAGE) * PAGE;
	if (site.area_size < TAPE_AREA_MIN)
		r = grow_stack(areas, stack, &site, err);
	if (r < 0) {
		remove_stub(&site);
		return r;
	}
	*ret = site;
	return 0;
}

/* The last call gives the area's pages back, so that they are as untouched as before. */
static int drop_area(const struct tape_site *site, struct tracee *t)
{
	struct user_regs_struct regs = t->regs;
	int r;

	regs.rip = site->stub + (uint64_t)(tape_stub_once - tape_stub);
	regs.rax = SYS_madvise;
	regs.rdi = site->area;
	regs.rsi = site->area_size;
	regs.rdx = MADV_DONTNEED;
	r = start(site, t, &regs, NULL);
	if (r == 0)
		r = wait_end(site, t, NULL, NULL, NULL);
	return r < 0 ? r : tracee_put_back(t, NULL);
}

int tape_site_remove(const struct tape_site *site, struct tracee *t, int pagemap)
{
	static const uint8_t zero[PAGE];
	int r = t->seized ? drop_area(site, t) : 0;

	/* Pages that could not be dropped (locked ones) are at least empty again. */
	for (size_t at = 0; at < site->area_size; at += PAGE)
		if (!untouched_pages(pagemap, site->area + at, 1))
			r = io_pwrite_all(site->mem, zero, PAGE, (off_t)(site->area + at));
	return r < 0 ? r : remove_stub(site);
}
