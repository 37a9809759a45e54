/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An address space: its areas as /proc/PID/smaps shows them, the pages in them that are not the
 * mapped file's own (PAGEMAP_SCAN, Documentation/admin-guide/mm/pagemap.rst), brk and the
 * addresses that /proc/PID/cmdline and environ are read from.
 *
 * Files that are mapped are "descriptors" like those that are open: /proc/PID/map_files/ opens them,
 * whatever became of their names.
 */
#include <elf.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "images/archive.h"
#include "libct/base/io.h"
#include "libct/dump-steps.h"
#include "libct/kind/aio.h"
#include "libct/kind/file.h"
#include "libct/kind/memory.h"
#include "libct/kind/pagemap.h"

/* What of VmFlags is the program's doing and is restored. */
static const uint32_t carried_flags = VMA_GROWSDOWN | VMA_LOCKED | VMA_LOCKONFAULT | VMA_DONTFORK |
				      VMA_DONTDUMP | VMA_WIPEONFORK | VMA_HUGEPAGE |
				      VMA_NOHUGEPAGE | VMA_MERGEABLE | VMA_RANDOM | VMA_SEQUENTIAL |
				      VMA_NORESERVE | VMA_SEALED | VMA_DROPPABLE;

static bool is_special(const struct vma *v)
{
	return !strcmp(v->name, "[vdso]") || !strncmp(v->name, "[vvar", 5);
}

bool memory_is_private(const struct vma *v)
{
	return !v->shared && !is_special(v);
}

bool memory_is_saved(const struct vma *v)
{
	return memory_is_private(v) && !(v->flags & VMA_DROPPABLE);
}

bool memory_begin(struct pagemap_walk *walk, int pagemap, const struct vma *v)
{
	if (aio_is_ring(v))
		pagemap_begin_all(walk, v->start, v->end);
	else if (memory_is_saved(v))
		pagemap_begin(walk, pagemap, v->start, v->end);
	else
		return false;
	return true;
}

/* The inode number of System V shared memory is its id, and the first of a pod is 0. */
static bool has_file(const struct vma *v)
{
	return v->inode != 0 || !strncmp(v->name, "/SYSV", 5);
}

/* DONTDUMP and IO are the kernel's own marks of vvar; nothing of a special area is restored but its place. */
static uint32_t flags_of(const struct vma *v)
{
	return is_special(v) ? 0 : v->flags & carried_flags;
}

static bool mergeable(const struct vma *a, const struct vma *b)
{
	return a->end == b->start && a->prot == b->prot && a->shared == b->shared &&
	       flags_of(a) == flags_of(b) && a->inode == b->inode && a->major == b->major &&
	       a->minor == b->minor && !is_special(a) && !is_special(b) &&
	       !strcmp(a->name, b->name) &&
	       (!has_file(a) || a->offset + (a->end - a->start) == b->offset);
}

/* Why an area cannot be carried, and what would help; NULL: it can. */
static const char *why_not(const struct vma *v)
{
	if (is_special(v))
		return NULL;
	if (v->flags & VMA_HUGETLB)
		return "huge pages of a pool (MAP_HUGETLB) are not carried yet; use transparent ones "
		       "(madvise MADV_HUGEPAGE) instead";
	if (v->flags & VMA_UFFD)
		return "memory under userfaultfd is not carried; start the program without it";
	if (v->flags & VMA_SHADOW_STACK)
		return "a shadow stack is not carried; start it with "
		       "GLIBC_TUNABLES=glibc.cpu.x86_shstk=off";
	if (v->flags & VMA_KEY)
		return "memory with a protection key (pkey_mprotect) is not carried yet; start the "
		       "program without them";
	if (!strcmp(v->name, "anon_inode:[io_uring]"))
		return "io_uring is not carried yet; start the program without it";
	if (!strncmp(v->name, "anon_inode:", 11))
		return "memory of such a descriptor is not carried; close it and unmap this first";
	if (!strncmp(v->name, "socket:[", 8))
		return "the ring of a packet socket is not carried; unmap it first";
	if (!strncmp(v->name, "/secretmem", 10))
		return "secret memory (memfd_secret) is not carried; it cannot be read";
	if (v->flags & VMA_IO)
		return "device memory is not carried; unmap it first";
	if (v->flags & VMA_UNKNOWN)
		return "it has a flag in VmFlags that this version does not know";
	return NULL;
}

/* True: refused. Names say more than addresses, which differ each time. */
static bool refuse_area(struct dump_process *p, const struct vma *v)
{
	const char *why = why_not(v);
	/* "socket:[4711]": the number says nothing to anybody. */
	int len = !strncmp(v->name, "socket:[", 8) ? 6 : (int)strlen(v->name);

	if (why && len)
		dump_refuse_process(p->dump, p, "memory (%.*s): %s", len, v->name, why);
	else if (why)
		dump_refuse_process(p->dump, p, "memory at %llx: %s", (unsigned long long)v->start, why);
	return why;
}

/* The descriptor of the file behind an area, opened the way the area maps it. */
static int area_file(struct dump *d, struct dump_process *p, const struct vma *v, uint32_t *ret,
		     struct ct_error *err)
{
	char name[96];
	bool writable = v->shared && v->flags & VMA_MAYWRITE;
	int fd, r;

	snprintf(name, sizeof(name), "map_files/%llx-%llx", (unsigned long long)v->start,
		 (unsigned long long)v->end);
	if (shared_find_mapping(d, v, writable, ret))
		return 0;
	fd = proc_open(d->proc, p->pid, name, writable ? O_RDWR : O_RDONLY);
	if (fd < 0)
		return error_errno(err, fd, "open '%s' (%s)", name, v->name);
	d->mapping = p;
	r = dump_descriptor(d, getpid(), fd, ret, err);
	d->mapping = NULL;
	fd_close(fd);
	if (r == 0)
		r = shared_put_mapping(d, v, writable, *ret);
	return r;
}

static int put_guards(struct dump_process *p, uint64_t start, uint64_t end, struct node *n)
{
	struct node *guards = NULL;
	struct pagemap_walk walk;
	struct pagemap_run run;
	int r;

	pagemap_begin_guards(&walk, p->pagemap, start, end);
	while ((r = pagemap_next(&walk, &run)) > 0) {
		if (!guards)
			guards = node_put_array(n, "guards");
		node_put_u64(guards, NULL, run.address);
		node_put_u64(guards, NULL, run.pages);
	}
	return r;
}

/* The name that prctl(PR_SET_VMA_ANON_NAME) gave: "[anon:name]" or "[anon_shmem:name]". */
static void put_name(const struct vma *v, struct node *n)
{
	size_t prefix = !strncmp(v->name, "[anon:", 6)	      ? 6
			: !strncmp(v->name, "[anon_shmem:", 12) ? 12
								: 0;
	size_t len = strlen(v->name);
	char name[128];

	if (!prefix || len <= prefix || len - prefix > sizeof(name))
		return;
	memcpy(name, v->name + prefix, len - prefix - 1);
	name[len - prefix - 1] = '\0';
	node_put_str(n, "name", name);
}

static int put_area(struct dump_process *p, const struct vma *v, uint64_t end, struct node *areas,
		    struct ct_error *err)
{
	struct node *n = node_put_object(areas, NULL);
	const struct aio_context *aio = aio_find(p, v, end);
	char prot[4] = "---", flags[64];
	uint32_t id;
	int r;

	node_put_hex(n, "start", v->start);
	node_put_hex(n, "end", end);
	if (is_special(v)) {
		node_put_str(n, "special", v->name);
		return 0;
	}
	if (v->prot & PROT_READ)
		prot[0] = 'r';
	if (v->prot & PROT_WRITE)
		prot[1] = 'w';
	if (v->prot & PROT_EXEC)
		prot[2] = 'x';
	node_put_str(n, "protection", prot);
	vma_flags_format(flags_of(v), flags);
	if (*flags)
		node_put_str(n, "flags", flags);
	put_name(v, n);
	r = put_guards(p, v->start, end, n);
	if (r < 0)
		return error_errno(err, r, "find guard pages");
	if (aio)
		aio_put(aio, n);
	if (aio_is_ring(v))
		return 0;
	if (!has_file(v))
		return 0;
	node_put_bool(n, "shared", v->shared);
	if (file_mapping_is_stale(p->dump, p, v))
		dump_refuse_process(p->dump, p,
				    "'%s' was changed after it was mapped, and the mapping shows the old "
				    "bytes, which is not carried; restart the program",
				    v->name);
	r = area_file(p->dump, p, v, &id, err);
	if (r < 0)
		return r;
	node_put_u64(n, "descriptor", id);
	node_put_hex(n, "offset", v->offset);
	return 0;
}

int dump_areas(struct dump *d, struct dump_process *p, struct node *memory, struct ct_error *err)
{
	struct node *areas = node_put_array(memory, "areas");
	int r = 0;

	d->stats.n_areas += p->areas.n;
	for (size_t i = 0; r == 0 && i < p->areas.n; i++) {
		const struct vma *first = &p->areas.v[i];

		if (refuse_area(p, first))
			continue;
		while (i + 1 < p->areas.n && mergeable(&p->areas.v[i], &p->areas.v[i + 1]))
			i++;
		r = put_area(p, first, p->areas.v[i].end, areas, err);
		if (r < 0 && d->preflight)
			r = 0; /* unmapped meanwhile */
	}
	return r;
}

/* Seen from outside: code of another word size, which no tape can be run in. */
static void memory_check(struct dump *d, struct dump_process *p)
{
	cleanup_fd int exe = proc_open(d->proc, p->pid, "exe", O_RDONLY);
	unsigned char head[EI_CLASS + 1];

	if (exe >= 0 && io_pread_exact(exe, head, sizeof(head), 0) == 0 &&
	    !memcmp(head, ELFMAG, SELFMAG) && head[EI_CLASS] == ELFCLASS32)
		dump_refuse_process(d, p, "it is a 32-bit program, which is not carried; use a 64-bit "
					  "build of it");
}

/* The entries of memory_ask(). */
enum { ASK_BRK, ASK_THP, ASK_MERGE, ASK_MMAP, ASK_MSYNC, ASK_MREMAP, ASK_MINCORE };

static int memory_ask(struct dump *d, struct dump_process *p, struct tape *tape)
{
	const uint64_t room = tape_room(tape, 16);
	size_t map, same;

	tape_call(tape, SYS_brk, 0, 0, 0, 0, 0, 0);
	tape_call(tape, SYS_prctl, PR_GET_THP_DISABLE, 0, 0, 0, 0, 0);
	tape_call(tape, SYS_prctl, PR_GET_MEMORY_MERGE, 0, 0, 0, 0, 0);
	/*
	 * Nothing shows mlockall(MCL_FUTURE) but what a new mapping gets: msync(MS_INVALIDATE) does not
	 * like locked memory, mincore says whether it was populated. mremap returns the address again, for
	 * more than two to use it.
	 */
	map = tape_call(tape, SYS_mmap, 0, IMAGE_PAGE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, UINT64_MAX, 0);
	tape_chain(tape, map, tape_call(tape, SYS_msync, 0, IMAGE_PAGE, MS_INVALIDATE, 0, 0, 0), 0);
	same = tape_call(tape, SYS_mremap, 0, IMAGE_PAGE, IMAGE_PAGE, 0, 0, 0);
	tape_chain(tape, map, same, 0);
	tape_chain(tape, same, tape_call(tape, SYS_mincore, 0, IMAGE_PAGE, room, 0, 0, 0), 0);
	tape_chain(tape, same, tape_call(tape, SYS_munmap, 0, IMAGE_PAGE, 0, 0, 0, 0), 0);
	return 0;
}

/* What memory_ask() found out. */
static void put_answers(const struct tape *tape, struct tape_mark mark, struct node *n)
{
	const struct tape_entry *e = &tape->entries[mark.entry];
	const uint8_t *present = tape_at(tape, mark.data);

	node_put_hex(n, "brk", (uint64_t)e[ASK_BRK].result);
	node_put_bool(n, "thp_disable", e[ASK_THP].result > 0 && e[ASK_THP].result & 1);
	if (e[ASK_THP].result > 0 && e[ASK_THP].result & PR_THP_DISABLE_EXCEPT_ADVISED)
		node_put_bool(n, "thp_advised", true);
	node_put_bool(n, "memory_merge", e[ASK_MERGE].result == 1);
	/* EAGAIN of mmap: it would be locked, but the limit is reached. */
	if (e[ASK_MSYNC].result == -EBUSY || e[ASK_MMAP].result == -EAGAIN)
		node_put_str(n, "lock_future",
			     e[ASK_MINCORE].result == 0 && !(*present & 1) ? "on fault" : "at once");
}

/* The fields of struct prctl_mm_map, and where /proc/PID/stat has them (man 5 proc). */
static const struct {
	const char *name;
	int field;
} stat_fields[] = {
	{ "start_code", 26 }, { "end_code", 27 }, { "start_stack", 28 }, { "start_data", 45 },
	{ "end_data", 46 }, { "start_brk", 47 }, { "arg_start", 48 }, { "arg_end", 49 },
	{ "env_start", 50 }, { "env_end", 51 },
};

static int memory_dump(struct dump *d, struct dump_process *p, const struct tape *tape,
		       struct tape_mark mark, struct node *n, struct ct_error *err)
{
	cleanup_free char *auxv = NULL;
	cleanup_fd int exe = -1;
	uint32_t id;
	ssize_t len;
	int r;

	for (size_t i = 0; i < sizeof(stat_fields) / sizeof(stat_fields[0]); i++)
		node_put_hex(n, stat_fields[i].name, p->stat.f[stat_fields[i].field]);
	put_answers(tape, mark, n);
	len = proc_read(d->proc, p->pid, "auxv", &auxv);
	if (len < 0)
		return error_errno(err, (int)len, "read 'auxv'");
	node_put_blob(n, "auxv", auxv, (size_t)len);
	exe = proc_open(d->proc, p->pid, "exe", O_RDONLY);
	if (exe < 0)
		return error_errno(err, exe, "open its program");
	d->mapping = p;
	r = dump_descriptor(d, getpid(), exe, &id, err);
	d->mapping = NULL;
	if (r < 0)
		return r;
	node_put_u64(n, "program", id);
	r = memory_find_inherited(d, p);
	if (r < 0)
		return error_errno(err, r, "compare its pages with its parent's");
	if (p->n_inherited) {
		/* Zero pages among them, of which a restored process has none, are no difference. */
		struct node *list = node_put_array(node_put_object(n, "volatile"), "inherited");

		for (size_t i = 0; i < p->n_inherited; i++) {
			node_put_u64(list, NULL, p->inherited[i].address);
			node_put_u64(list, NULL, p->inherited[i].pages);
		}
	}
	return dump_areas(d, p, n, err);
}

/*
 * Reads pages. process_vm_readv(2) is the fastest way but keeps to the protection; /proc/PID/mem
 * does not.
 */
static int read_pages(struct dump_process *p, const struct vma *v, void *buf, size_t len,
		      uint64_t address)
{
	struct iovec local = { buf, len }, remote = { (void *)address, len };

	if (v->prot & PROT_READ &&
	    process_vm_readv(p->pid, &local, 1, &remote, 1, 0) == (ssize_t)len)
		return 0;
	return io_pread_exact(p->mem, buf, len, (off_t)address);
}

static int dump_run(struct dump_process *p, const struct vma *v, const struct pagemap_run *run,
		    struct archive_writer *w, struct ct_error *err)
{
	uint64_t address = run->address, left = run->pages;

	while (left) {
		size_t got;
		void *buf;
		int r = pages_reserve(w, address, left, &buf, &got, err);

		if (r < 0)
			return r;
		r = read_pages(p, v, buf, got * IMAGE_PAGE, address);
		if (r < 0)
			return error_errno(err, r, "read memory at %llx", (unsigned long long)address);
		r = pages_commit(w, got, err);
		if (r < 0)
			return r;
		address += got * IMAGE_PAGE;
		left -= got;
	}
	return 0;
}

static int dump_private(struct dump *d, struct dump_process *p, struct archive_writer *w,
			struct ct_error *err)
{
	char space[32];
	size_t hint = 0;
	int r;

	snprintf(space, sizeof(space), "mem/%u", p->index);
	r = pages_begin(w, space, err);
	for (size_t i = 0; r == 0 && i < p->areas.n; i++) {
		const struct vma *v = &p->areas.v[i];
		struct pagemap_run run, rest;
		struct pagemap_walk walk;

		if (!memory_begin(&walk, p->pagemap, v))
			continue;
		/* A page of zeros that was written over a file's is not nothing. */
		pages_keep_zeros(w, has_file(v));
		d->stats.pages_scanned += (v->end - v->start) / IMAGE_PAGE;
		while (r == 0 && (r = pagemap_next(&walk, &run)) > 0) {
			r = 0;
			for (; r == 0 && run.pages && memory_next_own(p, &hint, &run, &rest); run = rest)
				r = dump_run(p, v, &run, w, err);
		}
		if (r < 0)
			return error_prefix(err, r, "pid %d (%s)", p->vpid, p->stat.comm);
	}
	return r < 0 ? r : pages_end(w, err);
}

int memory_dump_pages(struct dump *d, struct archive_writer *w, struct ct_error *err)
{
	for (size_t i = 0; i < d->n_processes; i++) {
		int r = d->processes[i].zombie ? 0 : dump_private(d, &d->processes[i], w, err);

		if (r < 0)
			return r;
	}
	return shared_dump_pages(d, w, err);
}

const struct kind kind_memory = {
	.name = "memory",
	.carries = "private and shared, anonymous and file mappings, memfd, deleted files, heap, "
		   "growing stacks, guard pages, every protection, madvise and mlock states, vdso, "
		   "arguments and environment as /proc shows them",
	.refuses = "huge pages of a pool, userfaultfd, device and secret memory, shadow stacks, protection keys, "
		   "rings of io_uring and packet sockets, 32-bit programs",
	.victims = "mem-private mem-shared mem-file mem-brk-stack mem-stack-full mem-stack-used mem-advice "
		   "mem-mlockall mem-guard mem-prctl mem-cow mem-cow-zero mem-args mem-vdso mem-memfd mem-many mem-droppable mem-sealed "
		   "mem-static mem-nolibc regs-xstate regs-avx512 regs-fsgs refused-32bit "
		   "refused-hugetlb refused-io-uring-area refused-packet-ring refused-secret refused-uffd-area",
	.process_check = memory_check,
	.process_ask = memory_ask,
	.process_dump = memory_dump,
};
