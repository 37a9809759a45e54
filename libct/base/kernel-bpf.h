/* SPDX-License-Identifier: Apache-2.0 */
/* The BPF programs behind libct/base/kernel.h. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct btf;
struct ct_error;

/* Through which bytes come: shared with the program that copies them. */
#define KERNEL_WINDOW 65536
struct kernel_window {
	uint64_t address, len;
	int64_t result;
	uint8_t data[KERNEL_WINDOW];
};

/* The program that copies into *ret_window, and that window, which is mapped. Both are the caller's. */
int kernel_bpf_reader(int *ret_program, struct kernel_window **ret_window, struct ct_error *err);
int kernel_bpf_run(int program);

/*
 * The addresses of all TCP sockets (struct sock_common) of the caller's network namespace, those that only open or close
 * too. The caller frees.
 */
int kernel_bpf_tcp(const struct btf *btf, uint64_t **ret, size_t *ret_n, struct ct_error *err);

/* The open files (struct file) of a process; the caller frees. */
struct kernel_file {
	uint64_t fd, address;
};
int kernel_bpf_files(const struct btf *btf, pid_t pid, struct kernel_file **ret, size_t *ret_n,
		     struct ct_error *err);

/* The address of a task (struct task_struct), by its TID. -ESRCH: there is none. */
int kernel_bpf_task(const struct btf *btf, pid_t tid, uint64_t *ret, struct ct_error *err);

/*
 * Where each CPU, from the first on, has its copy of one object of the kernel's, and the map (struct bpf_array) that it is the
 * first element of. The caller frees.
 */
int kernel_bpf_copies(uint64_t **ret, size_t *ret_n, uint64_t *ret_map, struct ct_error *err);
