/* SPDX-License-Identifier: Apache-2.0 */
#include "libct/base/kernel.h"

#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/uio.h>

#include "libct/base/error.h"
#include "libct/base/kernel-bpf.h"

#define PAGE 4096
/* Where the kernel puts its view of all memory is a multiple of this (arch/x86/mm/kaslr.c). */
#define BASE_STEP (1ULL << 30)
#define BASES_MAX 65536 /* 64 TB */
#define PATH_PART 64
#define CACHE_MAX 256

struct kernel {
	struct btf *btf;
	int program;
	struct kernel_window *window;
	uint64_t memory, pages; /* the direct map of all memory, and its array of `struct page` */
	size_t page_size;	/* of a `struct page` */
	/* What was looked up once: there are a hundred thousand types, in no order. */
	struct {
		const char *name;
		const struct btf_type *type;
	} structs[CACHE_MAX];
	struct {
		const char *path;
		struct kernel_field field;
	} fields[CACHE_MAX];
	size_t n_structs, n_fields;
	uint64_t *per_cpu;	/* kernel_per_cpu(); NULL: not asked yet */
	size_t n_cpus;
};

void kernel_close(struct kernel *k)
{
	btf__free(k->btf);
	fd_close(k->program);
	if (k->window)
		munmap(k->window, sizeof(*k->window));
	free(k->per_cpu);
	free(k);
}

int kernel_read(struct kernel *k, uint64_t address, void *buf, size_t len)
{
	for (size_t done = 0, n; done < len; done += n) {
		int r;

		n = len - done < KERNEL_WINDOW ? len - done : KERNEL_WINDOW;
		k->window->address = address + done;
		k->window->len = n;
		k->window->result = -EIO;
		r = kernel_bpf_run(k->program);
		if (r < 0 || k->window->result < 0)
			return r < 0 ? r : (int)k->window->result;
		memcpy((char *)buf + done, k->window->data, n);
	}
	return 0;
}

int kernel_changed(struct ct_error *err)
{
	return error_set(err, -EAGAIN, "it changed while it was read");
}

int kernel_fetch(struct kernel *k, uint64_t address, void *buf, size_t len, struct ct_error *err)
{
	int r = kernel_read(k, address, buf, len);

	if (r == -EFAULT || r == -ERANGE)
		return kernel_changed(err);
	return r < 0 ? error_errno(err, r, "read the kernel's memory") : 0;
}

uint64_t kernel_page(const struct kernel *k, uint64_t page)
{
	return k->memory + (page - k->pages) / k->page_size * PAGE;
}

/* ---- types ---- */

static const struct btf_type *skip_names(const struct btf *btf, uint32_t id)
{
	const struct btf_type *t = btf__type_by_id(btf, id);

	while (t && (btf_is_mod(t) || btf_is_typedef(t)))
		t = btf__type_by_id(btf, t->type);
	return t;
}

/* Adds the place of the member to f->at; its type, or NULL. */
static const struct btf_type *find_member(const struct btf *btf, const struct btf_type *t, const char *name,
					  struct kernel_field *f)
{
	const struct btf_member *m = btf_members(t);

	for (uint32_t i = 0; i < btf_vlen(t); i++) {
		const char *is = btf__name_by_offset(btf, m[i].name_off);
		const struct btf_type *type = skip_names(btf, m[i].type), *inside;
		struct kernel_field deeper = { f->at + btf_member_bit_offset(t, i), 0 };
		int64_t size;

		if (!type)
			return NULL;
		if (!*is && btf_is_composite(type)) {
			inside = find_member(btf, type, name, &deeper);
			if (inside) {
				*f = deeper;
				return inside;
			}
		}
		if (strcmp(is, name))
			continue;
		size = btf__resolve_size(btf, m[i].type);
		deeper.width = btf_member_bitfield_size(t, i);
		if (!deeper.width)
			deeper.width = size > 0 ? (uint32_t)size * 8 : 0;
		*f = deeper;
		return type;
	}
	return NULL;
}

static const struct btf_type *find_struct(struct kernel *k, const char *name, size_t len, struct ct_error *err)
{
	const struct btf_type *t;
	char text[PATH_PART];
	int id;

	for (size_t i = 0; i < k->n_structs; i++)
		if (!strncmp(k->structs[i].name, name, len) && !k->structs[i].name[len])
			return k->structs[i].type;
	snprintf(text, sizeof(text), "%.*s", (int)len, name);
	id = btf__find_by_name_kind(k->btf, text, BTF_KIND_STRUCT);
	t = id < 0 ? NULL : btf__type_by_id(k->btf, (uint32_t)id);
	if (!t) {
		error_set(err, -EOPNOTSUPP, "this kernel has no struct %s", text);
		return NULL;
	}
	if (k->n_structs < CACHE_MAX) {
		k->structs[k->n_structs].name = btf__name_by_offset(k->btf, t->name_off);
		k->structs[k->n_structs++].type = t;
	}
	return t;
}

int kernel_size(struct kernel *k, const char *type, size_t max, size_t *ret, struct ct_error *err)
{
	const struct btf_type *t = find_struct(k, type, strlen(type), err);

	if (!t)
		return -EOPNOTSUPP;
	*ret = t->size;
	return *ret <= max ? 0 : error_set(err, -EOPNOTSUPP, "this kernel's struct %s is too large", type);
}

static int look_up(struct kernel *k, const char *path, struct kernel_field *ret, struct ct_error *err)
{
	size_t n = strcspn(path, ".");
	const struct btf_type *t = find_struct(k, path, n, err);
	const char *at = path + n;

	if (!t)
		return -EOPNOTSUPP;
	while (t && *at == '.') {
		char name[PATH_PART];

		n = strcspn(++at, ".");
		snprintf(name, sizeof(name), "%.*s", (int)n, at);
		at += n;
		t = btf_is_composite(t) ? find_member(k->btf, t, name, ret) : NULL;
	}
	return t ? 0 : error_set(err, -EOPNOTSUPP, "this kernel has no %s", path);
}

int kernel_field(struct kernel *k, const char *path, struct kernel_field *ret, struct ct_error *err)
{
	int r;

	for (size_t i = 0; i < k->n_fields; i++)
		if (k->fields[i].path == path) {
			*ret = k->fields[i].field;
			return 0;
		}
	*ret = (struct kernel_field){ 0 };
	r = look_up(k, path, ret, err);
	if (r < 0)
		*ret = (struct kernel_field){ 0 };
	else if (k->n_fields < CACHE_MAX) {
		k->fields[k->n_fields].path = path;
		k->fields[k->n_fields++].field = *ret;
	}
	return r;
}

int kernel_fields(struct kernel *k, const struct kernel_path *list, size_t n, struct ct_error *err)
{
	for (size_t i = 0; i < n; i++) {
		const bool optional = *list[i].path == '?';
		int r = kernel_field(k, list[i].path + optional, list[i].to, optional ? NULL : err);

		if (r < 0 && !optional)
			return r;
	}
	return 0;
}

uint64_t kernel_get(const void *object, struct kernel_field f)
{
	const uint8_t *at = (const uint8_t *)object + f.at / 8;
	unsigned int shift = f.at % 8;
	uint64_t value = 0;

	for (unsigned int i = 0; i * 8 < shift + f.width && i < 8; i++)
		value |= (uint64_t)at[i] << i * 8;
	value >>= shift;
	return f.width < 64 ? value & ((1ULL << f.width) - 1) : value;
}

int kernel_get_at(struct kernel *k, uint64_t object, struct kernel_field f, uint64_t *ret, struct ct_error *err)
{
	uint8_t bytes[9] = { 0 };
	int r;

	if (f.width > 64)
		return error_set(err, -EOPNOTSUPP, "this kernel has a field of %u bits where a number is expected", f.width);
	r = kernel_fetch(k, object + f.at / 8, bytes, (f.at % 8 + f.width + 7) / 8, err);
	f.at %= 8;
	*ret = kernel_get(bytes, f);
	return r;
}

/* ---- where the memory is ---- */

/* A page of ours, which nobody else has the content of. */
static int own_page(unsigned char **ret, uint64_t *ret_number, struct ct_error *err)
{
	unsigned char *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	cleanup_fd int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t entry = 0;

	if (page == MAP_FAILED)
		return error_errno(err, -errno, "a page");
	*ret = page;
	/* Documentation/admin-guide/mm/pagemap.rst: 55 bits of number, and that it is there. */
	if (getrandom(page, PAGE, 0) != PAGE || fd < 0 ||
	    pread(fd, &entry, sizeof(entry), (off_t)((uintptr_t)page / PAGE * sizeof(entry))) != sizeof(entry))
		return error_errno(err, -errno, "/proc/self/pagemap");
	*ret_number = entry & ((1ULL << 55) - 1);
	if (!(entry >> 63) || !*ret_number)
		return error_set(err, -EOPNOTSUPP, "/proc/self/pagemap does not tell where a page is");
	return 0;
}

int kernel_file(struct kernel *k, int fd, uint64_t *ret, struct ct_error *err)
{
	cleanup_free struct kernel_file *files = NULL;
	struct kernel_field f;
	size_t n = 0;
	int r = kernel_field(k, "file.private_data", &f, err);

	if (r == 0)
		r = kernel_bpf_files(k->btf, getpid(), &files, &n, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++)
		if (files[i].fd == (uint64_t)fd) {
			r = kernel_read(k, files[i].address + f.at / 8, ret, sizeof(*ret));
			return r < 0 ? error_errno(err, r, "read the kernel's memory") : 0;
		}
	return error_set(err, -EOPNOTSUPP, "this kernel does not list its open files");
}

/* In a pipe a page of ours has a pointer to its `struct page`: the first of a new pipe's buffers. */
static int find_pages(struct kernel *k, unsigned char *page, uint64_t number, uint64_t *ret_pipe,
		      struct ct_error *err)
{
	struct kernel_field bufs = { 0 }, first = { 0 };
	cleanup_fd int reader = -1, writer = -1;
	struct iovec iov = { page, PAGE };
	uint64_t address = 0;
	int ends[2], r;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return error_errno(err, -errno, "pipe");
	reader = ends[0];
	writer = ends[1];
	if (vmsplice(writer, &iov, 1, SPLICE_F_NONBLOCK) != PAGE)
		return error_errno(err, -errno, "vmsplice");
	r = kernel_field(k, "pipe_inode_info.bufs", &bufs, err);
	if (r == 0)
		r = kernel_field(k, "pipe_buffer.page", &first, err);
	if (r == 0)
		r = kernel_size(k, "page", PAGE, &k->page_size, err);
	if (r == 0)
		r = kernel_file(k, writer, ret_pipe, err);
	if (r < 0)
		return r;
	r = kernel_read(k, *ret_pipe + bufs.at / 8, &address, sizeof(address));
	if (r == 0)
		r = kernel_read(k, address + first.at / 8, &address, sizeof(address));
	k->pages = address - number * k->page_size;
	return r < 0 ? error_errno(err, r, "read the kernel's memory") : 0;
}

/* Objects lie in the direct map: below one of them is its beginning, where our page is to be found. */
static int find_memory(struct kernel *k, const unsigned char *page, uint64_t number, uint64_t object,
		       struct ct_error *err)
{
	uint64_t base = object & ~(BASE_STEP - 1);

	for (int i = 0; i < BASES_MAX; i++, base -= BASE_STEP) {
		unsigned char there[PAGE];

		if (kernel_read(k, base + number * PAGE, there, PAGE) < 0 || memcmp(there, page, PAGE))
			continue;
		k->memory = base;
		return 0;
	}
	return error_set(err, -EOPNOTSUPP, "this kernel's memory is not where it is to be expected");
}

static int locate(struct kernel *k, struct ct_error *err)
{
	unsigned char *page = NULL;
	uint64_t number = 0, pipe = 0;
	int r = own_page(&page, &number, err);

	if (r == 0)
		r = find_pages(k, page, number, &pipe, err);
	if (r == 0)
		r = find_memory(k, page, number, pipe, err);
	if (page)
		munmap(page, PAGE);
	return r;
}

static int silent(enum libbpf_print_level level, const char *format, va_list ap)
{
	return 0;
}

int kernel_open(struct kernel **ret, struct ct_error *err)
{
	__cleanup(kernel_close_cleanup) struct kernel *k = calloc(1, sizeof(*k));
	libbpf_print_fn_t print;
	int r;

	if (!k)
		return error_errno(err, -ENOMEM, "the kernel's types");
	k->program = -1;
	/* A library does not print, and nor does one that it calls. */
	print = libbpf_set_print(silent);
	k->btf = btf__load_vmlinux_btf();
	libbpf_set_print(print);
	if (!k->btf)
		return error_set(err, -EOPNOTSUPP, "this kernel does not describe its types (/sys/kernel/btf)");
	r = kernel_bpf_reader(&k->program, &k->window, err);
	if (r == 0)
		r = locate(k, err);
	if (r == 0)
		*ret = take_ptr(k);
	return r;
}

int kernel_tcp_sockets(struct kernel *k, uint64_t **ret, size_t *ret_n, struct ct_error *err)
{
	*ret_n = 0;
	return kernel_bpf_tcp(k->btf, ret, ret_n, err);
}

int kernel_task(struct kernel *k, pid_t tid, uint64_t *ret, struct ct_error *err)
{
	return kernel_bpf_task(k->btf, tid, ret, err);
}

static int find_per_cpu(struct kernel *k, struct ct_error *err)
{
	cleanup_free uint64_t *copies = NULL;
	struct kernel_field first = { 0 };
	uint64_t map = 0, pointer = 0;
	size_t n = 0;
	int r = kernel_field(k, "bpf_array.pptrs", &first, err);

	if (r == 0)
		r = kernel_bpf_copies(&copies, &n, &map, err);
	if (r < 0)
		return r;
	r = kernel_read(k, map + first.at / 8, &pointer, sizeof(pointer));
	if (r < 0)
		return error_errno(err, r, "read the kernel's memory");
	for (size_t i = 0; i < n; i++)
		copies[i] -= pointer;
	k->per_cpu = take_ptr(copies);
	k->n_cpus = n;
	return 0;
}

int kernel_per_cpu(struct kernel *k, const uint64_t **ret, size_t *ret_n, struct ct_error *err)
{
	int r = k->per_cpu ? 0 : find_per_cpu(k, err);

	*ret = k->per_cpu;
	*ret_n = k->n_cpus;
	return r;
}
