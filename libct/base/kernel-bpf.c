/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Written as instructions, which spares the build a compiler for another machine: there are a few, and none branches but
 * to its end. Documentation/bpf/bpf_iterators.rst, man 7 bpf-helpers.
 */
#include "libct/base/kernel-bpf.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <string.h>
#include <sys/mman.h>

#include "libct/base/cleanup.h"
#include "libct/base/error.h"

#define INSN(code_, dst, src, off_, imm_)                                                          \
	((struct bpf_insn){ .code = (code_), .dst_reg = (dst), .src_reg = (src), .off = (off_), .imm = (imm_) })
#define LOAD(size, dst, src, off) INSN(BPF_LDX | BPF_MEM | (size), dst, src, off, 0)
#define STORE(size, dst, off, src) INSN(BPF_STX | BPF_MEM | (size), dst, src, off, 0)
#define MOVE(dst, src) INSN(BPF_ALU64 | BPF_MOV | BPF_X, dst, src, 0, 0)
#define SET(dst, imm) INSN(BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, 0, imm)
#define ADD(dst, imm) INSN(BPF_ALU64 | BPF_ADD | BPF_K, dst, 0, 0, imm)
#define CALL(helper) INSN(BPF_JMP | BPF_CALL, 0, 0, 0, helper)
#define EXIT INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static int not_allowed(int r, struct ct_error *err)
{
	if (r == -EPERM || r == -EACCES || r == -EINVAL || r == -ENOSYS || r == -E2BIG)
		return error_set(err, -EOPNOTSUPP, "this kernel does not let its memory be read by BPF programs (%s)",
				 strerror(-r));
	return error_errno(err, r, "load a BPF program");
}

int kernel_bpf_reader(int *ret_program, struct kernel_window **ret_window, struct ct_error *err)
{
	LIBBPF_OPTS(bpf_map_create_opts, map_options, .map_flags = BPF_F_MMAPABLE);
	LIBBPF_OPTS(bpf_prog_load_opts, options, .prog_flags = BPF_F_SLEEPABLE);
	cleanup_fd int map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "podckpt_window", sizeof(uint32_t),
					    sizeof(struct kernel_window), 1, &map_options);
	cleanup_fd int program = -1;
	void *window;

	if (map < 0)
		return not_allowed(map, err);
	{
		const struct bpf_insn text[] = {
			INSN(BPF_LD | BPF_DW | BPF_IMM, BPF_REG_6, BPF_PSEUDO_MAP_VALUE, 0, map),
			INSN(0, 0, 0, 0, 0),
			LOAD(BPF_DW, BPF_REG_3, BPF_REG_6, offsetof(struct kernel_window, address)),
			LOAD(BPF_DW, BPF_REG_2, BPF_REG_6, offsetof(struct kernel_window, len)),
			INSN(BPF_JMP | BPF_JGT | BPF_K, BPF_REG_2, 0, 4, KERNEL_WINDOW),
			MOVE(BPF_REG_1, BPF_REG_6),
			ADD(BPF_REG_1, offsetof(struct kernel_window, data)),
			CALL(BPF_FUNC_probe_read_kernel),
			STORE(BPF_DW, BPF_REG_6, offsetof(struct kernel_window, result), BPF_REG_0),
			SET(BPF_REG_0, 0),
			EXIT,
		};

		program = bpf_prog_load(BPF_PROG_TYPE_SYSCALL, "podckpt_read", "GPL", text, COUNT(text), &options);
	}
	if (program < 0)
		return not_allowed(program, err);
	window = mmap(NULL, sizeof(struct kernel_window), PROT_READ | PROT_WRITE, MAP_SHARED, map, 0);
	if (window == MAP_FAILED)
		return error_errno(err, -errno, "map a BPF array");
	*ret_program = take_fd(&program);
	*ret_window = window;
	return 0;
}

int kernel_bpf_run(int program)
{
	LIBBPF_OPTS(bpf_test_run_opts, options);

	return bpf_prog_test_run_opts(program, &options);
}

/* All that an iterator has to say. */
static int read_all(int fd, void **ret, size_t *ret_len)
{
	cleanup_free char *all = NULL;
	size_t len = 0, size = 0;

	for (;;) {
		ssize_t n;

		if (len == size) {
			char *grown = realloc(all, size = size ? size * 2 : 4096);

			if (!grown)
				return -ENOMEM;
			all = grown;
		}
		n = read(fd, all + len, size - len);
		/* EAGAIN: it has looked at very many and let others run. */
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return -errno;
		if (n == 0)
			break;
		len += n > 0 ? (size_t)n : 0;
	}
	*ret = take_ptr(all);
	*ret_len = len;
	return 0;
}

static int iterate(const struct btf *btf, const char *target, const struct bpf_insn *text, size_t n_text,
		   const struct bpf_link_create_opts *which, void **ret, size_t *ret_len, struct ct_error *err)
{
	int id = btf__find_by_name_kind(btf, target, BTF_KIND_FUNC), r;
	LIBBPF_OPTS(bpf_prog_load_opts, options, .expected_attach_type = BPF_TRACE_ITER,
		    .attach_btf_id = id > 0 ? (uint32_t)id : 0);
	cleanup_fd int program = -1, link = -1, fd = -1;

	if (id < 0)
		return error_set(err, -EOPNOTSUPP, "this kernel has no %s", target);
	program = bpf_prog_load(BPF_PROG_TYPE_TRACING, "podckpt_list", "GPL", text, n_text, &options);
	if (program < 0)
		return not_allowed(program, err);
	link = bpf_link_create(program, 0, BPF_TRACE_ITER, which);
	if (link < 0)
		return not_allowed(link, err);
	fd = bpf_iter_create(link);
	r = fd < 0 ? fd : read_all(fd, ret, ret_len);
	return r < 0 ? error_errno(err, r, "read %s", target) : 0;
}

/* What the context of an iterator has: a `struct bpf_iter_meta`, whose first is the file to write to, and the object. */
#define ITER_META 0

/* The addresses of what an iterator goes through, where the object is the first of its context. */
static int list_objects(const struct btf *btf, const char *target, const struct bpf_link_create_opts *which,
			uint64_t **ret, size_t *ret_n, struct ct_error *err)
{
	const struct bpf_insn text[] = {
		MOVE(BPF_REG_6, BPF_REG_1),
		LOAD(BPF_DW, BPF_REG_2, BPF_REG_6, 8), /* NULL: all were there */
		INSN(BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_2, 0, 7, 0),
		STORE(BPF_DW, BPF_REG_10, -8, BPF_REG_2),
		LOAD(BPF_DW, BPF_REG_1, BPF_REG_6, ITER_META),
		LOAD(BPF_DW, BPF_REG_1, BPF_REG_1, 0),
		MOVE(BPF_REG_2, BPF_REG_10),
		ADD(BPF_REG_2, -8),
		SET(BPF_REG_3, sizeof(**ret)),
		CALL(BPF_FUNC_seq_write),
		SET(BPF_REG_0, 0),
		EXIT,
	};
	int r = iterate(btf, target, text, COUNT(text), which, (void **)ret, ret_n, err);

	*ret_n /= sizeof(**ret);
	return r;
}

int kernel_bpf_tcp(const struct btf *btf, uint64_t **ret, size_t *ret_n, struct ct_error *err)
{
	return list_objects(btf, "bpf_iter_tcp", NULL, ret, ret_n, err);
}

int kernel_bpf_files(const struct btf *btf, pid_t pid, struct kernel_file **ret, size_t *ret_n,
		     struct ct_error *err)
{
	const struct bpf_insn text[] = {
		MOVE(BPF_REG_6, BPF_REG_1),
		LOAD(BPF_DW, BPF_REG_2, BPF_REG_6, 24), /* struct file *; NULL: all were there */
		INSN(BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_2, 0, 9, 0),
		STORE(BPF_DW, BPF_REG_10, -8, BPF_REG_2),
		LOAD(BPF_W, BPF_REG_2, BPF_REG_6, 16), /* its descriptor */
		STORE(BPF_DW, BPF_REG_10, -16, BPF_REG_2),
		LOAD(BPF_DW, BPF_REG_1, BPF_REG_6, ITER_META),
		LOAD(BPF_DW, BPF_REG_1, BPF_REG_1, 0),
		MOVE(BPF_REG_2, BPF_REG_10),
		ADD(BPF_REG_2, -16),
		SET(BPF_REG_3, sizeof(**ret)),
		CALL(BPF_FUNC_seq_write),
		SET(BPF_REG_0, 0),
		EXIT,
	};
	union bpf_iter_link_info whose = { .task = { .tid = (uint32_t)pid } };
	LIBBPF_OPTS(bpf_link_create_opts, which, .iter_info = &whose, .iter_info_len = sizeof(whose));
	int r = iterate(btf, "bpf_iter_task_file", text, COUNT(text), &which, (void **)ret, ret_n, err);

	*ret_n /= sizeof(**ret);
	return r;
}

int kernel_bpf_task(const struct btf *btf, pid_t tid, uint64_t *ret, struct ct_error *err)
{
	union bpf_iter_link_info which_one = { .task = { .tid = (uint32_t)tid } };
	LIBBPF_OPTS(bpf_link_create_opts, which, .iter_info = &which_one, .iter_info_len = sizeof(which_one));
	cleanup_free uint64_t *found = NULL;
	size_t n = 0;
	int r = list_objects(btf, "bpf_iter_task", &which, &found, &n, err);

	if (r < 0)
		return r;
	if (n != 1)
		return error_errno(err, -ESRCH, "task %d", tid);
	*ret = *found;
	return 0;
}

/* What the program that looks for copies is told, and tells. */
struct copy {
	uint64_t cpu, element, map;
};

static int load_copies(int map)
{
	LIBBPF_OPTS(bpf_prog_load_opts, options, .prog_flags = BPF_F_SLEEPABLE);
	const struct bpf_insn text[] = {
		MOVE(BPF_REG_6, BPF_REG_1),
		SET(BPF_REG_1, 0),
		STORE(BPF_W, BPF_REG_10, -4, BPF_REG_1),
		INSN(BPF_LD | BPF_DW | BPF_IMM, BPF_REG_1, BPF_PSEUDO_MAP_FD, 0, map),
		INSN(0, 0, 0, 0, 0),
		STORE(BPF_DW, BPF_REG_6, offsetof(struct copy, map), BPF_REG_1),
		MOVE(BPF_REG_2, BPF_REG_10),
		ADD(BPF_REG_2, -4),
		LOAD(BPF_DW, BPF_REG_3, BPF_REG_6, offsetof(struct copy, cpu)),
		CALL(BPF_FUNC_map_lookup_percpu_elem),
		STORE(BPF_DW, BPF_REG_6, offsetof(struct copy, element), BPF_REG_0),
		SET(BPF_REG_0, 0),
		EXIT,
	};

	return bpf_prog_load(BPF_PROG_TYPE_SYSCALL, "podckpt_copies", "GPL", text, COUNT(text), &options);
}

int kernel_bpf_copies(uint64_t **ret, size_t *ret_n, uint64_t *ret_map, struct ct_error *err)
{
	const int n = libbpf_num_possible_cpus();
	cleanup_fd int map = bpf_map_create(BPF_MAP_TYPE_PERCPU_ARRAY, "podckpt_copies", sizeof(uint32_t),
					    sizeof(uint64_t), 1, NULL);
	cleanup_fd int program = map < 0 ? map : load_copies(map);
	cleanup_free uint64_t *copies = NULL;

	if (program < 0)
		return not_allowed(program, err);
	if (n <= 0)
		return error_errno(err, n, "the number of CPUs");
	copies = calloc((size_t)n, sizeof(*copies));
	if (!copies)
		return error_errno(err, -ENOMEM, "CPUs");
	/* Once more: there must be none behind the last. Where numbers are left out, nothing tells the others. */
	for (int i = 0; i <= n; i++) {
		struct copy one = { .cpu = (uint64_t)i };
		LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = &one, .ctx_size_in = sizeof(one));
		int r = bpf_prog_test_run_opts(program, &options);

		if (r < 0)
			return error_errno(err, r, "run a BPF program");
		if ((one.element == 0) != (i == n))
			return error_set(err, -EOPNOTSUPP, "the numbers of this host's CPUs have gaps");
		if (i < n)
			copies[i] = one.element;
		*ret_map = one.map;
	}
	*ret_n = (size_t)n;
	*ret = take_ptr(copies);
	return 0;
}
